/* SPDX-License-Identifier: Apache-2.0 */
/* What fabric.c (residency, KV), fabric_linear.c (plain matrices) and fabric_moe.c (router and
 * experts) share. */
#ifndef SL_ACCEL_FABRIC_STATE_H
#define SL_ACCEL_FABRIC_STATE_H

#include "accel/cpu_ops.h"
#include "accel/fabric.h"
#include "accel/joblist.h"
#include "base/pool.h"
#include "store/store.h"

enum {
    SL_FABRIC_CHUNK = 256, /* tokens of one MoE pass: each expert is read once per pass */
    SL_NOT_RESIDENT = SL_SLOT_ABSENT
};

/* A slab and its place in the weight arenas. */
struct sl_resident {
    const struct sl_slab *header; /* borrowed from the store; NULL: the layer has no such matrix */
    uint32_t w_off;               /* SL_NOT_RESIDENT: only the CPU uses it */
};

/* Plain matrices on the CPU. */
struct sl_dense_cpu {
    const struct sl_cpu_ops *ops; /* NULL: never used */
    uint8_t *x;                   /* activations of one call */
    uint8_t *work;                /* [threads][work_stride] */
    size_t work_stride;
};

struct sl_fabric_layer {
    struct sl_resident matrix[SL_MATRIX_O + 1], router, shared;
    struct sl_resident *expert; /* [n_expert] */
    uint32_t slot_off;          /* this layer's slot table in the control arena */
};

struct sl_fabric {
    const struct sl_config *config; /* borrowed, like store and pool */
    const struct sl_store *store;
    struct sl_pool *pool;
    enum sl_dense dense;
    uint32_t n_resident;   /* routed experts of a layer that the device holds */
    unsigned part, n_part; /* it has layers part, part + n_part, ...; the last part the LM head */
    struct sl_dense_cpu cpu;
    struct sl_profile *profile; /* borrowed; NULL: nothing is recorded */
    struct sl_device *dev;
    struct sl_joblist jobs;
    struct sl_fabric_layer *layer; /* [n_layer] */
    struct sl_resident *experts;   /* [n_layer][n_expert], behind layer[].expert */
    struct sl_resident head;
    struct sl_moe_work *moe;
    struct sl_ops_stats stats;
    char name[SL_DEVICE_NAME]; /* of the device that was asked for */
    char failure[256];         /* why the CPU took over; "": it did not */
};

/* fabric.c: one device with its part of the layers. */
int sl_fabric_open_part(struct sl_ops *out, const struct sl_fabric_params *params, unsigned part,
                        unsigned n_part);

/* fp32 rows x[n][width] as activations of k columns at *off, one per token. */
int sl_fabric_put_x8(struct sl_fabric *f, const float *x, size_t n, uint32_t width, uint32_t k,
                     uint32_t *off);
int sl_fabric_put_x16(struct sl_fabric *f, const float *x, size_t n, uint32_t width, uint32_t k,
                      uint32_t *off);

/* fp32 rows likewise to dst. */
int sl_fabric_pack_x8(struct sl_fabric *f, const float *x, size_t n, uint32_t width, uint32_t k,
                      uint8_t *dst);

/* fabric_linear.c. */
int sl_dense_cpu_open(struct sl_fabric *f);
void sl_dense_cpu_close(struct sl_fabric *f);
/* Beats of the heap that the largest launch of plain matrices takes. */
uint64_t sl_linear_heap_beats(const struct sl_fabric *f);
/* engine/ops.h: linear. */
int sl_fabric_linear(void *ctx, const struct sl_linear_call *calls, size_t n_call, const float *x,
                     size_t n_tok);

int sl_moe_open(struct sl_fabric *f);
void sl_moe_close(struct sl_fabric *f);
/* Beats of the heap that the largest pass takes, and jobs of its largest launch. */
uint64_t sl_moe_heap_beats(const struct sl_config *config, const struct sl_store *store);
uint32_t sl_moe_max_job(const struct sl_config *config);
/* engine/ops.h: moe. */
int sl_fabric_moe(void *ctx, uint32_t layer, const float *x, size_t n_tok, float *y,
                  struct sl_route *route);

#endif
