/* SPDX-License-Identifier: Apache-2.0 */
/* One safetensors file: 8 bytes of length, a JSON header, tensor data without gaps. It may be cut
 * into pieces. */
#ifndef SL_STORE_SAFETENSORS_H
#define SL_STORE_SAFETENSORS_H

#include "store/checkpoint.h"
#include "store/pieces.h"

struct sl_safetensors {
    struct sl_pieces file;
    char *path;               /* owned; of the first piece */
    char *names;              /* owned; the tensors' names lie here */
    struct sl_tensor *tensor; /* owned, in the order of their data */
    size_t n_tensor;
};

/* True for text without control characters: names of files end up in messages of one line. */
bool sl_is_one_line(const char *text);

/* Checks everything the header says against the file: sizes, shapes, order, gaps, duplicates.
 * SL_ERR_IO, SL_ERR_FORMAT, SL_ERR_UNSUPPORTED (a dtype that is not read here). Every tensor's
 * scale is 1. */
int sl_safetensors_open(struct sl_safetensors *out, const char *path);
/* The same for a file in n pieces (store/pieces.h). */
int sl_safetensors_open_pieces(struct sl_safetensors *out, const char *const *path, size_t n);
void sl_safetensors_close(struct sl_safetensors *st);

#endif
