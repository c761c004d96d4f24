/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors that stay as they are: embedding, norms, filters, biases. */
#ifndef SL_STORE_KEPT_H
#define SL_STORE_KEPT_H

#include "engine/config.h"
#include "store/checkpoint.h"

struct sl_kept {
    const struct sl_tensor *
        *tensor; /* [n], borrowed tensors, in the order of names.h, layer by layer */
    size_t n;
    uint64_t bytes;
};

/* Looks all of them up and checks their shapes: SL_ERR_SHAPE. */
int sl_kept_open(struct sl_kept *out, const struct sl_checkpoint *ckpt,
                 const struct sl_config *config);
void sl_kept_close(struct sl_kept *kept);

/* XXH3 (64 bits) of the data and the scale of each in turn, every hash the seed of the next. */
uint64_t sl_kept_hash(const struct sl_kept *kept);
/* Bytes of the file that sl_kept_write makes. */
int sl_kept_file_bytes(const struct sl_kept *kept, uint64_t *out);
/* Writes dir/name as safetensors with the original names and dtypes; F8 tensors with their
 * <name>_scale. */
int sl_kept_write(const struct sl_kept *kept, const char *dir, const char *name);

#endif
