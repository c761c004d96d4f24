/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of torch.save: refused, or tensors that can be read to their last element. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz_file.h"
#include "sluice.h"
#include "store/torch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct sl_torch_file *f)
{
    float chunk[64];
    for (size_t i = 0; i < f->n_tensor; i++) {
        const struct sl_tensor *t = &f->tensor[i];
        assert(i == 0 || strcmp(t[-1].name, t->name) < 0);
        assert(t->n_bytes == t->n_elem * sl_dtype_size(t->dtype));
        for (uint64_t at = 0; at < t->n_elem; at += 64)
            sl_tensor_read(t, at, t->n_elem - at < 64 ? (size_t)(t->n_elem - at) : 64, chunk);
        sl_tensor_release(t);
    }
    for (size_t i = 0; i < f->n_unread; i++)
        assert(sl_torch_file_unread(f, f->unread[i].name) == f->unread[i].type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    int fd = fuzz_file_open(data, size, path);
    struct sl_torch_file f;
    if (sl_torch_file_open(&f, path)) {
        assert(sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
    } else {
        read_all(&f);
        sl_torch_file_close(&f);
    }
    close(fd);
    return 0;
}
