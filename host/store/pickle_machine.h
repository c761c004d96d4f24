/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an interpreted pickle: values, the stack, the memo (private to pickle*.c). */
#ifndef SL_STORE_PICKLE_MACHINE_H
#define SL_STORE_PICKLE_MACHINE_H

#include <stdbool.h>

#include "store/pickle.h"

enum {
    SL_PICKLE_MAX_STACK = 1 << 18, /* Python writes dictionaries in portions of 1000 pairs */
    SL_PICKLE_MAX_MEMO = 1 << 22,
    SL_PICKLE_MAX_ITEM = 1 << 22,  /* of all tuples together */
    SL_PICKLE_MAX_TENSOR = 1 << 18 /* and as many storages, and pairs of dictionaries */
};

enum { SL_PICKLE_ANY = -1 };

enum sl_pickle_kind {
    SL_PICKLE_NONE,
    SL_PICKLE_BOOL,
    SL_PICKLE_INT,
    SL_PICKLE_TEXT,
    SL_PICKLE_MARK,
    SL_PICKLE_TUPLE,
    SL_PICKLE_LIST,    /* what it holds is forgotten */
    SL_PICKLE_DICT,    /* which tensors it holds: struct sl_pickle_pair */
    SL_PICKLE_STORAGE, /* index into storage */
    SL_PICKLE_TENSOR,  /* index into tensor */
    /* Globals: */
    SL_PICKLE_TYPE_OF_STORAGE,
    SL_PICKLE_TYPE_OF_TENSOR,
    SL_PICKLE_MAKE_DICT,      /* collections.OrderedDict */
    SL_PICKLE_MAKE_TENSOR,    /* torch._utils._rebuild_tensor_v2: typed storage */
    SL_PICKLE_MAKE_TENSOR_V3, /* torch._utils._rebuild_tensor_v3: bytes and a type */
    SL_PICKLE_MAKE_PARAMETER  /* torch._utils._rebuild_parameter */
};

struct sl_pickle_value {
    enum sl_pickle_kind kind;
    uint32_t n; /* bytes of a text, items of a tuple */
    union {
        int64_t integer;
        const char *text;
        size_t index; /* of a storage, a tensor, a dictionary, or a tuple's first item */
        const struct sl_torch_type *type;
    };
};

/* An array that grows up to its limit. */
struct sl_pickle_array {
    void *at; /* owned */
    size_t n, cap;
    size_t size, max; /* bytes of an element; elements */
};

struct sl_pickle_storage {
    const struct sl_torch_type *type;
    struct sl_pickle_text key;
    int64_t n;
};

/* A tensor as a value of a dictionary. */
struct sl_pickle_pair {
    size_t dict, tensor;
    struct sl_pickle_text name;
};

struct sl_pickle_machine {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    const char *op; /* name of the opcode being interpreted */
    size_t op_at;
    struct sl_pickle_array stack, memo, item; /* struct sl_pickle_value; item: of tuples */
    struct sl_pickle_array storage;           /* struct sl_pickle_storage */
    struct sl_pickle_array tensor;            /* struct sl_pickle_tensor, without names */
    struct sl_pickle_array pair;              /* struct sl_pickle_pair */
    size_t n_dict;
    bool stopped;
};

/* "PATH: data.pkl: OPCODE at N: WHY" as SL_ERR_FORMAT, and as SL_ERR_UNSUPPORTED with a hint. */
int sl_pickle_bad(const struct sl_pickle_machine *m, const char *why);
int sl_pickle_unsupported(const struct sl_pickle_machine *m, const char *why);

/* An empty array whose `at` is never NULL; close by free(at). SL_ERR_NOMEM. */
int sl_pickle_array_open(struct sl_pickle_array *out, size_t size, size_t max);
/* *out = a zeroed element behind the others. SL_ERR_NOMEM, SL_ERR_UNSUPPORTED at the limit. */
int sl_pickle_add(const struct sl_pickle_machine *m, struct sl_pickle_array *array, void **out);

int sl_pickle_push(struct sl_pickle_machine *m, struct sl_pickle_value value);
/* The topmost value, which must be of that kind; SL_PICKLE_ANY: any but a mark. */
int sl_pickle_pop(struct sl_pickle_machine *m, int kind, struct sl_pickle_value *out);

/* ---- containers (pickle_container.c); arguments from the stack, the result onto it ------- */

int sl_pickle_empty_dict(struct sl_pickle_machine *m, unsigned unused);
/* Of the topmost n values, and of those above the last mark. */
int sl_pickle_tuple_of(struct sl_pickle_machine *m, unsigned n);
int sl_pickle_tuple(struct sl_pickle_machine *m, unsigned unused);
/* n values, key and value in turn, go into the dictionary below them. */
int sl_pickle_set_pairs(struct sl_pickle_machine *m, unsigned n);
int sl_pickle_setitems(struct sl_pickle_machine *m, unsigned unused);
/* n values go into the list below them. */
int sl_pickle_append(struct sl_pickle_machine *m, unsigned n);
int sl_pickle_appends(struct sl_pickle_machine *m, unsigned unused);
int sl_pickle_build(struct sl_pickle_machine *m, unsigned unused);

/* ---- what torch names (pickle_torch.c)
 * ----------------------------------------------------------- */

/* The global of that module and name. SL_ERR_UNSUPPORTED with its name. */
int sl_pickle_global(struct sl_pickle_machine *m, struct sl_pickle_text module,
                     struct sl_pickle_text name);
/* REDUCE and BINPERSID: arguments from the stack, the result onto it. */
int sl_pickle_reduce(struct sl_pickle_machine *m);
int sl_pickle_persistent(struct sl_pickle_machine *m);

#endif
