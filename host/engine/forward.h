/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk of tokens through all layers: what prefill and decode both are. */
#ifndef SL_ENGINE_FORWARD_H
#define SL_ENGINE_FORWARD_H

#include "base/profile.h"
#include "engine/attention.h"
#include "engine/kv.h"
#include "engine/lfa.h"
#include "engine/rope.h"
#include "engine/trace.h"
#include "engine/weights.h"

struct sl_forward_progress {
    sl_progress_fn fn; /* NULL: nobody asks */
    void *user;
    uint64_t done, total; /* layers of this evaluation */
};

/* What the passes of one sequence work on. The first block is borrowed. */
struct sl_forward {
    const struct sl_config *config;
    const struct sl_weights *weights;
    const struct sl_rope *rope;
    const struct sl_ops *ops;
    struct sl_pool *pool;
    const struct sl_trace *trace; /* NULL: nothing is traced */
    struct sl_profile *profile;   /* borrowed; NULL: nothing is recorded */
    struct sl_forward_progress progress;
    uint32_t n_batch;             /* most tokens of a chunk */
    bool pack_on_fabric;          /* at decode too */

    struct sl_kv kv;
    struct sl_attention attention;
    struct sl_lfa lfa; /* zeroed where the model has none */

    float *x, *a, *y;     /* [n_batch][d_model]: residual stream, normed, an operation's result */
    float *q, *qk, *attn; /* [n_batch][d_attn]; qk: [n_batch][2 d_attn], Yuan only */
    float *k, *v;         /* [n_batch][n_kv_head][head_dim] */
    float *cos_tab, *sin_tab;         /* [n_batch][n_rot / 2] */
    uint8_t *records;                 /* [n_batch][n_kv_head] packed vectors from the fabric */
    struct sl_route *route;           /* [n_batch] */
    uint64_t n_cpu_pack, n_attention; /* head vectors packed here; layers of tokens attended */
};

struct sl_forward_params {
    uint32_t n_ctx, n_batch;
    enum sl_kv_format format_k, format_v;
    bool pack_on_fabric;
};

/* The borrowed fields of *f are set by the caller. On failure *f needs no close. SL_ERR_NOMEM, or
 * what sl_kv_open says. */
int sl_forward_open(struct sl_forward *f, const struct sl_forward_params *params);
void sl_forward_close(struct sl_forward *f);

struct sl_forward_chunk {
    const int32_t *ids; /* checked by the caller */
    uint32_t n_tok, pos;
    bool all_logits;
    float *logits; /* [n_tok][n_vocab] with all_logits, else [n_vocab] of the last; may be NULL */
};
/* Fills the cache from pos on. SL_ERR_RANGE names the layer in which a number stopped being finite;
 * SL_ERR_INTERRUPTED: f->progress.fn said so; otherwise what the operations say. */
int sl_forward_run(struct sl_forward *f, const struct sl_forward_chunk *chunk);

#endif
