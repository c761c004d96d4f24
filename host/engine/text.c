/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/text.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/err.h"

/* ---- UTF-8 */

size_t sl_utf8_char(const uint8_t *text, size_t len)
{
    utf8proc_int32_t cp;
    if (text[0] < 0x80)
        return 1;
    utf8proc_ssize_t n = utf8proc_iterate(text, len < 4 ? (utf8proc_ssize_t)len : 4, &cp);
    return n > 0 ? (size_t)n : 0;
}

size_t sl_utf8_valid(const uint8_t *text, size_t len)
{
    size_t i = 0;
    for (size_t n; i < len && (n = sl_utf8_char(text + i, len - i)) > 0;)
        i += n;
    return i;
}

size_t sl_utf8_invalid(const uint8_t *text, size_t len)
{
    size_t i = 0;
    while (i < len && sl_utf8_char(text + i, len - i) == 0)
        i++;
    return i;
}

/* ---- white space */

static bool is_white(utf8proc_int32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

size_t sl_white_at(const uint8_t *text, size_t len)
{
    utf8proc_int32_t cp;
    utf8proc_ssize_t n = len ? utf8proc_iterate(text, len < 4 ? (utf8proc_ssize_t)len : 4, &cp) : 0;
    return n > 0 && is_white(cp) ? (size_t)n : 0;
}

size_t sl_white_before(const uint8_t *text, size_t len)
{
    for (size_t n = 1; n <= 3 && n <= len; n++)
        if (sl_white_at(text + len - n, n) == n)
            return n;
    return 0;
}

/* ---- NFC */

/* Code points of one stretch, and room to sort a run of marks. */
struct scratch {
    utf8proc_int32_t *cp, *sorted;
    size_t cap;
};

static int scratch_reserve(struct scratch *s, size_t n)
{
    if (n <= s->cap)
        return 0;
    free(s->cp);
    free(s->sorted);
    s->cap = 0;
    s->cp = sl_alloc(n, sizeof *s->cp);
    s->sorted = sl_alloc(n, sizeof *s->sorted);
    if (!s->cp || !s->sorted)
        return SL_ERR_NOMEM;
    s->cap = n;
    return 0;
}

static unsigned combining_class(utf8proc_int32_t cp)
{
    return (unsigned)utf8proc_get_property(cp)->combining_class;
}

/* Stable counting sort by combining class: utf8proc's own ordering is quadratic in the length of a
 * run of marks, which a hostile text chooses. */
static void order_run(utf8proc_int32_t *cp, utf8proc_int32_t *sorted, size_t n)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++)
        start[combining_class(cp[i]) + 1]++;
    for (unsigned c = 0; c < 256; c++)
        start[c + 1] += start[c];
    for (size_t i = 0; i < n; i++)
        sorted[start[combining_class(cp[i])]++] = cp[i];
    memcpy(cp, sorted, n * sizeof *cp);
}

/* Unicode Standard 3.11, canonical ordering: marks between two starters by class. */
static void order_marks(struct scratch *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t end = i;
        while (end < n && combining_class(s->cp[end]))
            end++;
        if (end > i + 1)
            order_run(s->cp + i, s->sorted + i, end - i);
        i = end;
    }
}

/* A full canonical decomposition has at most 4 code points, and at most 3 for each 2 bytes of
 * UTF-8. */
enum { MAX_DECOMPOSED = 4 };

enum { HANGUL_T_BASE = 0x11a7 };

/* Composes ordered code points and writes them as UTF-8; returns the bytes. U+11A7 joins neither
 * neighbour, but utf8proc 2.8 swallows one behind a Hangul syllable, so it is kept out of its
 * reach. */
static size_t compose(utf8proc_int32_t *cp, size_t n, uint8_t *dst)
{
    size_t n_dst = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && cp[i] != HANGUL_T_BASE && cp[end] != HANGUL_T_BASE;)
            end++;
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(cp + i, (utf8proc_ssize_t)(end - i),
                                                             UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        for (utf8proc_ssize_t j = 0; j < composed; j++)
            n_dst += (size_t)utf8proc_encode_char(cp[i + (size_t)j], dst + n_dst);
    }
    return n_dst;
}

/* Normalises text[len], valid UTF-8, to dst (room for 4 bytes a decomposed code point). */
static int normalize_run(struct scratch *s, const uint8_t *text, size_t len, uint8_t *dst,
                         size_t *n_dst)
{
    int err = scratch_reserve(s, 2 * len + MAX_DECOMPOSED);
    if (err)
        return err;
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t cp;
        int last = 0;
        i += (size_t)utf8proc_iterate(text + i, (utf8proc_ssize_t)(len - i), &cp);
        n += (size_t)utf8proc_decompose_char(cp, s->cp + n, MAX_DECOMPOSED,
                                             UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last);
    }
    order_marks(s, n);
    *n_dst = compose(s->cp, n, dst);
    return 0;
}

static bool is_ascii(uint8_t byte)
{
    return byte < 0x80;
}

/* Copies ASCII and normalises what lies between. A mark may join the ASCII letter in front of it,
 * but no ASCII character joins what is in front, so a stretch runs from one ASCII character up to
 * the next. */
static int normalize_valid(struct scratch *s, const uint8_t *text, size_t len, uint8_t *dst,
                           size_t *n_dst)
{
    size_t n = 0;
    for (size_t i = 0, end; i < len; i = end) {
        size_t part;
        end = i + 1;
        if (is_ascii(text[i]) && (end == len || is_ascii(text[end]))) {
            dst[n++] = text[i];
            continue;
        }
        while (end < len && !is_ascii(text[end]))
            end++;
        int err = normalize_run(s, text + i, end - i, dst + n, &part);
        if (err)
            return err;
        n += part;
    }
    *n_dst = n;
    return 0;
}

int sl_text_normalize(const uint8_t *text, size_t len, uint8_t **out, size_t *n)
{
    struct scratch s = {0};
    /* NFC is at most 3 times as long in UTF-8 (Unicode FAQ on normalisation). */
    uint8_t *dst = sl_alloc(3 * len + 4, 1);
    size_t n_dst = 0;
    int err = dst ? 0 : SL_ERR_NOMEM;
    for (size_t i = 0; i < len && !err;) {
        size_t bad = sl_utf8_invalid(text + i, len - i), part = 0;
        memcpy(dst + n_dst, text + i, bad);
        n_dst += bad;
        i += bad;
        size_t good = sl_utf8_valid(text + i, len - i);
        err = normalize_valid(&s, text + i, good, dst + n_dst, &part);
        n_dst += part;
        i += good;
    }
    free(s.cp);
    free(s.sorted);
    if (err) {
        free(dst);
        return err;
    }
    *out = dst;
    *n = n_dst;
    return 0;
}
