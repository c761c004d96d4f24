/* SPDX-License-Identifier: Apache-2.0 */
/* What sl_num_pkg should say, for tb_num.sv. */
#include "ref/ref_num.h"
#include "ref/ref_slab.h"
#include "rtl/num_cases.h"

int tb_fp8_want(unsigned code);
int tb_4bit_want(unsigned format, unsigned code);
unsigned tb_is_4bit_want(unsigned format);
unsigned tb_log2_want(uint64_t v);
uint64_t tb_rne_u64_want(uint64_t v, unsigned s);
int64_t tb_rne_want(int64_t v, int s);
int tb_sat32_want(int64_t v);
int tb_jam_wrong(int64_t v, unsigned m, unsigned up, uint64_t q);
unsigned tb_sigmoid_want(int g);
int tb_silu_want(int g);

int tb_fp8_want(unsigned code)
{
    return ref_code_value(SL_FORMAT_FP8, (uint8_t)code);
}

/* Formats that are not 4 bits wide read the table of INT4. */
int tb_4bit_want(unsigned format, unsigned code)
{
    bool other = format != SL_FORMAT_NF4 && format != SL_FORMAT_MXFP4;
    return ref_code_value(other ? SL_FORMAT_INT4 : (int)format, (uint8_t)code);
}

unsigned tb_is_4bit_want(unsigned format)
{
    return format != SL_FORMAT_FP8 && format != SL_FORMAT_Q8;
}

unsigned tb_log2_want(uint64_t v)
{
    return v == 0 ? 0 : (unsigned)ref_log2(v);
}

uint64_t tb_rne_u64_want(uint64_t v, unsigned s)
{
    return (uint64_t)ref_round(v, s > 100 ? 100 : (int)s);
}

/* From 64 on the result is 0 whatever falls out. */
int64_t tb_rne_want(int64_t v, int s)
{
    return s >= 64 ? 0 : (int64_t)ref_round(v, s);
}

int tb_sat32_want(int64_t v)
{
    return ref_sat32(v);
}

/* |v| m in units of 2^16 if it does not fit 64 bits, with a lowest bit that tells of the rest. */
int tb_jam_wrong(int64_t v, unsigned m, unsigned up, uint64_t q)
{
    ref_wide p = (v < 0 ? -(ref_wide)v : (ref_wide)v) * m;
    bool wide = p > (ref_wide)UINT64_MAX;
    uint64_t kept = (uint64_t)(p / 65536);
    uint64_t want = !wide ? (uint64_t)p : p % 65536 ? kept | 1 : kept;
    return up != (unsigned)wide || q != want;
}

unsigned tb_sigmoid_want(int g)
{
    return (unsigned)ref_sigmoid(g);
}

int tb_silu_want(int g)
{
    return (int)ref_round((int64_t)g * ref_sigmoid(g), 16);
}
