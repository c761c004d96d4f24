/* SPDX-License-Identifier: Apache-2.0 */
/* Prints package miter_rom_pkg: what the decoders of hls/primitives.h say of every code, entry 0
 * lowest, for tests/rtl/miter_num.sv. */
#include <stdio.h>

#include "primitives.h"

/* One packed constant of n entries. value() sees the entry's number. */
static void print_rom(const char *name, unsigned n, unsigned bits, int32_t (*value)(uint32_t))
{
    printf("  localparam logic [%u:0] %s = {", n * bits - 1, name);
    for (uint32_t i = n; i-- > 0;)
        printf("%s%u'd%u", i == n - 1 ? "" : ", ", bits, (uint32_t)value(i) & ((1u << bits) - 1));
    puts("};");
}

static int32_t of_format(uint32_t i)
{
    return sl_decode_4bit(i >> 4, i & 15);
}

static int32_t is_4bit(uint32_t format)
{
    return sl_format_is_4bit(format);
}

int main(void)
{
    puts("// SPDX-License-Identifier: Apache-2.0\npackage miter_rom_pkg;\n");
    print_rom("FP8", 256, 19, sl_decode_fp8);
    print_rom("S8", 256, 8, sl_decode_s8);
    print_rom("CODE4", 8 * 16, 8, of_format);
    print_rom("IS_4BIT", 8, 1, is_4bit);
    puts("\nendpackage");
    return 0;
}
