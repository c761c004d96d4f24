/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "card/xclbin.h"
#include "pack.h"

static const char *kind_name(uint32_t kind)
{
    switch (kind) {
    case SL_XCLBIN_BITSTREAM: return "BITSTREAM";
    case SL_XCLBIN_METADATA: return "EMBEDDED_METADATA";
    case SL_XCLBIN_MEMORY: return "MEM_TOPOLOGY";
    case SL_XCLBIN_CONNECTIVITY: return "CONNECTIVITY";
    case SL_XCLBIN_IP: return "IP_LAYOUT";
    case SL_XCLBIN_DEBUG_IP: return "DEBUG_IP_LAYOUT";
    case SL_XCLBIN_CLOCKS: return "CLOCK_FREQ_TOPOLOGY";
    case SL_XCLBIN_BUILD: return "BUILD_METADATA";
    default: return "?";
    }
}

static bool open_file(struct sl_xclbin *x, const char *path)
{
    if (sl_xclbin_open(x, path) == 0)
        return true;
    fprintf(stderr, "error: %s\n", sl_error_message());
    return false;
}

static void uuid_text(char out[37], const uint8_t *uuid)
{
    char *at = out;
    for (unsigned i = 0; i < 16; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void show_text(const struct sl_xclbin *x)
{
    struct sl_xclbin_section s;
    struct sl_xclbin_memory m;
    struct sl_xclbin_ip ip;
    struct sl_xclbin_connection c;
    char uuid[37];
    uuid_text(uuid, x->uuid);
    printf("platform  %s\nmode      %u%s\nuuid      %s\n\n", x->vbnv, x->mode,
           x->mode == SL_XCLBIN_MODE_HW_EMU ? " (hardware emulation)" : "", uuid);
    for (uint32_t i = 0; sl_xclbin_section_at(x, i, &s); i++)
        printf("section   %2" PRIu32 " %-20s %-16s %zu bytes\n", s.kind, kind_name(s.kind), s.name,
               s.size);
    for (uint32_t i = 0; sl_xclbin_memory_at(x, i, &m); i++)
        printf("memory    %2" PRIu32 " %-16s 0x%010" PRIx64 " %" PRIu64 " MiB%s\n", i, m.tag,
               m.base, m.bytes >> 20, m.used ? "" : ", not used");
    for (uint32_t i = 0; sl_xclbin_ip_at(x, i, &ip); i++)
        printf("ip        %2" PRIu32 " %s at 0x%" PRIx64 "\n", i, ip.name, ip.base);
    for (uint32_t i = 0; sl_xclbin_connection_at(x, i, &c); i++)
        printf("argument  %2" PRIu32 " of ip %" PRIu32 " in memory %" PRIu32 "\n", c.arg, c.ip,
               c.memory);
}

static json_t *list_memories(const struct sl_xclbin *x)
{
    struct sl_xclbin_memory m;
    json_t *list = json_array();
    for (uint32_t i = 0; sl_xclbin_memory_at(x, i, &m); i++)
        json_array_append_new(list,
                              json_pack("{ss sI sI sb}", "tag", m.tag, "base", (json_int_t)m.base,
                                        "bytes", (json_int_t)m.bytes, "used", m.used));
    return list;
}

static json_t *list_ips(const struct sl_xclbin *x)
{
    struct sl_xclbin_ip ip;
    struct sl_xclbin_connection c;
    json_t *list = json_array();
    for (uint32_t i = 0; sl_xclbin_ip_at(x, i, &ip); i++) {
        json_t *args = json_array();
        for (uint32_t k = 0; sl_xclbin_connection_at(x, k, &c); k++)
            if (c.ip == i)
                json_array_append_new(
                    args, json_pack("{si si}", "argument", (int)c.arg, "memory", (int)c.memory));
        json_array_append_new(list, json_pack("{ss sI so}", "name", ip.name, "base",
                                              (json_int_t)ip.base, "connections", args));
    }
    return list;
}

static void show_json(const struct sl_xclbin *x)
{
    struct sl_xclbin_section s;
    char uuid[37];
    json_t *sections = json_array();
    uuid_text(uuid, x->uuid);
    for (uint32_t i = 0; sl_xclbin_section_at(x, i, &s); i++)
        json_array_append_new(sections, json_pack("{si ss ss sI}", "kind", (int)s.kind, "type",
                                                  kind_name(s.kind), "name", s.name, "bytes",
                                                  (json_int_t)s.size));
    json_t *all =
        json_pack("{ss si ss so so so}", "platform", x->vbnv, "mode", (int)x->mode, "uuid", uuid,
                  "sections", sections, "memories", list_memories(x), "ips", list_ips(x));
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

bool show(const char *path, bool json)
{
    struct sl_xclbin x;
    if (!open_file(&x, path))
        return false;
    if (json)
        show_json(&x);
    else
        show_text(&x);
    sl_xclbin_close(&x);
    return true;
}

bool extract(const char *path, unsigned section, const char *out)
{
    struct sl_xclbin x;
    struct sl_xclbin_section s;
    if (!open_file(&x, path))
        return false;
    bool good = sl_xclbin_find(&x, section, &s);
    if (!good)
        fprintf(stderr, "error: %s has no section %u; hint: slxclbin show %s\n", path, section,
                path);
    FILE *file = good ? fopen(out, "wb") : NULL;
    if (good) {
        good = file && fwrite(s.data, 1, s.size, file) == s.size;
        good = file && fclose(file) == 0 && good;
        if (!good)
            fprintf(stderr, "error: cannot write %s\n", out);
    }
    sl_xclbin_close(&x);
    return good;
}
