/* SPDX-License-Identifier: Apache-2.0 */
/* What fabric.c (open, KV), member.c (one device and what it holds), fabric_linear.c (plain
 * matrices) and moe_*.c (router and experts) share. */
#ifndef SL_FABRIC_FABRIC_STATE_H
#define SL_FABRIC_FABRIC_STATE_H

#include "accel/cpu_ops.h"
#include "base/pool.h"
#include "fabric/fabric.h"
#include "fabric/joblist.h"
#include "fabric/predict.h"
#include "fabric/slots.h"
#include "fabric/stream.h"
#include "store/expert_memory.h"

enum { SL_NOT_RESIDENT = SL_SLOT_ABSENT };

/* Slabs of a model have dense numbers, their places: the LM head is 0, behind it each layer has
 * these and then its experts. */
enum { SL_PLACE_ROUTER = SL_MATRIX_O + 1, SL_PLACE_SHARED, SL_PLACE_EXPERT };

/* Plain matrices on the CPU. */
struct sl_dense_cpu {
    const struct sl_cpu_ops *ops; /* NULL: never used */
    uint8_t *x;                   /* activations of one call */
    uint8_t *work;                /* [threads][work_stride] */
    size_t work_stride;
};

/* Rows first .. first + count of d_ff: whole blocks of 32. */
struct sl_slice {
    uint32_t first, count;
};

/*
 * One device and what it holds. Cards have the layers in turn: card i of n all of layers i, i + n,
 * ..., the last one the LM head too; or, sliced, of every expert each card has a slice, and every
 * router. Where experts are missing on cards, or there is no card, the
 * CPU is the last member.
 */
struct sl_member {
    struct sl_fabric *fabric; /* whose it is */
    unsigned index;
    struct sl_device *dev; /* owned, like the rest */
    bool card;
    struct sl_launcher *launcher;   /* NULL: launches are waited for by their caller */
    struct sl_slice expert, shared; /* of a sliced fabric: its part of each */
    struct sl_slots *slots;         /* cards: which routed experts it holds from now to then */
    struct sl_stream *stream;       /* cards that do not hold all of them: for prefill */
    struct sl_joblist jobs;
    double work_s;   /* measured: for the bytes of an expert, read and used once (moe_run.c) */
    uint32_t *w_off; /* [n_place]; SL_NOT_RESIDENT: it does not hold that slab */
    char name[SL_DEVICE_NAME]; /* of the device that was asked for */
    char failure[256];         /* why the CPU took over; "": it did not */
};

struct sl_fabric {
    const struct sl_config *config; /* borrowed, like store and pool */
    const struct sl_store *store;
    struct sl_pool *pool;
    struct sl_profile *profile; /* borrowed; NULL: nothing is recorded */
    enum sl_dense dense;
    struct sl_routing routing;
    uint32_t n_resident; /* routed experts of a layer that a card holds */
    bool sliced;
    struct sl_slab *header; /* sliced: [n_place] of experts and shared experts, owned */
    uint32_t n_place;
    struct sl_slab
        expert; /* header of any expert as far as they are alike: kind, format, k, rows */
    struct sl_dense_cpu cpu;
    unsigned n_card, n_member; /* cards first */
    struct sl_member member[SL_OPS_MAX_DEVICE + 1];
    struct sl_expert_memory *experts; /* owned: routed experts in host memory */
    struct sl_predictor predictor;
    struct sl_moe_work *moe;
    struct sl_ops_stats stats;
    char name[SL_DEVICE_NAME];
};

static inline uint32_t sl_place_of(const struct sl_fabric *f, uint32_t layer, uint32_t i)
{
    return 1 + layer * (SL_PLACE_EXPERT + f->config->n_expert) + i;
}

static inline uint32_t sl_place_layer(const struct sl_fabric *f, uint32_t place)
{
    return place ? (place - 1) / (SL_PLACE_EXPERT + f->config->n_expert) : 0;
}

static inline bool sl_place_is_expert(const struct sl_fabric *f, uint32_t place)
{
    return place && (place - 1) % (SL_PLACE_EXPERT + f->config->n_expert) >= SL_PLACE_EXPERT;
}

/* The slab of a place, mapped or in memory; not of a routed expert. NULL: the model has none. */
const struct sl_slab *sl_place_slab(const struct sl_fabric *f, uint32_t place);

/* Of router, shared expert and matrices of a layer. */
static inline struct sl_member *sl_layer_home(struct sl_fabric *f, uint32_t layer)
{
    return &f->member[f->n_card ? layer % f->n_card : 0];
}

/* NULL where every card has all of its experts. */
static inline struct sl_member *sl_cpu_member(struct sl_fabric *f)
{
    return f->n_member > f->n_card ? &f->member[f->n_card] : NULL;
}

/* ---- member.c -------------------------------------------------------------------------------- */

/* Opens the device, places and uploads its slabs; m->fabric and index are set. */
int sl_member_open(struct sl_member *m, const char *device, const struct sl_fabric_params *params);
void sl_member_close(struct sl_member *m);
/* Of an expert of one of its layers, for the next launch: where the device reads slabs as the host
 * has them, this is the one. */
int sl_member_bind(struct sl_member *m, uint32_t place, const struct sl_slab *slab);
/* Of the slot table of a layer in the control arena. */
uint32_t sl_member_slot_table(const struct sl_member *m, uint32_t layer);
int sl_member_write_slot_table(struct sl_member *m, uint32_t layer);

/* Seconds on the member's clock: its own, where it has one. */
double sl_member_now(const struct sl_member *m);

/* What the CPU does for n tokens with a slab, in units of its bytes: they are read once for all
 * tokens, of which four take as long again (measured: docs/measurements.md, CPU kernels); 1 for one
 * token. */
static inline double sl_cpu_work(size_t n_tok)
{
    return (1 + 0.25 * (double)n_tok) / 1.25;
}

/* A measurement into a fading mean; 0: it is the first. */
static inline void sl_fading_mean(double *mean, double value)
{
    *mean += (*mean > 0 ? 1.0 / 16 : 1) * (value - *mean);
}

/* ---- fabric.c, fabric_input.c ---------------------------------------------------------------- */

/* Beats of the heap that the largest launch of KV packing takes. */
uint64_t sl_kv_heap_beats(const struct sl_config *c);

/* fp32 rows x[n][width], to be activations of k columns, one per row. */
struct sl_fabric_rows {
    const float *x;
    size_t n;
    uint32_t width, k;
};
/* At *off of the member's heap. */
int sl_fabric_put_x8(struct sl_member *m, const struct sl_fabric_rows *x, uint32_t *off);
/* To dst; 8 or 16 bits. */
int sl_fabric_pack_x8(struct sl_fabric *f, const struct sl_fabric_rows *x, uint8_t *dst);
int sl_fabric_pack_x16(struct sl_fabric *f, const struct sl_fabric_rows *x, uint8_t *dst);

/* ---- fabric_linear.c ------------------------------------------------------------------------- */

int sl_dense_cpu_open(struct sl_fabric *f);
void sl_dense_cpu_close(struct sl_fabric *f);
/* Beats of the heap that the largest launch of plain matrices takes. */
uint64_t sl_linear_heap_beats(const struct sl_fabric *f);
/* engine/ops.h: linear. */
int sl_fabric_linear(void *ctx, const struct sl_linear_call *calls, size_t n_call, const float *x,
                     size_t n_tok);

/* ---- moe.c ----------------------------------------------------------------------------------- */

int sl_moe_open(struct sl_fabric *f);
void sl_moe_close(struct sl_fabric *f);
/* Beats of the heap that the largest pass takes, and jobs of its largest launch. */
uint64_t sl_moe_heap_beats(const struct sl_fabric *f);
uint32_t sl_moe_max_job(const struct sl_config *config);
/* engine/ops.h: moe. */
int sl_fabric_moe(void *ctx, const struct sl_moe_call *call);

#endif
