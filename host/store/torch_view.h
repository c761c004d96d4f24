/* SPDX-License-Identifier: Apache-2.0 */
/* How a tensor lies in its storage: sizes and strides, checked. */
#ifndef SL_STORE_TORCH_VIEW_H
#define SL_STORE_TORCH_VIEW_H

#include "store/checkpoint.h"
#include "store/pickle.h"

struct sl_torch_view {
    const uint8_t *data; /* its first element */
    unsigned n_dim, element_size;
    uint64_t dim[SL_TENSOR_MAX_DIM], stride[SL_TENSOR_MAX_DIM]; /* elements */
    uint64_t n_elem, n_bytes;
    bool is_contiguous; /* row-major without gaps: usable where it lies */
    bool is_larger;     /* has more elements than its storage: an expanded one */
};

/* The view of a storage of `size` bytes at `data`. NULL, or why there is no such view. */
const char *sl_torch_view_make(struct sl_torch_view *out, const struct sl_pickle_tensor *tensor,
                               const uint8_t *data, uint64_t size);

/* Writes the elements in row-major order: n_bytes. */
void sl_torch_view_copy(const struct sl_torch_view *view, uint8_t *out);

/* "[1, 32]" */
enum { SL_TORCH_STRIDE_TEXT = 8 * 22 };
void sl_torch_view_strides(const struct sl_pickle_tensor *tensor, char out[SL_TORCH_STRIDE_TEXT]);

#endif
