/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pickle inside of a file of torch.save (Python's Lib/pickletools.py defines the opcodes): a
 * dictionary of tensors, each a view of a numbered storage. Only what describes tensors is
 * interpreted, nothing is ever called: every other opcode and every other global is refused by
 * name. No recursion; memory is bounded by limits of pickle_machine.h, not by what the pickle says.
 */
#ifndef SL_STORE_PICKLE_H
#define SL_STORE_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "store/checkpoint.h"
#include "store/torch_type.h"

/* Borrowed from the pickle, any bytes, not terminated. */
struct sl_pickle_text {
    const char *at;
    size_t n;
};

/* What the pickle says; nothing of it was compared with anything. */
struct sl_pickle_tensor {
    struct sl_pickle_text name, key; /* of the tensor in its dictionary, of its storage */
    const struct sl_torch_type *type, *storage_type;
    int64_t n_storage; /* elements of storage_type */
    int64_t offset;    /* elements of type, in the storage */
    unsigned n_dim;
    int64_t dim[SL_TENSOR_MAX_DIM], stride[SL_TENSOR_MAX_DIM]; /* elements */
};

struct sl_pickle {
    struct sl_pickle_tensor *tensor; /* owned; in the dictionary's order */
    size_t n_tensor;
};

/* The tensors that are values of the outermost dictionary. path: of the file, for messages.
 * SL_ERR_FORMAT (damaged), SL_ERR_UNSUPPORTED (something else than a dictionary of tensors). */
int sl_pickle_read(struct sl_pickle *out, const uint8_t *data, size_t size, const char *path);
void sl_pickle_close(struct sl_pickle *pickle);

#endif
