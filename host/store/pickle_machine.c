/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int sl_pickle_bad(const struct sl_pickle_machine *m, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: data.pkl: %s at %zu: %s", m->path,
                   m->op, m->op_at, why);
}

int sl_pickle_unsupported(const struct sl_pickle_machine *m, const char *why)
{
    return sl_fail(SL_ERR_UNSUPPORTED, "save the model's state_dict() alone",
                   "%s: data.pkl: %s at %zu: %s", m->path, m->op, m->op_at, why);
}

static int grow(struct sl_pickle_array *a, size_t cap)
{
    void *at = sl_alloc(cap, a->size);
    if (!at)
        return SL_ERR_NOMEM;
    if (a->n)
        memcpy(at, a->at, a->n * a->size);
    free(a->at);
    a->at = at;
    a->cap = cap;
    return 0;
}

int sl_pickle_array_open(struct sl_pickle_array *out, size_t size, size_t max)
{
    enum { FIRST = 64 };
    *out = (struct sl_pickle_array){.size = size, .max = max};
    return grow(out, FIRST);
}

int sl_pickle_add(const struct sl_pickle_machine *m, struct sl_pickle_array *array, void **out)
{
    if (array->n == array->max)
        return sl_pickle_unsupported(m, "more values than a checkpoint has");
    int err = array->n == array->cap ? grow(array, array->cap * 2) : 0;
    if (err)
        return err;
    *out = (char *)array->at + array->n++ * array->size;
    memset(*out, 0, array->size);
    return 0;
}

int sl_pickle_push(struct sl_pickle_machine *m, struct sl_pickle_value value)
{
    void *top = NULL;
    int err = sl_pickle_add(m, &m->stack, &top);
    if (!err)
        memcpy(top, &value, sizeof value);
    return err;
}

static const char *name_of(int kind)
{
    switch (kind) {
    case SL_PICKLE_INT: return "expected a number";
    case SL_PICKLE_TEXT: return "expected a text";
    case SL_PICKLE_TUPLE: return "expected a tuple";
    case SL_PICKLE_LIST: return "expected a list";
    case SL_PICKLE_DICT: return "expected a dictionary";
    default: return "expected another value";
    }
}

int sl_pickle_pop(struct sl_pickle_machine *m, int kind, struct sl_pickle_value *out)
{
    const struct sl_pickle_value *v = m->stack.at;
    if (!m->stack.n || v[m->stack.n - 1].kind == SL_PICKLE_MARK)
        return sl_pickle_bad(m, "takes more values than there are");
    *out = v[--m->stack.n];
    return kind == SL_PICKLE_ANY || out->kind == (enum sl_pickle_kind)kind
               ? 0
               : sl_pickle_bad(m, name_of(kind));
}
