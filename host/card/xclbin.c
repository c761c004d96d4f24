/* SPDX-License-Identifier: Apache-2.0 */
#include "card/xclbin.h"

#include <string.h>

#include "base/err.h"
#include "sl_abi.h"

static const char magic[8] = "xclbin2";

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << 8 * i;
    return v;
}

/* A field of n characters, perhaps without an end; out has n + 1. What is not printable becomes a
 * question mark: names go into messages. */
static void get_text(char *out, const uint8_t *at, unsigned n)
{
    unsigned i = 0;
    for (; i < n && at[i]; i++)
        out[i] = at[i] >= ' ' && at[i] < 127 ? (char)at[i] : '?';
    out[i] = 0;
}

/* ---- container ------------------------------------------------------------------------------ */

static int refuse(const char *path, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "make xclbin", "%s is no xclbin: %s", path, why);
}

bool sl_xclbin_section_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_section *out)
{
    if (i >= x->n_section)
        return false;
    const uint8_t *at = x->map.data + SL_XCLBIN_HEADER + (size_t)i * SL_XCLBIN_SECTION;
    out->kind = (uint32_t)get(at, 4);
    get_text(out->name, at + 4, 16);
    out->data = x->map.data + get(at + 24, 8);
    out->size = (size_t)get(at + 32, 8);
    return true;
}

static const char *check(const struct sl_xclbin *x)
{
    for (uint32_t i = 0; i < x->n_section; i++) {
        const uint8_t *at = x->map.data + SL_XCLBIN_HEADER + (size_t)i * SL_XCLBIN_SECTION;
        const uint64_t offset = get(at + 24, 8), size = get(at + 32, 8);
        if (offset > x->map.size || size > x->map.size - offset)
            return "a section leaves the file";
    }
    return NULL;
}

int sl_xclbin_open(struct sl_xclbin *out, const char *path)
{
    struct sl_xclbin x = {0};
    int err = sl_mapping_open(&x.map, path);
    if (err)
        return err;
    const uint8_t *d = x.map.data;
    const char *why = NULL;
    if (x.map.size < SL_XCLBIN_HEADER || memcmp(d, magic, sizeof magic) != 0)
        why = "it does not begin like one";
    else if (get(d + SL_XCLBIN_AT_LENGTH, 8) != x.map.size)
        why = "it is cut off, or longer than it says";
    else {
        x.mode = (unsigned)get(d + SL_XCLBIN_AT_MODE, 2);
        x.n_section = (uint32_t)get(d + SL_XCLBIN_AT_N_SECTION, 4);
        memcpy(x.uuid, d + SL_XCLBIN_AT_UUID, sizeof x.uuid);
        get_text(x.vbnv, d + SL_XCLBIN_AT_VBNV, SL_XCLBIN_VBNV);
        const size_t table = SL_XCLBIN_HEADER + (size_t)x.n_section * SL_XCLBIN_SECTION;
        why = x.n_section > SL_XCLBIN_MAX_SECTION || table > x.map.size
                  ? "its section table leaves the file"
                  : check(&x);
    }
    if (why) {
        err = refuse(path, why);
        sl_mapping_close(&x.map);
        return err;
    }
    *out = x;
    return 0;
}

void sl_xclbin_close(struct sl_xclbin *x)
{
    sl_mapping_close(&x->map);
    *x = (struct sl_xclbin){0};
}

bool sl_xclbin_find(const struct sl_xclbin *x, uint32_t kind, struct sl_xclbin_section *out)
{
    for (uint32_t i = 0; sl_xclbin_section_at(x, i, out); i++)
        if (out->kind == kind)
            return true;
    return false;
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* Entry i of a counted list whose entries begin at byte `first`, or NULL. */
static const uint8_t *entry(const struct sl_xclbin *x, uint32_t kind, uint32_t i, size_t first,
                            size_t size)
{
    struct sl_xclbin_section s;
    if (!sl_xclbin_find(x, kind, &s) || s.size < first || i >= get(s.data, 4) ||
        i >= (s.size - first) / size)
        return NULL;
    return s.data + first + i * size;
}

bool sl_xclbin_memory_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_memory *out)
{
    const uint8_t *at = entry(x, SL_XCLBIN_MEMORY, i, SL_XCLBIN_LIST, SL_XCLBIN_MEMORY_ENTRY);
    if (!at)
        return false;
    out->type = at[0];
    out->used = at[1];
    out->bytes = get(at + 8, 8) * 1024;
    out->base = get(at + 16, 8);
    get_text(out->tag, at + 24, 16);
    return true;
}

bool sl_xclbin_ip_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_ip *out)
{
    const uint8_t *at = entry(x, SL_XCLBIN_IP, i, SL_XCLBIN_LIST, SL_XCLBIN_IP_ENTRY);
    if (!at)
        return false;
    out->type = (uint32_t)get(at, 4);
    out->properties = (uint32_t)get(at + 4, 4);
    out->base = get(at + 8, 8);
    get_text(out->name, at + 16, 64);
    return true;
}

bool sl_xclbin_connection_at(const struct sl_xclbin *x, uint32_t i,
                             struct sl_xclbin_connection *out)
{
    const uint8_t *at = entry(x, SL_XCLBIN_CONNECTIVITY, i, 4, SL_XCLBIN_CONNECTION_ENTRY);
    if (!at)
        return false;
    out->arg = (uint32_t)get(at, 4);
    out->ip = (uint32_t)get(at + 4, 4);
    out->memory = (uint32_t)get(at + 8, 4);
    return true;
}

/* ---- the core ------------------------------------------------------------------------------- */

/* Its pointer arguments are the control buffer, number 0, and the weight ports, 1 .. P. */
int sl_xclbin_core(const struct sl_xclbin *x, const char *path, struct sl_xclbin_core *out)
{
    struct sl_xclbin_ip ip;
    struct sl_xclbin_connection c;
    uint64_t args = 0;
    uint32_t i = 0;
    while (sl_xclbin_ip_at(x, i, &ip) && ip.type != SL_XCLBIN_IP_KERNEL)
        i++;
    if (!sl_xclbin_ip_at(x, i, &ip) || strncmp(ip.name, "sl_core:", 8) != 0)
        return refuse(path, "it holds no kernel sl_core");
    for (uint32_t k = 0; sl_xclbin_connection_at(x, k, &c); k++)
        if (c.ip == i && c.arg < 64)
            args |= 1ull << c.arg;
    out->n_port = 0;
    while (out->n_port <= SL_MAX_PORTS && args >> (out->n_port + 1) & 1)
        out->n_port++;
    if (!(args & 1) || out->n_port < 1 || out->n_port > SL_MAX_PORTS ||
        args != (2ull << out->n_port) - 1)
        return refuse(path, "the memories of its core are not connected");
    strcpy(out->kernel, ip.name);
    *strchr(out->kernel, ':') = 0;
    return 0;
}
