/* SPDX-License-Identifier: Apache-2.0 */
/* The element types of torch, as its files name them. */
#ifndef SL_STORE_TORCH_TYPE_H
#define SL_STORE_TORCH_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/half.h"

struct sl_torch_type {
    const char *storage; /* "BFloat16Storage" in module torch; NULL: has none */
    const char *name;    /* "bfloat16" in module torch */
    unsigned size;       /* bytes of an element */
    bool is_read;        /* dtype says as what; others are tensors that no model here uses */
    enum sl_dtype dtype;
};

/* By storage or by name; the text need not be terminated. NULL when torch has no such type. */
const struct sl_torch_type *sl_torch_type_of_storage(const char *text, size_t n);
const struct sl_torch_type *sl_torch_type_of_name(const char *text, size_t n);
/* Bytes of any type ("torch.storage UntypedStorage"): the tensors say what they are. */
const struct sl_torch_type *sl_torch_type_untyped(void);

#endif
