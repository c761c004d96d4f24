/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of torch.save: a zip archive of stored entries, ROOT/data.pkl with the pickled
 * dictionary of tensors and ROOT/data/0, ROOT/data/1, ... with the bytes of their storages. Tensors
 * may share a storage. A view that is not contiguous is copied; all others lie in the mapping.
 */
#ifndef SL_STORE_TORCH_FILE_H
#define SL_STORE_TORCH_FILE_H

#include "base/file.h"
#include "store/checkpoint.h"

/* A tensor of a type that is not read here (integers, mostly). */
struct sl_torch_unread {
    const char *name, *type; /* type: "int64" */
};

struct sl_torch_file {
    struct sl_mapping map;
    char *path;               /* owned */
    char *names;              /* owned; the tensors' names lie here */
    uint8_t *copies;          /* owned; data of views that are not contiguous */
    struct sl_tensor *tensor; /* owned, sorted by name */
    size_t n_tensor;
    struct sl_torch_unread *unread; /* owned, sorted by name */
    size_t n_unread;
};

/* Checks everything that the archive and the pickle say against the file; the pickle's data are
 * never executed (pickle.h). SL_ERR_IO, SL_ERR_FORMAT, SL_ERR_UNSUPPORTED. Every tensor's scale
 * is 1. */
int sl_torch_file_open(struct sl_torch_file *out, const char *path);
void sl_torch_file_close(struct sl_torch_file *file);

/* The type of an unread tensor of that name; NULL when there is none. */
const char *sl_torch_file_unread(const struct sl_torch_file *file, const char *name);

#endif
