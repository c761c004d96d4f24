/* SPDX-License-Identifier: Apache-2.0 */
/* Containers by tools/xclbin, read back; damaged ones; and the calls of the emulation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board/rpc.h"
#include "card/xclbin.h"
#include "sl_abi.h"
#include "temp_file.h"
#include "test_main.h"

static const char board_text[] = "a device process", core_text[] = "a core";

/* Exit code of `slxclbin ARGS`; 127: it is not there. */
static int tool(const char *fmt, const char *dir, const char *args)
{
    char program[512], command[1400];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 16);
    CU_ASSERT_FATAL(n > 0);
    program[n] = 0;
    strcpy(strrchr(program, '/') + 1, "slxclbin");
    snprintf(command, sizeof command, fmt, program, args, dir, dir, dir);
    const int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* dir/out.xclbin; false: skipped. */
static bool pack(const char *dir, const char *target)
{
    temp_file_put(dir, "board", board_text, sizeof board_text);
    temp_file_put(dir, "core.so", core_text, sizeof core_text);
    const int code = tool("%s pack %s %s/board %s/core.so %s/out.xclbin 2>/dev/null", dir, target);
    if (code == 127) {
        printf("\nSKIPPED xclbin: slxclbin is not built (make xclbin)\n");
        CU_PASS("");
        return false;
    }
    CU_ASSERT_EQUAL_FATAL(code, 0);
    return true;
}

/* Ports have memories of their own, below 4 GB, and all of them lie in the card's. */
static void check_memories(const struct sl_xclbin *x, unsigned n_port, uint64_t card_bytes)
{
    struct sl_xclbin_memory m[SL_MAX_PORTS + 2];
    unsigned n = 0;
    while (n < SL_MAX_PORTS + 2 && sl_xclbin_memory_at(x, n, &m[n]))
        n++;
    CU_ASSERT_EQUAL_FATAL(n, n_port + 1);
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT(m[i].used && m[i].type == SL_XCLBIN_MEM_HBM);
        CU_ASSERT(m[i].bytes > 0 && m[i].bytes < 1ull << 32);
        CU_ASSERT(m[i].base + m[i].bytes <= card_bytes);
        for (unsigned k = 0; k < i; k++)
            CU_ASSERT(m[i].base >= m[k].base + m[k].bytes || m[k].base >= m[i].base + m[i].bytes);
    }
}

static void a_packed_design_reads_back(void)
{
    static const struct {
        const char *target, *platform;
        unsigned n_port;
        uint64_t gib;
    } cases[] = {{"u50 1x1 rtl", "xilinx_u50_gen3x16_xdma_5_202210_1", 1, 8},
                 {"u55c 4x4 rtl", "xilinx_u55c_gen3x16_xdma_3_202210_1", 4, 16},
                 {"u280 28x1 rtl", "xilinx_u280_gen3x16_xdma_1_202211_1", 28, 8},
                 {"u280 16x1 hls", "xilinx_u280_gen3x16_xdma_1_202211_1", 16, 8}};
    char dir[256];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_xclbin x;
        struct sl_xclbin_core core;
        struct sl_xclbin_ip ip;
        struct sl_xclbin_section s;
        if (!pack(dir, cases[i].target))
            return;
        CU_ASSERT_EQUAL_FATAL(sl_xclbin_open(&x, temp_path(dir, "out.xclbin")), 0);
        CU_ASSERT_EQUAL(x.mode, SL_XCLBIN_MODE_HW_EMU);
        CU_ASSERT_STRING_EQUAL(x.vbnv, cases[i].platform);
        CU_ASSERT_EQUAL_FATAL(sl_xclbin_core(&x, "x", &core), 0);
        CU_ASSERT_EQUAL(core.n_port, cases[i].n_port);
        CU_ASSERT_FATAL(sl_xclbin_ip_at(&x, 0, &ip));
        CU_ASSERT_STRING_EQUAL(ip.name, "sl_core:sl_core_1");
        CU_ASSERT_FALSE(sl_xclbin_ip_at(&x, 1, &ip));
        check_memories(&x, core.n_port, cases[i].gib << 30);
        /* What XRT unpacks holds both files as they are. */
        CU_ASSERT_FATAL(sl_xclbin_find(&x, SL_XCLBIN_BITSTREAM, &s));
        CU_ASSERT_PTR_NOT_NULL(memmem(s.data, s.size, board_text, sizeof board_text));
        CU_ASSERT_PTR_NOT_NULL(memmem(s.data, s.size, core_text, sizeof core_text));
        sl_xclbin_close(&x);
    }
}

static void the_same_inputs_give_the_same_bytes(void)
{
    char dir[256];
    struct sl_mapping first, second;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    if (!pack(dir, "u50 4x1 rtl"))
        return;
    CU_ASSERT_EQUAL_FATAL(sl_mapping_open(&first, temp_path(dir, "out.xclbin")), 0);
    CU_ASSERT_FATAL(pack(dir, "u50 4x1 rtl"));
    CU_ASSERT_EQUAL_FATAL(sl_mapping_open(&second, temp_path(dir, "out.xclbin")), 0);
    CU_ASSERT(first.size == second.size && !memcmp(first.data, second.data, first.size));
    sl_mapping_close(&first);
    sl_mapping_close(&second);
}

/* Every length but the right one, and every byte of header and tables. */
static void damaged_containers_are_refused_or_read(void)
{
    char dir[256];
    size_t size;
    char *data;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    if (!pack(dir, "u50 1x1 rtl"))
        return;
    CU_ASSERT_EQUAL_FATAL(sl_file_read(&data, &size, temp_path(dir, "out.xclbin"), 1 << 20), 0);
    for (size_t n = 0; n < size; n += n < 1000 ? 1 : 97) {
        struct sl_xclbin x;
        temp_file_put(dir, "cut", data, n);
        CU_ASSERT_EQUAL(sl_xclbin_open(&x, temp_path(dir, "cut")), SL_ERR_FORMAT);
    }
    for (size_t i = 0; i < size && i < 1200; i++) {
        struct sl_xclbin x;
        struct sl_xclbin_core core;
        data[i] = (char)(data[i] ^ 0x81);
        temp_file_put(dir, "bent", data, size);
        if (sl_xclbin_open(&x, temp_path(dir, "bent")) == 0) {
            const int err = sl_xclbin_core(&x, "bent", &core);
            CU_ASSERT(err == 0 || err == SL_ERR_FORMAT);
            sl_xclbin_close(&x);
        }
        data[i] = (char)(data[i] ^ 0x81);
    }
    free(data);
}

static void the_tool_refuses_what_it_cannot_make(void)
{
    static const char *const wrong[] = {"u50 0x1 rtl", "u50 29x1 rtl", "u50 1x4 hls", "u51 1x1 rtl",
                                        "u50 1 rtl",   "u50 1x1 vhdl", "u50 1x65 rtl"};
    char dir[256];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    if (!pack(dir, "u50 1x1 rtl"))
        return;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CU_ASSERT_EQUAL(
            tool("%s pack %s %s/board %s/core.so %s/no.xclbin 2>/dev/null", dir, wrong[i]), 2);
    CU_ASSERT_EQUAL(
        tool("%s pack %s %s/absent %s/core.so %s/no.xclbin 2>/dev/null", dir, "u50 1x1 rtl"), 1);
    CU_ASSERT_NOT_EQUAL(access(temp_path(dir, "no.xclbin"), F_OK), 0);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void calls_are_read_as_protobuf_writes_them(void)
{
    /* By hand: field 3 varint 0x1C0000000, field 4 bytes "abc", field 6 varint 64. */
    static const uint8_t message[] = {0x18, 0x80, 0x80, 0x80, 0x80, 0x1C, 0x22,
                                      0x03, 'a',  'b',  'c',  0x30, 0x40};
    static const uint8_t header[RPC_HEADER] = {0x09, 0x0D, 0, 0, 0, 0, 0, 0, 0, 0x15, 6, 0, 0, 0};
    struct rpc_message m;
    struct rpc_out out = {0};
    uint64_t size;
    uint32_t call;
    CU_ASSERT_FATAL(rpc_parse_header(header, &size, &call));
    CU_ASSERT(size == 13 && call == RPC_TO_DEVICE);
    CU_ASSERT_FATAL(rpc_parse(&m, message, sizeof message));
    CU_ASSERT(m.number[3] == 0x1C0000000 && m.number[6] == 64);
    CU_ASSERT(m.n_bytes[4] == 3 && !memcmp(m.bytes[4], "abc", 3));
    /* Cut anywhere inside of a field it is refused. */
    for (size_t n = 1; n < sizeof message; n++)
        CU_ASSERT_EQUAL(rpc_parse(&m, message, n), n == 6 || n == 11);
    rpc_put_number(&out, 3, 0x1C0000000);
    memcpy(rpc_put_bytes(&out, 4, 3), "abc", 3);
    rpc_put_number(&out, 6, 64);
    CU_ASSERT(out.size == sizeof message && !memcmp(out.data, message, sizeof message));
    free(out.data);
}

static const struct sl_case cases[] = {
    {"a_packed_design_reads_back", a_packed_design_reads_back},
    {"the_same_inputs_give_the_same_bytes", the_same_inputs_give_the_same_bytes},
    {"damaged_containers_are_refused_or_read", damaged_containers_are_refused_or_read},
    {"the_tool_refuses_what_it_cannot_make", the_tool_refuses_what_it_cannot_make},
    {"calls_are_read_as_protobuf_writes_them", calls_are_read_as_protobuf_writes_them},
    {NULL, NULL},
};
const struct sl_suite suite_xclbin = {"xclbin", cases};
