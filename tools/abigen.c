/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abigen version|sv|md|tables ABI_DIR: prints abi/gen/sl_abi_version.h, abi/gen/sl_abi_pkg.sv,
 * docs/registers.md or rtl/gen/sl_table_pkg.sv from the .def files (tables: those of hls/). The
 * compiler is the parser: the files are included, and only hashed as text.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct entry {
    const char *group, *name, *type, *doc;
    long value;
};

static const struct entry params[] = {
#define PARAM(name, value, doc) {"", #name, "", doc, value},
#include "params.def"
#undef PARAM
};
static const struct entry codes[] = {
#define CODE(group, name, value, doc) {#group, #name, "", doc, value},
#include "codes.def"
#undef CODE
};
static const struct entry fields[] = {
#define FIELD(object, type, name, offset, doc) {#object, #name, #type, doc, offset},
#include "desc.def"
#undef FIELD
};
enum { ARG_POINTER, ARG_PORT_LIST, ARG_WORD, CONTROL_WORD };
static const struct entry regs[] = {
#define ARG_PTR(name, doc) {"", #name, "", doc, ARG_POINTER},
#define ARG_PORTS(doc) {"", "W", "", doc, ARG_PORT_LIST},
#define ARG_U32(name, doc) {"", #name, "", doc, ARG_WORD},
#define REG(name, offset, doc) {#name, #offset, "", doc, CONTROL_WORD},
#include "regs.def"
#undef ARG_PTR
#undef ARG_PORTS
#undef ARG_U32
#undef REG
};
struct codebook {
    const char *name;
    int value[16];
};
static const struct codebook books[] = {
#define CODEBOOK(name, ...) {#name, {__VA_ARGS__}},
#include "tables.def"
#undef CODEBOOK
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* FNV-1a over the text of the .def files and of the arithmetic that they stand for. */
static int hash_file(const char *dir, const char *name, uint32_t *hash)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "abigen: cannot read %s\n", path);
        return -1;
    }
    for (int c = getc(f); c != EOF; c = getc(f))
        *hash = (*hash ^ (uint32_t)c) * 16777619u;
    fclose(f);
    return 0;
}

static int abi_hash(const char *dir, uint32_t *hash)
{
    static const char *const names[] = {"params.def", "codes.def", "desc.def", "regs.def",
                                        "tables.def"};
    *hash = 2166136261u;
    for (size_t i = 0; i < COUNT(names); i++)
        if (hash_file(dir, names[i], hash))
            return -1;
    return 0;
}

static unsigned type_bits(const char *type)
{
    unsigned bits = 0;
    const char *digits = type + strcspn(type, "0123456789");
    sscanf(digits, "%u", &bits);
    return bits;
}

/* Fields of one structure must tile 64 bytes without holes. */
static int check_tiling(const char *object)
{
    long at = 0;
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (strcmp(fields[i].group, object))
            continue;
        if (fields[i].value != at) {
            fprintf(stderr, "abigen: %s.%s at %ld, expected %ld\n", object, fields[i].name,
                    fields[i].value, at);
            return -1;
        }
        at += type_bits(fields[i].type) / 8;
    }
    if (at != 64)
        fprintf(stderr, "abigen: %s has %ld bytes\n", object, at);
    return at == 64 ? 0 : -1;
}

static const char *const objects[] = {"job", "record", "slab", "caps", "route"};

/* The first member of a packed struct is its most significant: fields are printed in reverse. */
static void print_sv_struct(const char *object)
{
    puts("  typedef struct packed {");
    for (size_t i = COUNT(fields); i-- > 0;)
        if (!strcmp(fields[i].group, object))
            printf("    logic %s[%u:0] %s;\n", fields[i].type[0] == 'i' ? "signed " : "",
                   type_bits(fields[i].type) - 1, fields[i].name);
    printf("  } sl_%s_t;\n\n", object);
}

static void print_sv_lower(const char *text)
{
    for (; *text; text++)
        putchar(*text >= 'a' && *text <= 'z' ? *text - 32 : *text);
}

static void print_sv(uint32_t version)
{
    puts("// SPDX-License-Identifier: Apache-2.0\n"
         "// Generated from abi/*.def by tools/abigen.c; `make gen` renews it, `make check-gen` "
         "compares it.\n"
         "package sl_abi_pkg;\n");
    printf("  localparam logic [31:0] SL_ABI_VERSION = 32'h%08" PRIx32 ";\n\n", version);
    for (size_t i = 0; i < COUNT(params); i++)
        printf("  localparam int SL_%s = %ld;\n", params[i].name, params[i].value);
    puts("");
    for (size_t i = 0; i < COUNT(codes); i++)
        printf("  localparam int SL_%s_%s = %ld;\n", codes[i].group, codes[i].name, codes[i].value);
    puts("\n  // Code books, entry 0 lowest, 8 bits each.");
    for (size_t i = 0; i < COUNT(books); i++) {
        printf("  localparam logic [127:0] SL_CODEBOOK_%s = 128'h", books[i].name);
        for (int j = 15; j >= 0; j--)
            printf("%02x", (unsigned)books[i].value[j] & 255u);
        puts(";");
    }
    puts("\n  // Bit position of each field in its 512-bit beat.");
    for (size_t i = 0; i < COUNT(fields); i++) {
        printf("  localparam int SL_LSB_");
        print_sv_lower(fields[i].group);
        putchar('_');
        print_sv_lower(fields[i].name);
        printf(" = %ld;\n", fields[i].value * 8);
    }
    puts("");
    for (size_t i = 0; i < COUNT(objects); i++)
        print_sv_struct(objects[i]);
    puts("  // Argument offsets of a core with p weight ports.");
    int words = 0;
    for (size_t i = 0; i < COUNT(regs); i++)
        if (regs[i].value == ARG_POINTER)
            printf("  localparam int SL_ARG_%s = 'h10;\n", regs[i].name);
        else if (regs[i].value == ARG_PORT_LIST)
            puts("  function automatic int sl_arg_w(input int p);\n    sl_arg_w = 'h1C + 12 * p;\n "
                 " endfunction");
        else if (regs[i].value == ARG_WORD)
            printf("  localparam int SL_ARG_WORD_%s = %d;  // at sl_arg_w(P) + this\n",
                   regs[i].name, 8 * words++);
    puts("\nendpackage");
}

static void print_md_fields(void)
{
    for (size_t o = 0; o < COUNT(objects); o++) {
        printf("\n## %s\n\n| offset | type | field | meaning |\n|---|---|---|---|\n", objects[o]);
        for (size_t i = 0; i < COUNT(fields); i++)
            if (!strcmp(fields[i].group, objects[o]))
                printf("| %ld | %s | `%s` | %s |\n", fields[i].value, fields[i].type,
                       fields[i].name, fields[i].doc);
    }
}

static void print_md_registers(void)
{
    puts("\n## Registers of sl_core (AXI4-Lite, ap_ctrl_hs)\n\n| offset | name | meaning "
         "|\n|---|---|---|");
    for (size_t i = 0; i < COUNT(regs); i++)
        if (regs[i].value == CONTROL_WORD)
            printf("| %s | %s | %s |\n", regs[i].name, regs[i].group, regs[i].doc);
    int words = 0;
    for (size_t i = 0; i < COUNT(regs); i++)
        if (regs[i].value == ARG_POINTER)
            printf("| 0x10 | %s | %s (64 bits) |\n", regs[i].name, regs[i].doc);
        else if (regs[i].value == ARG_PORT_LIST)
            printf("| 0x1C + 12 p | W[p] | %s (64 bits, p < P) |\n", regs[i].doc);
        else if (regs[i].value == ARG_WORD)
            printf("| 0x1C + 12 P + %d | %s | %s |\n", 8 * words++, regs[i].name, regs[i].doc);
}

static void print_md(uint32_t version)
{
    puts("# Registers, jobs, records, codes\n\nGenerated from `abi/*.def` by `tools/abigen.c`; "
         "`make gen` renews it. Meaning of the arithmetic: "
         "[numerics.md](numerics.md).\n");
    printf("ABI version: `0x%08" PRIx32 "` (hash of the definition files)\n", version);
    print_md_registers();
    print_md_fields();
    puts("\n## Codes\n\n| code | value | meaning |\n|---|---|---|");
    for (size_t i = 0; i < COUNT(codes); i++)
        printf("| `%s_%s` | %ld | %s |\n", codes[i].group, codes[i].name, codes[i].value,
               codes[i].doc);
    puts("\n## Limits\n\n| name | value | meaning |\n|---|---|---|");
    for (size_t i = 0; i < COUNT(params); i++)
        printf("| `%s` | %ld | %s |\n", params[i].name, params[i].value, params[i].doc);
    puts("\n## Code books\n\n| format | values of codes 0 to 15 |\n|---|---|");
    for (size_t i = 0; i < COUNT(books); i++) {
        printf("| `%s` |", books[i].name);
        for (int j = 0; j < 16; j++)
            printf(" %d", books[i].value[j]);
        puts(" |");
    }
}

static const uint32_t sigmoid[] = {
#include "sigmoid.def"
};
static const uint32_t exp2_neg[] = {
#include "exp2.def"
};

/* One packed constant, entry 0 lowest: digits are printed from the top, four bits at a time. */
static void print_sv_table(const char *name, const uint32_t *table, unsigned n, unsigned bits)
{
    unsigned total = n * bits;
    printf("  localparam logic [%u:0] %s = %u'h", total - 1, name, total);
    for (unsigned digit = (total + 3) / 4; digit-- > 0;) {
        unsigned v = 0;
        for (unsigned b = 4 * digit; b < 4 * digit + 4 && b < total; b++)
            v |= (table[b / bits] >> b % bits & 1u) << b % 4;
        printf("%x", v);
    }
    puts(";");
}

static void print_sv_tables(void)
{
    puts("// SPDX-License-Identifier: Apache-2.0\n"
         "// Generated from hls/sigmoid.def and hls/exp2.def by tools/abigen.c; `make gen` renews "
         "it.\n"
         "package sl_table_pkg;\n\n"
         "  // round(65536 / (1 + exp(-i / 16))), i = 0..256, 17 bits each.");
    print_sv_table("SL_SIGMOID", sigmoid, COUNT(sigmoid), 17);
    puts("\n  // round(2^30 2^(-i / 256)), i = 0..256, 31 bits each.");
    print_sv_table("SL_EXP2", exp2_neg, COUNT(exp2_neg), 31);
    puts("\nendpackage");
}

int main(int argc, char **argv)
{
    uint32_t version;
    if (argc != 3 || abi_hash(argv[2], &version))
        return 2;
    for (size_t i = 0; i < COUNT(objects); i++)
        if (check_tiling(objects[i]))
            return 1;
    if (!strcmp(argv[1], "version"))
        printf("/* SPDX-License-Identifier: Apache-2.0 */\n/* Generated by tools/abigen.c: a hash "
               "of the .def files. */\n"
               "#define SL_ABI_VERSION 0x%08" PRIx32 "u\n",
               version);
    else if (!strcmp(argv[1], "sv"))
        print_sv(version);
    else if (!strcmp(argv[1], "tables"))
        print_sv_tables();
    else if (!strcmp(argv[1], "md"))
        print_md(version);
    else
        return 2;
    return 0;
}
