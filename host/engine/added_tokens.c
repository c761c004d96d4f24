/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/text.h"

static int put_name(struct sl_added_set *set, struct sl_added *token, const void *name, size_t len)
{
    token->at = (uint32_t)set->text.n;
    token->len = (uint32_t)len;
    return sl_bytes_add(&set->text, name, len);
}

int sl_added_add(struct sl_added_set *set, const struct sl_added *token, const void *name,
                 size_t len)
{
    struct sl_added added = *token;
    if (len == 0)
        return 0;
    if (set->n == set->cap) {
        uint32_t cap = 2 * set->cap + 16;
        struct sl_added *v = realloc(set->token, cap * sizeof *v);
        if (!v)
            return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the added tokens");
        set->token = v;
        set->cap = cap;
    }
    int err = put_name(set, &added, name, len);
    if (!err)
        set->token[set->n++] = added;
    return err;
}

int sl_added_rename(struct sl_added_set *set, uint32_t i, const void *name, size_t len)
{
    return put_name(set, &set->token[i], name, len);
}

static int open_names(struct sl_added_set *set, bool normalized, struct sl_matcher *out)
{
    struct sl_name *name = sl_alloc(set->n, sizeof *name);
    uint32_t n = 0;
    if (!name)
        return SL_ERR_NOMEM;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct sl_added *t = &set->token[i];
        if (t->normalized == normalized && t->len)
            name[n++] = (struct sl_name){set->text.v + t->at, t->len, i};
    }
    int err = sl_matcher_open(out, name, n);
    free(name);
    return err;
}

int sl_added_finish(struct sl_added_set *set)
{
    int err = open_names(set, false, &set->raw);
    return err ? err : open_names(set, true, &set->normal);
}

void sl_added_free(struct sl_added_set *set)
{
    free(set->token);
    free(set->text.v);
    sl_matcher_close(&set->raw);
    sl_matcher_close(&set->normal);
    memset(set, 0, sizeof *set);
}

/* ---- cutting */

/* The next token at or behind `searched`; NULL: none. */
static const struct sl_added *find(struct sl_cutter *c, size_t *at)
{
    while (c->searched < c->len) {
        size_t i = c->searched;
        const struct sl_name *name = sl_matcher_longest(c->names, c->text + i, c->len - i);
        c->searched = i + (name ? name->len : 1);
        const struct sl_added *token = name ? &c->set->token[name->tag] : NULL;
        *at = i;
        if (token && (c->parse_special || !token->special))
            return token;
    }
    return NULL;
}

static struct sl_cut take_blanks(const struct sl_cutter *c, const struct sl_added *token, size_t at)
{
    size_t end = at + token->len, n;
    while (token->lstrip && at > c->done && (n = sl_white_before(c->text + c->done, at - c->done)))
        at -= n;
    while (token->rstrip && end < c->len && (n = sl_white_at(c->text + end, c->len - end)))
        end += n;
    return (struct sl_cut){at, end, token};
}

bool sl_cutter_next(struct sl_cutter *c, struct sl_cut *out)
{
    if (!c->held.token) {
        size_t at;
        const struct sl_added *token = find(c, &at);
        c->held = token ? take_blanks(c, token, at) : (struct sl_cut){c->len, c->len, NULL};
        if (c->done < c->held.at) {
            *out = (struct sl_cut){c->done, c->held.at, NULL};
            c->done = c->held.at;
            return true;
        }
    }
    *out = c->held;
    c->done = c->held.end;
    c->held.token = NULL;
    return out->token != NULL;
}
