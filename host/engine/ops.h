/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that the engine does not compute itself: the table through which it reaches the
 * fabric (fabric/fabric.c) or the plain fp32 reference (engine/ops_exact.c).
 *
 * Rows of x and y are tokens; results depend on each token alone, never on how many are passed
 * together or on thread counts. Routing with a capacity (engine/routing.h) is the one exception: a
 * token's experts depend on what is passed with it.
 */
#ifndef SL_ENGINE_OPS_H
#define SL_ENGINE_OPS_H

#include "engine/config.h"
#include "sluice.h"

enum sl_matrix {
    SL_MATRIX_Q,
    SL_MATRIX_K,
    SL_MATRIX_V,
    SL_MATRIX_O,      /* of a layer */
    SL_MATRIX_LM_HEAD /* layer is ignored */
};

/* y[n_tok][rows] = W x; y_stride in floats. Bias is the engine's business. */
struct sl_linear_call {
    enum sl_matrix matrix;
    uint32_t layer;
    float *y;
    size_t y_stride;
};

enum { SL_MAX_EXPERT_USED = 8, SL_MAX_EXPERT = 256 };

/* Router's answer for one token, best expert first. */
struct sl_route {
    uint16_t expert[SL_MAX_EXPERT_USED];
    float weight[SL_MAX_EXPERT_USED];
};

/* y[n_tok][d_model] = combined output of shared and chosen experts of a layer for x[n_tok][d_model]
 * (already normed), in the order of docs/numerics.md. */
struct sl_moe_call {
    uint32_t layer, pos; /* pos: absolute position of the first token */
    const float *x;
    size_t n_tok;
    float *y;
    struct sl_route *route; /* [n_tok] receives the choices; may be NULL */
};

enum sl_kv_format { SL_KV_F32, SL_KV_INT8, SL_KV_INT4 };

/* Bytes of one packed head vector: codes (int8: head_dim, int4: head_dim / 2, channel 2i in the low
 * nibble), then the bf16 scales (int8: one, int4: one per group of 32), little endian, then for
 * int4 one zero point byte per group. */
static inline uint32_t sl_kv_vec_bytes(enum sl_kv_format format, uint32_t head_dim)
{
    uint32_t n_group = (head_dim + 31) / 32;
    switch (format) {
    case SL_KV_INT8: return head_dim + 2;
    case SL_KV_INT4: return head_dim / 2 + 3 * n_group;
    default: return 4 * head_dim;
    }
}

enum { SL_OPS_MAX_DEVICE = 8 };
struct sl_device_stats {
    const char *name;    /* lives as long as the operations */
    const char *failure; /* why the CPU took over; "": it did not */
    uint64_t n_launch;
    struct sl_virtual_time time;
};

struct sl_ops_stats {
    uint64_t n_launch, n_retry;
    uint64_t n_linear, n_linear_cpu;     /* matrices, on the fabric and on the CPU */
    uint64_t n_moe, n_router, n_kv_pack; /* calls of each operation */
    uint64_t n_expert_cpu;               /* tokens through experts that the device does not have */
    struct sl_device_stats device[SL_OPS_MAX_DEVICE];
    unsigned n_device;
    struct sl_placement placement;
};

struct sl_ops {
    const char *impl; /* what computes: "exact" "csim" ... */
    void *ctx;
    /* Several matrices over the same x[n_tok][k] (x_stride = k): one launch on a fabric, which may
     * also compute them on the CPU. */
    int (*linear)(void *ctx, const struct sl_linear_call *calls, size_t n_call, const float *x,
                  size_t n_tok);
    /* The residual is added by the engine. */
    int (*moe)(void *ctx, const struct sl_moe_call *call);
    /* Packs n_vec head vectors of head_dim into the cache's records of `format` (int8 or int4),
     * sl_kv_vec_bytes() each, densely. NULL: the engine packs on the CPU (same bits). */
    int (*kv_pack)(void *ctx, enum sl_kv_format format, uint32_t head_dim, const float *vec,
                   size_t n_vec, uint8_t *out);
    void (*get_stats)(const void *ctx, struct sl_ops_stats *out);
    void (*close)(void *ctx);
};

#endif
