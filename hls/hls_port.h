/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every word that is not plain C: tool pragmas, address spaces, integer types and limits, the
 * suffix of external names and the lists of the P weight ports. The sources compile as C11 (gcc,
 * clang), for Vitis HLS (SL_TOOL_VITIS), for PandA-Bambu (SL_TOOL_BAMBU) and as OpenCL C 1.2.
 */
#ifndef SL_HLS_PORT_H
#define SL_HLS_PORT_H

#if defined __OPENCL_VERSION__
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;
typedef char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
#define INT32_MAX INT_MAX
#define INT32_MIN INT_MIN
#define UINT32_MAX UINT_MAX
#define INT64_MAX LONG_MAX
#define INT64_MIN LONG_MIN
#undef exp2 /* a field of the contract; PoCL renames built-in functions by macros */
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#include "sl_abi.h"

/* P: weight ports of this build of the core. T: token columns of the array. */
#ifndef SL_P
#define SL_P 1
#endif
#define SL_T 1

#define SL_STR_(x) #x
#define SL_PASTE_(a, b) a##b
#define SL_PASTE(a, b) SL_PASTE_(a, b)

/*
 * Address spaces: SL_GLOBAL is memory behind a port, SL_WORK the work arrays (URAM on a card,
 * device memory in OpenCL). SL_ROM declares a function-local constant table.
 */
#if defined __OPENCL_VERSION__
#define SL_GLOBAL __global
#define SL_WORK __global
#define SL_ROM const
#define SL_STATIC_ASSERT(condition, text)
#else
#define SL_GLOBAL
#define SL_WORK
#define SL_ROM static const
#define SL_STATIC_ASSERT(condition, text) _Static_assert(condition, text);
#endif

/*
 * SL_LOOP(name) names the loop that follows in Vitis' reports. Pragmas. In the body of the loop or
 * function: SL_PIPELINE (II 1), SL_DATAFLOW, SL_PARTITION(array, dimension),
 * SL_WIDE(array, items of one access). Ahead of a loop: SL_UNROLL. SL_UNROLL_BODY is its twin for
 * Vitis, which wants it inside. Bambu unrolls nothing: its memories have two ports of 64 bits, so
 * that unrolled lanes would only queue for them.
 */
#define SL_PRAGMA(text) _Pragma(#text)
#if defined SL_TOOL_VITIS
#define SL_LOOP(name)                                                                              \
    name:
#define SL_PIPELINE SL_PRAGMA(HLS pipeline II = 1)
#define SL_DATAFLOW SL_PRAGMA(HLS dataflow)
#define SL_PARTITION(array, d) SL_PRAGMA(HLS array_partition variable = array dim = d complete)
#define SL_WIDE(array, n) SL_PRAGMA(HLS array_reshape variable = array cyclic factor = n)
#define SL_UNROLL
#define SL_UNROLL_BODY SL_PRAGMA(HLS unroll)
#elif defined SL_TOOL_BAMBU
#define SL_LOOP(name)
#define SL_PIPELINE
#define SL_DATAFLOW
#define SL_PARTITION(array, d)
#define SL_WIDE(array, n)
#define SL_UNROLL
#define SL_UNROLL_BODY
#else
#define SL_LOOP(name)
#define SL_PIPELINE
#define SL_DATAFLOW
#define SL_PARTITION(array, d)
#define SL_WIDE(array, n)
/* An address sanitizer checks each access: of unrolled loops that takes minutes to compile. */
#ifdef __SANITIZE_ADDRESS__
#define SL_UNROLL
#else
#define SL_UNROLL _Pragma("GCC unroll 8")
#endif
#define SL_UNROLL_BODY
#endif

/*
 * SL_PORT_FN goes ahead of every function that takes a memory port. Bambu 2024.10 cannot follow a
 * port through a call whose parameters the optimiser rewrote (it ends with "map::at"), so there
 * they are inlined.
 */
#if defined SL_TOOL_BAMBU
#define SL_PORT_FN __attribute__((always_inline))
#else
#define SL_PORT_FN
#endif

/*
 * Interfaces of a top function: SL_TOP_OUTSIDE ahead of it (Bambu), SL_TOP_INSIDE in its body
 * (Vitis); _CTL for a unit without weights. One bundle per port: Bambu silently mixes widths that
 * share one.
 */
#if defined SL_TOOL_VITIS
#define SL_TOP_OUTSIDE
#define SL_AXI_IN_(name)                                                                           \
    SL_PRAGMA(HLS interface m_axi port = name bundle = gmem_##name offset = slave latency =        \
                  128 max_read_burst_length = 64 num_read_outstanding = 16)
#define SL_AXI_IN_PORT(n) SL_AXI_IN_(w##n)
#define SL_TOP_OUTSIDE_CTL
#define SL_TOP_INSIDE_CTL                                                                          \
    SL_AXI_IN_(ctl)                                                                                \
    SL_PRAGMA(HLS interface s_axilite port = return )
#define SL_TOP_INSIDE                                                                              \
    SL_PORTS(SL_AXI_IN_PORT)                                                                       \
    SL_TOP_INSIDE_CTL
#elif defined SL_TOOL_BAMBU
#define SL_AXI_OUT_(name)                                                                          \
    SL_PRAGMA(HLS interface port = name mode = m_axi offset = direct bundle = gmem_##name)
#define SL_AXI_OUT_PORT(n) SL_AXI_OUT_(w##n)
#define SL_TOP_OUTSIDE_CTL SL_AXI_OUT_(ctl)
#define SL_TOP_OUTSIDE                                                                             \
    SL_TOP_OUTSIDE_CTL                                                                             \
    SL_PORTS(SL_AXI_OUT_PORT)
#define SL_TOP_INSIDE
#define SL_TOP_INSIDE_CTL
#else
#define SL_TOP_OUTSIDE
#define SL_TOP_OUTSIDE_CTL
#define SL_TOP_INSIDE
#define SL_TOP_INSIDE_CTL
#endif

/*
 * External names carry the number of ports, so that builds with several P link into one program;
 * the synthesised top keeps its plain name.
 */
#ifndef SL_SUFFIX
#if defined SL_TOOL_VITIS || defined SL_TOOL_BAMBU
#define SL_SUFFIX
#else
#define SL_SUFFIX SL_PASTE(_p, SL_P)
#endif
#endif
#define SL_NAME(name) SL_PASTE(name, SL_SUFFIX)

/* SL_PORTS(X): X(0) X(1) .. X(P - 1). */
#define SL_PORTS_1(X) X(0)
#define SL_PORTS_2(X) SL_PORTS_1(X) X(1)
#define SL_PORTS_3(X) SL_PORTS_2(X) X(2)
#define SL_PORTS_4(X) SL_PORTS_3(X) X(3)
#define SL_PORTS_5(X) SL_PORTS_4(X) X(4)
#define SL_PORTS_6(X) SL_PORTS_5(X) X(5)
#define SL_PORTS_7(X) SL_PORTS_6(X) X(6)
#define SL_PORTS_8(X) SL_PORTS_7(X) X(7)
#define SL_PORTS_9(X) SL_PORTS_8(X) X(8)
#define SL_PORTS_10(X) SL_PORTS_9(X) X(9)
#define SL_PORTS_11(X) SL_PORTS_10(X) X(10)
#define SL_PORTS_12(X) SL_PORTS_11(X) X(11)
#define SL_PORTS_13(X) SL_PORTS_12(X) X(12)
#define SL_PORTS_14(X) SL_PORTS_13(X) X(13)
#define SL_PORTS_15(X) SL_PORTS_14(X) X(14)
#define SL_PORTS_16(X) SL_PORTS_15(X) X(15)
#define SL_PORTS_17(X) SL_PORTS_16(X) X(16)
#define SL_PORTS_18(X) SL_PORTS_17(X) X(17)
#define SL_PORTS_19(X) SL_PORTS_18(X) X(18)
#define SL_PORTS_20(X) SL_PORTS_19(X) X(19)
#define SL_PORTS_21(X) SL_PORTS_20(X) X(20)
#define SL_PORTS_22(X) SL_PORTS_21(X) X(21)
#define SL_PORTS_23(X) SL_PORTS_22(X) X(22)
#define SL_PORTS_24(X) SL_PORTS_23(X) X(23)
#define SL_PORTS_25(X) SL_PORTS_24(X) X(24)
#define SL_PORTS_26(X) SL_PORTS_25(X) X(25)
#define SL_PORTS_27(X) SL_PORTS_26(X) X(26)
#define SL_PORTS_28(X) SL_PORTS_27(X) X(27)
#define SL_PORTS(X) SL_PASTE(SL_PORTS_, SL_P)(X)

/* Parameters and arguments w0 .. w(P - 1), each with its comma. */
#define SL_W_PARAM(n) SL_GLOBAL const sl_beat *w##n,
#define SL_W_ARG(n) w##n,
#define SL_W_PARAMS SL_PORTS(SL_W_PARAM)
#define SL_W_ARGS SL_PORTS(SL_W_ARG)

#endif
