/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a safetensors file: refused, or tensors that can be read to their last element. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz_file.h"
#include "store/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct sl_checkpoint *c)
{
    float chunk[64];
    uint64_t bytes = 0;
    for (size_t i = 0; i < sl_checkpoint_count(c); i++) {
        const struct sl_tensor *t = sl_checkpoint_at(c, i);
        assert(sl_checkpoint_find(c, t->name) == t);
        for (uint64_t at = 0; at < t->n_elem; at += 64)
            sl_tensor_read(t, at, t->n_elem - at < 64 ? (size_t)(t->n_elem - at) : 64, chunk);
        sl_tensor_release(t);
        bytes += t->n_bytes;
    }
    assert(bytes == sl_checkpoint_bytes(c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    int fd = fuzz_file_open(data, size, path);
    struct sl_checkpoint *c = NULL;
    if (sl_checkpoint_open_file(&c, path))
        assert(!c && sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
    else
        read_all(c);
    sl_checkpoint_close(&c);
    close(fd);
    return 0;
}
