/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ranks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "engine/string_table.h"

/* Offsets and ids stay below 2^31; the largest known rank file has 4 MB. */
enum { MAX_FILE = 1 << 28 };

struct parser {
    struct sl_ranks *ranks;
    const char *name;
    size_t line; /* 1-based, for messages */
    uint32_t n_bytes;
};

static int fail_line(const struct parser *p, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "the file is damaged or not a rank file: copy it again",
                   "%s:%zu: %s", p->name, p->line, why);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes canonical base64 into dst (3/4 of len). Returns the number of bytes or -1. */
static long base64_decode(const char *text, size_t len, uint8_t *dst)
{
    if (len == 0 || len % 4)
        return -1;
    size_t pad = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    long n = 0;
    for (size_t i = 0; i < len; i += 4) {
        size_t digits = i + 4 == len ? 4 - pad : 4;
        uint32_t word = 0;
        for (size_t j = 0; j < 4; j++) {
            int v = j < digits ? base64_value(text[i + j]) : 0;
            if (v < 0)
                return -1;
            word = word << 6 | (uint32_t)v;
        }
        for (size_t j = 0; j + 1 < digits; j++)
            dst[n++] = (uint8_t)(word >> (16 - 8 * j));
        if (word & ((1u << (8 * (4 - digits))) - 1)) /* bits behind the last byte */
            return -1;
    }
    return n;
}

static uint32_t find_slot(const struct sl_ranks *r, const uint8_t *bytes, size_t len)
{
    const struct sl_strings all = {r->bytes, r->offset, r->slot, r->mask};
    return sl_strings_slot(&all, bytes, len);
}

uint32_t sl_ranks_find(const struct sl_ranks *ranks, const uint8_t *bytes, size_t len)
{
    if (len > ranks->max_len)
        return SL_RANK_NONE;
    return ranks->slot[find_slot(ranks, bytes, len)] - 1;
}

static int parse_rank(const struct parser *p, const char *text, size_t len)
{
    uint64_t rank = 0;
    if (len == 0 || len > 10)
        return fail_line(p, "expected \"base64 rank\"");
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return fail_line(p, "the rank is not a number");
        rank = rank * 10 + (uint64_t)(text[i] - '0');
    }
    if (rank < p->ranks->n)
        return fail_line(p, "this rank was given before");
    if (rank > p->ranks->n)
        return fail_line(p, "ranks are missing before this one");
    return 0;
}

static int parse_line(struct parser *p, const char *text, size_t len)
{
    struct sl_ranks *r = p->ranks;
    const char *space = memchr(text, ' ', len);
    if (!space)
        return fail_line(p, "expected \"base64 rank\"");
    size_t n_digit = (size_t)(space - text);
    int err = parse_rank(p, space + 1, len - n_digit - 1);
    if (err)
        return err;
    long n = base64_decode(text, n_digit, r->bytes + p->n_bytes);
    if (n <= 0)
        return fail_line(p, "bad base64");
    uint32_t slot = find_slot(r, r->bytes + p->n_bytes, (size_t)n);
    if (r->slot[slot])
        return fail_line(p, "this token was given before");
    if (n == 1)
        r->of_byte[r->bytes[p->n_bytes]] = r->n;
    if (n > r->max_len)
        r->max_len = (uint32_t)n;
    p->n_bytes += (uint32_t)n;
    r->slot[slot] = ++r->n;
    r->offset[r->n] = p->n_bytes;
    return 0;
}

static int parse_lines(struct parser *p, const char *text, size_t len)
{
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t full = end ? (size_t)(end - text) + 1 : len;
        size_t n = end ? full - 1 : full;
        n -= n && text[n - 1] == '\r';
        p->line++;
        int err = n ? parse_line(p, text, n) : 0;
        if (err)
            return err;
        text += full;
        len -= full;
    }
    for (unsigned b = 0; b < 256; b++)
        if (p->ranks->of_byte[b] == SL_RANK_NONE) {
            char why[64];
            snprintf(why, sizeof why, "the file ends without the single byte 0x%02x", b);
            return fail_line(p, why);
        }
    return 0;
}

/* A rank line has at least 6 bytes ("AA== 0"), so len / 6 + 1 bounds the number of ranks. */
static int allocate(struct sl_ranks *r, size_t len)
{
    uint32_t n = (uint32_t)(len / 6 + 1), slots = sl_strings_slots(n);
    r->mask = slots - 1;
    r->bytes = sl_alloc(len + 1, 1);
    r->offset = sl_alloc((size_t)n + 1, sizeof *r->offset);
    r->slot = sl_alloc(slots, sizeof *r->slot);
    memset(r->of_byte, 0xff, sizeof r->of_byte);
    return r->bytes && r->offset && r->slot ? 0 : SL_ERR_NOMEM;
}

int sl_ranks_parse(struct sl_ranks *out, const char *name, const char *text, size_t len)
{
    struct parser p = {.ranks = out, .name = name};
    memset(out, 0, sizeof *out);
    if (len > MAX_FILE)
        return sl_fail(SL_ERR_FORMAT, "is this a rank file?", "%s: %zu bytes are too many", name,
                       len);
    int err = allocate(out, len);
    if (!err)
        err = parse_lines(&p, text, len);
    if (err)
        sl_ranks_free(out);
    return err;
}

static int fail_io(const char *path, const char *why)
{
    return sl_fail(SL_ERR_IO, "check the path and its permissions", "%s: %s", path, why);
}

int sl_ranks_load(struct sl_ranks *out, const char *path)
{
    memset(out, 0, sizeof *out);
    FILE *f = fopen(path, "rbe");
    if (!f)
        return fail_io(path, strerror(errno));
    struct stat st;
    char *text = NULL;
    int err;
    if (fstat(fileno(f), &st))
        err = fail_io(path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        err = fail_io(path, "not a regular file");
    else if (st.st_size > MAX_FILE)
        err = sl_fail(SL_ERR_FORMAT, "is this a rank file?", "%s: larger than 256 MB", path);
    else if (!(text = sl_alloc((size_t)st.st_size + 1, 1)))
        err = SL_ERR_NOMEM;
    else if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        err = fail_io(path,
                      ferror(f) ? strerror(errno) : "the file became shorter while it was read");
    else
        err = sl_ranks_parse(out, path, text, (size_t)st.st_size);
    free(text);
    fclose(f);
    return err;
}

void sl_ranks_free(struct sl_ranks *ranks)
{
    free(ranks->bytes);
    free(ranks->offset);
    free(ranks->slot);
    memset(ranks, 0, sizeof *ranks);
}
