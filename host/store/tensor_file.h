/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a checkpoint, of either kind. */
#ifndef SL_STORE_TENSOR_FILE_H
#define SL_STORE_TENSOR_FILE_H

#include "store/safetensors.h"
#include "store/torch_file.h"

enum sl_tensor_format { SL_TENSORS_SAFETENSORS, SL_TENSORS_TORCH };

struct sl_tensor_file {
    const char *path;         /* borrowed from the reader below, like the tensors */
    struct sl_tensor *tensor; /* [n_tensor] */
    size_t n_tensor;
    struct sl_safetensors safetensors; /* open: one of the two */
    struct sl_torch_file torch;
};

/* n paths: one file, or for safetensors the pieces of one. Fails like sl_safetensors_open_pieces
 * and sl_torch_file_open. */
int sl_tensor_file_open(struct sl_tensor_file *out, const char *const *path, size_t n,
                        enum sl_tensor_format format);
void sl_tensor_file_close(struct sl_tensor_file *file);

/* The type of a tensor that the file has but that is not read ("int64"); NULL when there is none of
 * that name. */
const char *sl_tensor_file_unread(const struct sl_tensor_file *file, const char *name);

#endif
