/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: fp32 rows into a control arena or elsewhere, in parallel over tokens. */
#include "accel/activation.h"
#include "fabric/fabric_state.h"

struct put_work {
    const float *x;
    uint32_t width, k;
    size_t stride;
    uint8_t *dst;
    int (*pack)(const float *, uint32_t, uint32_t, uint8_t *);
    int *err; /* [n] */
};

static void put_one(void *user, size_t i, unsigned thread)
{
    struct put_work *w = user;
    (void)thread;
    w->err[i] = w->pack(w->x + i * w->width, w->width, w->k, w->dst + i * w->stride);
}

static int pack_x(struct sl_fabric *f, struct put_work *w, size_t n)
{
    int item_err[SL_BATCH_TOKENS];
    struct sl_span span;
    w->err = item_err;
    sl_span_begin(f->profile, &span, SL_SPAN_QUANTISE, (uint32_t)n);
    sl_pool_run(f->pool, put_one, w, n);
    sl_span_end(f->profile, &span);
    for (size_t i = 0; i < n; i++)
        if (item_err[i]) /* again here: the reason belongs to the caller's thread */
            return w->pack(w->x + i * w->width, w->width, w->k, w->dst + i * w->stride);
    return 0;
}

typedef int (*pack_fn)(const float *, uint32_t, uint32_t, uint8_t *);

static int pack_rows(struct sl_fabric *f, const struct sl_fabric_rows *x, uint32_t beats,
                     pack_fn pack, uint8_t *dst)
{
    struct put_work w = {.x = x->x,
                         .width = x->width,
                         .k = x->k,
                         .stride = (size_t)beats * SL_BEAT_BYTES,
                         .dst = dst,
                         .pack = pack};
    return pack_x(f, &w, x->n);
}

int sl_fabric_pack_x8(struct sl_fabric *f, const struct sl_fabric_rows *x, uint8_t *dst)
{
    return pack_rows(f, x, sl_act8_beats(x->k), sl_act8_pack, dst);
}

int sl_fabric_pack_x16(struct sl_fabric *f, const struct sl_fabric_rows *x, uint8_t *dst)
{
    return pack_rows(f, x, sl_act16_beats(x->k), sl_act16_pack, dst);
}

int sl_fabric_put_x8(struct sl_member *m, const struct sl_fabric_rows *x, uint32_t *off)
{
    int err = sl_joblist_alloc(&m->jobs, x->n * sl_act8_beats(x->k), off);
    return err ? err : sl_fabric_pack_x8(m->fabric, x, sl_joblist_at(&m->jobs, *off));
}
