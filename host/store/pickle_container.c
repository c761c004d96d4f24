/* SPDX-License-Identifier: Apache-2.0 */
/* Tuples, lists and dictionaries. */
#include <string.h>

#include "store/pickle_machine.h"

int sl_pickle_empty_dict(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    return sl_pickle_push(m,
                          (struct sl_pickle_value){.kind = SL_PICKLE_DICT, .index = m->n_dict++});
}

/* *out = the topmost n values, which are no marks. */
static int look(const struct sl_pickle_machine *m, unsigned n, const struct sl_pickle_value **out)
{
    const struct sl_pickle_value *v = m->stack.at;
    for (unsigned i = 1; i <= n; i++)
        if (i > m->stack.n || v[m->stack.n - i].kind == SL_PICKLE_MARK)
            return sl_pickle_bad(m, "takes more values than there are");
    *out = v + m->stack.n - n;
    return 0;
}

/* The topmost n values become a tuple. */
int sl_pickle_tuple_of(struct sl_pickle_machine *m, unsigned n)
{
    const struct sl_pickle_value tuple = {.kind = SL_PICKLE_TUPLE, .n = n, .index = m->item.n};
    const struct sl_pickle_value *v;
    int err = look(m, n, &v);
    for (unsigned i = 0; i < n && !err; i++) {
        void *place = NULL;
        err = sl_pickle_add(m, &m->item, &place);
        if (!err)
            memcpy(place, v + i, sizeof *v);
    }
    m->stack.n -= err ? 0 : n;
    return err ? err : sl_pickle_push(m, tuple);
}

/* The last mark goes away; *n values lay above it and stay. */
static int take_mark(struct sl_pickle_machine *m, unsigned *n)
{
    struct sl_pickle_value *v = m->stack.at;
    for (*n = 0; *n < m->stack.n; ++*n) {
        struct sl_pickle_value *mark = v + m->stack.n - 1 - *n;
        if (mark->kind != SL_PICKLE_MARK)
            continue;
        memmove(mark, mark + 1, *n * sizeof *mark);
        m->stack.n--;
        return 0;
    }
    return sl_pickle_bad(m, "there is no MARK");
}

int sl_pickle_tuple(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    unsigned n;
    int err = take_mark(m, &n);
    return err ? err : sl_pickle_tuple_of(m, n);
}

/* Only tensors are remembered. */
static int set_item(struct sl_pickle_machine *m, size_t dict, const struct sl_pickle_value *key,
                    const struct sl_pickle_value *value)
{
    void *place = NULL;
    if (value->kind != SL_PICKLE_TENSOR)
        return 0;
    if (key->kind != SL_PICKLE_TEXT)
        return sl_pickle_unsupported(m, "a tensor whose key is not a text");
    int err = sl_pickle_add(m, &m->pair, &place);
    if (!err)
        *(struct sl_pickle_pair *)place = (struct sl_pickle_pair){
            .dict = dict, .tensor = value->index, .name = {key->text, key->n}};
    return err;
}

/* The topmost n values are keys and values of the dictionary below them. */
int sl_pickle_set_pairs(struct sl_pickle_machine *m, unsigned n)
{
    const struct sl_pickle_value *v;
    int err = look(m, n + 1, &v);
    if (!err && (n % 2 || v[0].kind != SL_PICKLE_DICT))
        err = sl_pickle_bad(m, "expected a dictionary, keys and values");
    for (unsigned i = 1; i < n && !err; i += 2)
        err = set_item(m, v[0].index, &v[i], &v[i + 1]);
    m->stack.n -= err ? 0 : n;
    return err;
}

int sl_pickle_setitems(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    unsigned n;
    int err = take_mark(m, &n);
    return err ? err : sl_pickle_set_pairs(m, n);
}

int sl_pickle_append(struct sl_pickle_machine *m, unsigned n)
{
    const struct sl_pickle_value *v;
    int err = look(m, n + 1, &v);
    if (!err && v[0].kind != SL_PICKLE_LIST)
        err = sl_pickle_bad(m, "expected a list");
    m->stack.n -= err ? 0 : n;
    return err;
}

int sl_pickle_appends(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    unsigned n;
    int err = take_mark(m, &n);
    return err ? err : sl_pickle_append(m, n);
}

/* The attributes of an OrderedDict (state_dict()'s _metadata) are of no use here. */
int sl_pickle_build(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    struct sl_pickle_value state, object;
    int err = sl_pickle_pop(m, SL_PICKLE_DICT, &state);
    err = err ? err : sl_pickle_pop(m, SL_PICKLE_DICT, &object);
    return err ? err : sl_pickle_push(m, object);
}
