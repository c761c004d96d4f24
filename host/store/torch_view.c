/* SPDX-License-Identifier: Apache-2.0 */
#include "store/torch_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Sizes, strides and the number of elements. */
static const char *take_shape(struct sl_torch_view *v, const struct sl_pickle_tensor *t)
{
    v->n_dim = t->n_dim;
    v->element_size = t->type->size;
    v->n_elem = 1;
    for (unsigned i = 0; i < t->n_dim; i++) {
        if (t->dim[i] < 0 || t->stride[i] < 0)
            return "negative size or stride";
        v->dim[i] = (uint64_t)t->dim[i];
        v->stride[i] = (uint64_t)t->stride[i];
        if (__builtin_mul_overflow(v->n_elem, v->dim[i], &v->n_elem))
            return "impossible shape";
    }
    if (__builtin_mul_overflow(v->n_elem, (uint64_t)v->element_size, &v->n_bytes))
        return "impossible shape";
    return NULL;
}

/* Elements from the first to behind the last, false when that overflows. */
static bool find_extent(const struct sl_torch_view *v, uint64_t *out)
{
    uint64_t step;
    *out = v->n_elem > 0;
    for (unsigned i = 0; i < v->n_dim && v->n_elem; i++)
        if (__builtin_mul_overflow(v->dim[i] - 1, v->stride[i], &step) ||
            __builtin_add_overflow(*out, step, out))
            return false;
    return true;
}

static bool is_contiguous(const struct sl_torch_view *v)
{
    uint64_t expected = 1;
    for (unsigned i = v->n_dim; i > 0 && v->n_elem; i--) {
        if (v->dim[i - 1] != 1 && v->stride[i - 1] != expected)
            return false;
        expected *= v->dim[i - 1];
    }
    return true;
}

const char *sl_torch_view_make(struct sl_torch_view *out, const struct sl_pickle_tensor *tensor,
                               const uint8_t *data, uint64_t size)
{
    struct sl_torch_view v = {0};
    uint64_t stored, extent;
    const char *why = take_shape(&v, tensor);
    if (why)
        return why;
    if (tensor->n_storage < 0 || tensor->offset < 0 ||
        __builtin_mul_overflow((uint64_t)tensor->n_storage, (uint64_t)tensor->storage_type->size,
                               &stored) ||
        stored > size)
        return "its storage is larger than the file's entry";
    const uint64_t room = stored / v.element_size, offset = (uint64_t)tensor->offset;
    if (!find_extent(&v, &extent) || offset > room || extent > room - offset)
        return "leaves its storage";
    v.is_contiguous = is_contiguous(&v);
    v.is_larger = v.n_elem > room;
    v.data = data + offset * v.element_size;
    *out = v;
    return NULL;
}

void sl_torch_view_copy(const struct sl_torch_view *view, uint8_t *out)
{
    uint64_t index[SL_TENSOR_MAX_DIM] = {0}, at = 0;
    for (uint64_t i = 0; i < view->n_elem; i++) {
        memcpy(out + i * view->element_size, view->data + at * view->element_size,
               view->element_size);
        for (unsigned d = view->n_dim; d > 0; d--) {
            at += view->stride[d - 1];
            if (++index[d - 1] < view->dim[d - 1])
                break;
            at -= index[d - 1] * view->stride[d - 1];
            index[d - 1] = 0;
        }
    }
}

void sl_torch_view_strides(const struct sl_pickle_tensor *tensor, char out[SL_TORCH_STRIDE_TEXT])
{
    size_t n = (size_t)snprintf(out, SL_TORCH_STRIDE_TEXT, "[");
    for (unsigned i = 0; i < tensor->n_dim; i++)
        n += (size_t)snprintf(out + n, SL_TORCH_STRIDE_TEXT - n, "%s%" PRId64, i ? ", " : "",
                              tensor->stride[i]);
    snprintf(out + n, SL_TORCH_STRIDE_TEXT - n, "]");
}
