/* SPDX-License-Identifier: Apache-2.0 */
/* What torch's pickles are made of: the globals that may be named, and what they would return. */
#include <string.h>

#include "base/err.h"
#include "store/pickle_machine.h"

static const struct {
    const char *module, *name;
    enum sl_pickle_kind kind;
} functions[] = {
    {"collections", "OrderedDict", SL_PICKLE_MAKE_DICT},
    {"torch._utils", "_rebuild_tensor_v2", SL_PICKLE_MAKE_TENSOR},
    {"torch._utils", "_rebuild_tensor_v3", SL_PICKLE_MAKE_TENSOR_V3},
    {"torch._utils", "_rebuild_parameter", SL_PICKLE_MAKE_PARAMETER},
};

static bool is(struct sl_pickle_text text, const char *want)
{
    return text.n == strlen(want) && !memcmp(text.at, want, text.n);
}

static bool find_global(struct sl_pickle_value *out, struct sl_pickle_text module,
                        struct sl_pickle_text name)
{
    *out = (struct sl_pickle_value){0};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (is(module, functions[i].module) && is(name, functions[i].name)) {
            out->kind = functions[i].kind;
            return true;
        }
    if (is(module, "torch.storage") && is(name, "UntypedStorage")) {
        out->type = sl_torch_type_untyped();
        out->kind = SL_PICKLE_TYPE_OF_STORAGE;
    } else if (is(module, "torch")) {
        out->kind = SL_PICKLE_TYPE_OF_STORAGE;
        out->type = sl_torch_type_of_storage(name.at, name.n);
        if (out->type)
            return true;
        out->kind = SL_PICKLE_TYPE_OF_TENSOR;
        out->type = sl_torch_type_of_name(name.at, name.n);
    }
    return out->type != NULL;
}

/* For messages: printable ASCII only, at most 80 bytes of it. */
static struct sl_pickle_text shown(struct sl_pickle_text text)
{
    enum { MAX = 80 };
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] < ' ' || text.at[i] > '~')
            return (struct sl_pickle_text){"?", 1};
    return (struct sl_pickle_text){text.at, text.n < MAX ? text.n : MAX};
}

int sl_pickle_global(struct sl_pickle_machine *m, struct sl_pickle_text module,
                     struct sl_pickle_text name)
{
    struct sl_pickle_value v;
    if (find_global(&v, module, name))
        return sl_pickle_push(m, v);
    struct sl_pickle_text a = shown(module), b = shown(name);
    return sl_fail(SL_ERR_UNSUPPORTED, "save the model's state_dict() alone",
                   "%s: data.pkl: %s at %zu: '%.*s %.*s' is not a part of a tensor, and nothing "
                   "is called",
                   m->path, m->op, m->op_at, (int)a.n, a.at, (int)b.n, b.at);
}

static const struct sl_pickle_value *items(const struct sl_pickle_machine *m,
                                           struct sl_pickle_value tuple)
{
    return (const struct sl_pickle_value *)m->item.at + tuple.index;
}

/* Sizes or strides: n numbers. */
static int take_numbers(const struct sl_pickle_machine *m, struct sl_pickle_value tuple,
                        int64_t out[SL_TENSOR_MAX_DIM])
{
    const struct sl_pickle_value *v = items(m, tuple);
    for (uint32_t i = 0; i < tuple.n; i++) {
        if (v[i].kind != SL_PICKLE_INT)
            return sl_pickle_bad(m, "sizes and strides of a tensor are not numbers");
        out[i] = v[i].integer;
    }
    return 0;
}

/* (storage, offset, sizes, strides, requires_grad, hooks); the third version has the type too. */
static bool is_tensor(const struct sl_pickle_value *a, uint32_t n, bool typed_here)
{
    return n == (typed_here ? 7 : 6) && a[0].kind == SL_PICKLE_STORAGE &&
           a[1].kind == SL_PICKLE_INT && a[2].kind == SL_PICKLE_TUPLE &&
           a[3].kind == SL_PICKLE_TUPLE && a[2].n == a[3].n &&
           (!typed_here || a[6].kind == SL_PICKLE_TYPE_OF_TENSOR);
}

static int make_tensor(struct sl_pickle_machine *m, struct sl_pickle_value args, bool typed_here)
{
    const struct sl_pickle_value *a = items(m, args);
    if (!is_tensor(a, args.n, typed_here))
        return sl_pickle_unsupported(m, "arguments that no plain tensor has");
    if (a[2].n > SL_TENSOR_MAX_DIM)
        return sl_pickle_unsupported(m, "a tensor of more than 8 dimensions");
    const struct sl_pickle_storage *s =
        (const struct sl_pickle_storage *)m->storage.at + a[0].index;
    void *place = NULL;
    int err = sl_pickle_add(m, &m->tensor, &place);
    if (err)
        return err;
    struct sl_pickle_tensor *t = place;
    t->key = s->key;
    t->n_storage = s->n;
    t->storage_type = s->type;
    t->type = typed_here ? a[6].type : s->type;
    t->offset = a[1].integer;
    t->n_dim = a[2].n;
    err = take_numbers(m, a[2], t->dim);
    err = err ? err : take_numbers(m, a[3], t->stride);
    struct sl_pickle_value v = {.kind = SL_PICKLE_TENSOR, .index = m->tensor.n - 1};
    return err ? err : sl_pickle_push(m, v);
}

/* (tensor, requires_grad, hooks) */
static int make_parameter(struct sl_pickle_machine *m, struct sl_pickle_value args)
{
    const struct sl_pickle_value *a = items(m, args);
    if (args.n != 3 || a[0].kind != SL_PICKLE_TENSOR)
        return sl_pickle_unsupported(m, "arguments that no plain parameter has");
    return sl_pickle_push(m, a[0]);
}

int sl_pickle_reduce(struct sl_pickle_machine *m)
{
    struct sl_pickle_value args, function;
    int err = sl_pickle_pop(m, SL_PICKLE_TUPLE, &args);
    err = err ? err : sl_pickle_pop(m, SL_PICKLE_ANY, &function);
    if (err)
        return err;
    switch (function.kind) {
    case SL_PICKLE_MAKE_TENSOR: return make_tensor(m, args, false);
    case SL_PICKLE_MAKE_TENSOR_V3: return make_tensor(m, args, true);
    case SL_PICKLE_MAKE_PARAMETER: return make_parameter(m, args);
    case SL_PICKLE_MAKE_DICT:
        if (args.n)
            return sl_pickle_unsupported(m, "an OrderedDict with arguments");
        return sl_pickle_push(
            m, (struct sl_pickle_value){.kind = SL_PICKLE_DICT, .index = m->n_dict++});
    default: return sl_pickle_bad(m, "calls what is not a function");
    }
}

/* ("storage", type, key, place, elements), then None in some versions. */
static bool is_storage(const struct sl_pickle_value *a, uint32_t n)
{
    return (n == 5 || (n == 6 && a[5].kind == SL_PICKLE_NONE)) && a[0].kind == SL_PICKLE_TEXT &&
           is((struct sl_pickle_text){a[0].text, a[0].n}, "storage") &&
           a[1].kind == SL_PICKLE_TYPE_OF_STORAGE && a[2].kind == SL_PICKLE_TEXT &&
           a[3].kind == SL_PICKLE_TEXT && a[4].kind == SL_PICKLE_INT;
}

int sl_pickle_persistent(struct sl_pickle_machine *m)
{
    struct sl_pickle_value id;
    int err = sl_pickle_pop(m, SL_PICKLE_TUPLE, &id);
    if (err)
        return err;
    const struct sl_pickle_value *a = items(m, id);
    if (!is_storage(a, id.n))
        return sl_pickle_unsupported(m, "names something else than a storage");
    void *place = NULL;
    err = sl_pickle_add(m, &m->storage, &place);
    if (err)
        return err;
    *(struct sl_pickle_storage *)place = (struct sl_pickle_storage){
        .type = a[1].type, .key = {a[2].text, a[2].n}, .n = a[4].integer};
    return sl_pickle_push(
        m, (struct sl_pickle_value){.kind = SL_PICKLE_STORAGE, .index = m->storage.n - 1});
}
