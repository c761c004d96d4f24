/* SPDX-License-Identifier: Apache-2.0 */
/* A Hugging Face checkpoint directory, mapped read-only: model.safetensors or pytorch_model.bin, or
 * shards with an index (model.safetensors.index.json, pytorch_model.bin.index.json), or the pieces
 * of one file (store/pieces.h), or the only *.safetensors there is. Where both kinds are there,
 * safetensors is read. Tensor data may be unaligned. What the directory says about quantisation
 * (store/quant_config.h) is compared with the tensors. */
#ifndef SL_STORE_CHECKPOINT_H
#define SL_STORE_CHECKPOINT_H

#include "base/half.h"
#include "sluice.h"

enum { SL_TENSOR_MAX_DIM = 8 };

struct sl_tensor {
    const char *name; /* borrowed from the checkpoint */
    enum sl_dtype dtype;
    unsigned n_dim;
    uint64_t dim[SL_TENSOR_MAX_DIM]; /* row-major, outermost first */
    uint64_t n_elem, n_bytes;
    const uint8_t *data; /* borrowed, inside the mapping or the copy; unaligned */
    bool is_copy;        /* a torch view that is not contiguous, put in order in memory */
    float scale;         /* FP8 release: value = code * scale (weight_scale); else 1 */
    uint64_t at;         /* of the data, behind its file's header */
    /* A linear of a GPTQ release under its usual name, <linear>.weight: dtype I32, data and n_bytes
     * those of its qweight. Read it with sl_tensor_read_rows. Else NULL. */
    const struct sl_gptq *gptq;
};

struct sl_checkpoint;

/* SL_ERR_IO, SL_ERR_FORMAT (hostile or damaged files: every offset, size and key is checked). */
int sl_checkpoint_open(struct sl_checkpoint **out, const char *dir);
/* The same for a single safetensors file (a converted model's tensors). */
int sl_checkpoint_open_file(struct sl_checkpoint **out, const char *path);
void sl_checkpoint_close(struct sl_checkpoint **ckpt);

/* True when dir has a file that sl_checkpoint_open would start with, or pieces, damaged or not. */
bool sl_checkpoint_exists(const char *dir);

/* NULL when there is no such tensor (not a failure: callers decide). Thread-safe. */
const struct sl_tensor *sl_checkpoint_find(const struct sl_checkpoint *ckpt, const char *name);
/* Same, but absence or other dimensions are SL_ERR_SHAPE with the tensor's name and both shapes.
 * dims past n_dim are ignored. */
int sl_checkpoint_need(const struct sl_checkpoint *ckpt, const struct sl_tensor **out,
                       const char *name, unsigned n_dim, const uint64_t *dim);
/* The same for any type; sl_checkpoint_need refuses I32, which has no values by itself. */
int sl_checkpoint_need_part(const struct sl_checkpoint *ckpt, const struct sl_tensor **out,
                            const char *name, unsigned n_dim, const uint64_t *dim);

size_t sl_checkpoint_file_count(const struct sl_checkpoint *ckpt);
size_t sl_checkpoint_count(const struct sl_checkpoint *ckpt);
const struct sl_tensor *sl_checkpoint_at(const struct sl_checkpoint *ckpt, size_t i);
uint64_t sl_checkpoint_bytes(const struct sl_checkpoint *ckpt);

/* Widens elements [first, first + n) to fp32 with the tensor's scale applied in fp32. Not for
 * GPTQ. */
void sl_tensor_read(const struct sl_tensor *t, uint64_t first, size_t n, float *dst);
/* The same for n rows of a matrix; row i goes to dst + i * stride. */
void sl_tensor_read_rows(const struct sl_tensor *t, uint64_t first, uint32_t n, float *dst,
                         size_t stride);
/* How many rows to ask for at once: those of a GPTQ linear lie beside each other. */
uint32_t sl_tensor_row_block(const struct sl_tensor *t);
/* The pages of a tensor that was used up are not needed soon (bounded memory in convert). */
void sl_tensor_release(const struct sl_tensor *t);

#endif
