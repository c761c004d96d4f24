/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spm_normalizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/text.h"
#include "engine/vocab.h"

/* ---- the compiled map */

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int sl_spm_normalizer_read_map(struct sl_spm_normalizer *out, const uint8_t *map, size_t len,
                               bool *damaged)
{
    uint32_t trie = len > 4 ? read_u32(map) : 0;
    *damaged = trie == 0 || trie % 4 || trie >= len - 4 || map[len - 1] || len > INT32_MAX;
    if (*damaged)
        return 0;
    out->n_unit = trie / 4;
    out->n_text = (uint32_t)(len - 4 - trie);
    out->unit = sl_alloc(out->n_unit, sizeof *out->unit);
    out->text = sl_alloc(out->n_text, 1);
    if (!out->unit || !out->text)
        return SL_ERR_NOMEM;
    for (uint32_t i = 0; i < out->n_unit; i++)
        out->unit[i] = read_u32(map + 4 + 4 * (size_t)i);
    memcpy(out->text, map + 4 + trie, out->n_text);
    return 0;
}

void sl_spm_normalizer_free(struct sl_spm_normalizer *n)
{
    free(n->unit);
    free(n->text);
    sl_matcher_close(&n->user);
    memset(n, 0, sizeof *n);
}

/* A unit of Darts-clone's double array: bits 0..7 label, 8 has a leaf, 9 and 10.. offset; a leaf
 * has bit 31 and a value. */
static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* Longest key that text begins with: its length (0: none) and its replacement. */
static size_t match_map(const struct sl_spm_normalizer *n, const uint8_t *text, size_t len,
                        const char **replacement)
{
    size_t longest = 0;
    if (!n->unit)
        return 0;
    uint32_t at = unit_offset(n->unit[0]);
    for (size_t i = 0; i < len; i++) {
        at ^= text[i];
        if (at >= n->n_unit || (n->unit[at] & (1u << 31 | 0xff)) != text[i])
            break;
        uint32_t unit = n->unit[at];
        at ^= unit_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        uint32_t value = at < n->n_unit ? n->unit[at] & ~(1u << 31) : UINT32_MAX;
        if (value >= n->n_text)
            break;
        longest = i + 1;
        *replacement = n->text + value;
    }
    return longest;
}

/* ---- normalising */

/* One step: takes *n_in bytes, gives *out[*n_out]. */
static void take_prefix(const struct sl_spm_normalizer *n, const uint8_t *text, size_t len,
                        size_t *n_in, struct sl_name *out)
{
    const struct sl_name *user = sl_matcher_longest(&n->user, text, len);
    const char *replacement = NULL;
    size_t key = user ? 0 : match_map(n, text, len, &replacement);
    *out = (struct sl_name){text, 1, 0};
    if (user) {
        out->len = user->len;
        *n_in = user->len;
    } else if (key) {
        *out = (struct sl_name){(const uint8_t *)replacement, (uint32_t)strlen(replacement), 0};
        *n_in = key;
    } else if (sl_utf8_char(text, len) == 0) {
        *out = (struct sl_name){(const uint8_t *)"\xef\xbf\xbd", 3, 0};
        *n_in = 1;
    } else {
        out->len = (uint32_t)sl_utf8_char(text, len);
        *n_in = out->len;
    }
}

static int add_blank(const struct sl_spm_normalizer *n, struct sl_bytes *out)
{
    return n->escape_whitespaces ? sl_bytes_add(out, SL_BLANK, SL_BLANK_BYTES)
                                 : sl_bytes_add(out, " ", 1);
}

static int add_step(const struct sl_spm_normalizer *n, const struct sl_name *step,
                    bool *after_blank, struct sl_bytes *out)
{
    uint32_t i = 0;
    int err = 0;
    while (*after_blank && i < step->len && step->text[i] == ' ')
        i++;
    if (i == step->len)
        return 0;
    for (; i < step->len && !err; i++)
        err = step->text[i] == ' ' ? add_blank(n, out) : sl_bytes_add(out, step->text + i, 1);
    *after_blank = step->text[step->len - 1] == ' ' && n->remove_extra_whitespaces;
    return err;
}

/* Bytes of blanks at the start of the text. */
static size_t leading_blanks(const struct sl_spm_normalizer *n, const uint8_t *text, size_t len)
{
    size_t at = 0, taken;
    struct sl_name step;
    while (at < len) {
        take_prefix(n, text + at, len - at, &taken, &step);
        if (step.len != 1 || step.text[0] != ' ')
            break;
        at += taken;
    }
    return at;
}

static void drop_trailing_blanks(const struct sl_spm_normalizer *n, size_t start,
                                 struct sl_bytes *out)
{
    const char *blank = n->escape_whitespaces ? SL_BLANK : " ";
    size_t len = strlen(blank);
    while (out->n - start >= len && !memcmp(out->v + out->n - len, blank, len))
        out->n -= len;
}

int sl_spm_normalize(const struct sl_spm_normalizer *n, const uint8_t *text, size_t len,
                     bool dummy_prefix, struct sl_bytes *out)
{
    size_t at = n->remove_extra_whitespaces ? leading_blanks(n, text, len) : 0;
    size_t start = out->n, taken;
    bool after_blank = n->remove_extra_whitespaces;
    struct sl_name step;
    if (at == len)
        return 0;
    int err = n->dummy_prefix && dummy_prefix ? add_blank(n, out) : 0;
    for (; at < len && !err; at += taken) {
        take_prefix(n, text + at, len - at, &taken, &step);
        err = add_step(n, &step, &after_blank, out);
    }
    if (!err && n->remove_extra_whitespaces)
        drop_trailing_blanks(n, start, out);
    return err;
}
