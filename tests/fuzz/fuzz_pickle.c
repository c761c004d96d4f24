/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the pickle of a file of torch.save: refused, or tensors that are views of a storage
 * of a page, or are refused as such. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"
#include "store/torch_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STORAGE = 4096 };

static void check_view(const struct sl_pickle_tensor *t, const uint8_t *storage)
{
    struct sl_torch_view v;
    char strides[SL_TORCH_STRIDE_TEXT];
    sl_torch_view_strides(t, strides);
    assert(strlen(strides) >= 2);
    if (sl_torch_view_make(&v, t, storage, STORAGE) || v.is_larger)
        return;
    assert(v.n_bytes <= STORAGE && v.data >= storage);
    uint8_t *copy = malloc(v.n_bytes + 1);
    assert(copy);
    sl_torch_view_copy(&v, copy);
    assert(!v.is_contiguous || !v.n_bytes || !memcmp(copy, v.data, v.n_bytes));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_pickle p;
    if (sl_pickle_read(&p, data, size, "fuzz")) {
        assert(!p.tensor && sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
        return 0;
    }
    uint8_t *storage = calloc(1, STORAGE);
    assert(storage && p.n_tensor);
    for (size_t i = 0; i < p.n_tensor; i++) {
        const struct sl_pickle_tensor *t = &p.tensor[i];
        assert(t->name.at >= (const char *)data &&
               t->name.at + t->name.n <= (const char *)data + size);
        assert(t->n_dim <= SL_TENSOR_MAX_DIM && t->type && t->storage_type);
        check_view(t, storage);
    }
    free(storage);
    sl_pickle_close(&p);
    return 0;
}
