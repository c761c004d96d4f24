/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quantised model: slabs (docs/numerics.md 2.5) for every matrix that the fabric multiplies with,
 * plus the tensors that stay as they were. Either a converted directory, mapped, or quantised in
 * memory from a checkpoint.
 */
#ifndef SL_STORE_STORE_H
#define SL_STORE_STORE_H

#include "base/reader.h"
#include "engine/config.h"
#include "engine/ops.h"
#include "sl_abi.h"
#include "store/checkpoint.h"
#include "store/format.h"

struct sl_store;

/* One slab in natural order: header beat, units, SL_SLACK_BEATS readable beats behind n_beats.
 * 64-byte aligned. */
struct sl_slab_ref {
    const struct sl_slab *header; /* borrowed; the slab's first beat */
    uint64_t n_beats;             /* header and units */
};

struct sl_quant_params {
    int format, format_dense; /* SL_FORMAT_* */
    sl_progress_fn progress;
    void *progress_user;
    struct sl_pool *pool; /* borrowed; rows are quantised in parallel, with the same bytes */
};

enum {
    SL_STORE_MAX_READ = 576 /* reads of a streamed store's reader at a time */
};

/* How a streamed store reads; zeroed: the defaults. */
struct sl_stream_params {
    enum sl_reader_kind reader;
    enum sl_reader_direct direct;
    uint64_t budget; /* for experts in memory, of an expert memory that has no budget of its own */
    sl_progress_fn progress; /* may be NULL */
    void *progress_user;
};

/* dir/manifest.json and its slab files. Checksums are verified by sl_store_verify, sizes and
 * headers here. */
int sl_store_open(struct sl_store **out, const char *dir);
/* The same without the routed experts, for models larger than memory: the other slabs are read into
 * memory of the store's own and compared with their checksums, of the experts not one byte is kept.
 * sl_store_expert then gives no slab; store/expert_memory.h reads them when they are wanted. */
int sl_store_open_streamed(struct sl_store **out, const char *dir,
                           const struct sl_stream_params *params);
bool sl_store_is_streamed(const struct sl_store *store);
/* In memory. The checkpoint is borrowed for the store's life (unquantised tensors are read from
 * it). */
int sl_store_quantise(struct sl_store **out, struct sl_checkpoint *ckpt,
                      const struct sl_config *config, const struct sl_quant_params *params);
void sl_store_close(struct sl_store **store);

/* True when dir holds a manifest.json (complete or not). */
bool sl_store_is_store(const char *dir);
const struct sl_config *sl_store_config(const struct sl_store *store);
/* Unquantised tensors under their checkpoint names. */
const struct sl_checkpoint *sl_store_tensors(const struct sl_store *store);
const char *sl_store_format(const struct sl_store *store); /* "nf4" ... */
const char *sl_store_format_dense(const struct sl_store *store);
uint64_t sl_store_bytes(const struct sl_store *store);

/* Slabs. Every one exists after a successful open; matrix K and V only in layers that own them, the
 * shared expert only where the config has one. Shared MLPs of several shared experts are one slab
 * of d_ff_shared. */
struct sl_slab_ref sl_store_matrix(const struct sl_store *store, enum sl_matrix matrix,
                                   uint32_t layer);
struct sl_slab_ref sl_store_router(const struct sl_store *store, uint32_t layer);
struct sl_slab_ref sl_store_shared(const struct sl_store *store, uint32_t layer);
/* header is NULL when the store is streamed. */
struct sl_slab_ref sl_store_expert(const struct sl_store *store, uint32_t layer, uint32_t expert);
/* Kind, format, k and rows of every routed expert (they are alike): a header without scales and
 * without units behind it. */
const struct sl_slab *sl_store_expert_shape(const struct sl_store *store);

/* Where a streamed store keeps an expert: what to give to its reader, and what must arrive. */
struct sl_expert_place {
    uint32_t file;          /* of sl_store_reader */
    uint64_t offset, bytes; /* of the slab; offset is a multiple of SL_SLAB_ALIGN */
    uint64_t hash;          /* XXH3, 64 bits */
};
struct sl_expert_place sl_store_expert_place(const struct sl_store *store, uint32_t layer,
                                             uint32_t expert);
/* The budget that the store was opened with. */
uint64_t sl_store_expert_budget(const struct sl_store *store);
/* Of a streamed store, else NULL. */
struct sl_reader *sl_store_reader(const struct sl_store *store);
/* What arrived in place of an expert: hash and header. SL_ERR_FORMAT names slab and reason. */
int sl_store_expert_check(const struct sl_store *store, uint32_t layer, uint32_t expert,
                          const struct sl_slab *slab, uint64_t hash);

/* Compares every slab that it holds with its checksum (XXH3, 64 bits): SL_ERR_FORMAT names the
 * slab. Experts of a streamed store are compared whenever they are read. */
int sl_store_verify(const struct sl_store *store, struct sl_pool *pool);

#endif
