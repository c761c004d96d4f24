/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/matcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int compare_text(const struct sl_name *x, const struct sl_name *y)
{
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int compare(const void *a, const void *b)
{
    const struct sl_name *x = a, *y = b;
    int order = compare_text(x, y);
    return order ? order : (x->tag > y->tag) - (x->tag < y->tag);
}

int sl_matcher_open(struct sl_matcher *out, const struct sl_name *name, uint32_t n)
{
    memset(out, 0, sizeof *out);
    size_t len = 0;
    for (uint32_t i = 0; i < n; i++)
        len += name[i].len;
    out->name = sl_alloc(n, sizeof *name);
    out->text = sl_alloc(len, 1);
    if (!out->name || !out->text)
        return SL_ERR_NOMEM;
    for (uint32_t i = 0, at = 0; i < n; at += name[i++].len) {
        memcpy(out->text + at, name[i].text, name[i].len);
        out->name[i] = (struct sl_name){out->text + at, name[i].len, name[i].tag};
    }
    qsort(out->name, n, sizeof *name, compare);
    for (uint32_t i = 0; i < n; i++)
        if (out->n == 0 || compare_text(&out->name[out->n - 1], &out->name[i]))
            out->name[out->n++] = out->name[i];
    for (unsigned b = 0, i = 0; b < 256; b++) {
        while (i < out->n && out->name[i].text[0] == b)
            i++;
        out->first[b + 1] = i;
    }
    return 0;
}

void sl_matcher_close(struct sl_matcher *m)
{
    free(m->name);
    free(m->text);
    memset(m, 0, sizeof *m);
}

/* First of name[lo, hi) whose byte `at` is not below `byte`; all have more than `at` bytes. */
static uint32_t lower_bound(const struct sl_matcher *m, uint32_t lo, uint32_t hi, size_t at,
                            unsigned byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (m->name[mid].text[at] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct sl_name *sl_matcher_longest(const struct sl_matcher *m, const uint8_t *text,
                                         size_t len)
{
    const struct sl_name *best = NULL;
    if (len == 0)
        return NULL;
    uint32_t lo = m->first[text[0]], hi = m->first[text[0] + 1];
    for (size_t at = 1; lo < hi; at++) {
        /* All in [lo, hi) begin with text[0, at); a name that ends there is the first of them. */
        if (m->name[lo].len == at)
            best = &m->name[lo++];
        if (at == len)
            break;
        lo = lower_bound(m, lo, hi, at, text[at]);
        hi = lower_bound(m, lo, hi, at, text[at] + 1u);
    }
    return best;
}
