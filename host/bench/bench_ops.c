/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that are not weights: how long one launch of one job takes, data in caches. */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/cpu_device.h"
#include "base/clock.h"
#include "base/err.h"
#include "store/slab.h"

enum {
    N_EXPERT = 32,
    TOP_K = 2,
    HEAD_DIM = 128,
    N_HEAD = 16,
    N_PART = 4,
    TINY = 64,
    LAUNCHES = 301
};
enum { CTL_BEATS = 1 << 19, W_BEATS = 1 << 18, X_OFF = 2 }; /* behind list and record */

struct ops_bench {
    const struct sl_bench_params *p;
    struct sl_device *dev;
    float *x;      /* [SL_MAX_K] random */
    uint8_t *item; /* one activation */
};

static uint32_t beats_of(uint64_t n, unsigned bytes)
{
    return (uint32_t)((n * bytes + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES);
}

/* n items of `beats` each, packed by pack() from k numbers. */
static int put_x(struct ops_bench *b, uint32_t n, uint32_t beats, uint32_t k,
                 int (*pack)(const float *, uint32_t, uint32_t, uint8_t *))
{
    int err = pack(b->x, k, k, b->item);
    for (uint32_t i = 0; !err && i < n; i++)
        err = sl_device_write(b->dev, SL_ARENA_CTL, X_OFF + i * beats, b->item, beats);
    return err;
}

static int pack_head(const float *x, uint32_t n, uint32_t k, uint8_t *dst)
{
    (void)k;
    return sl_act_head_pack(x, n, dst);
}

static int put_slab(struct ops_bench *b, const struct sl_slab *head, int fill)
{
    uint8_t *slab = sl_alloc_aligned(SL_BEAT_BYTES, (size_t)W_BEATS * SL_BEAT_BYTES);
    if (!slab)
        return SL_ERR_NOMEM;
    memset(slab, fill, (size_t)W_BEATS * SL_BEAT_BYTES);
    memcpy(slab, head, sizeof *head);
    int err = sl_device_write(b->dev, 0, 0, slab, W_BEATS);
    free(slab);
    return err;
}

/* Launches the job again and again and reports the median. */
static int measure(struct ops_bench *b, const char *what, const struct sl_job *job)
{
    double t[LAUNCHES];
    struct sl_record record = {0};
    int err = sl_device_write(b->dev, SL_ARENA_CTL, 0, job, 1);
    for (int i = 0; !err && i < LAUNCHES; i++) {
        const uint64_t start = sl_now_ns();
        err = sl_device_launch(b->dev, 0, 1, SL_DEVICE_DEADLINE_MS);
        t[i] = (double)(sl_now_ns() - start) * 1e-9;
    }
    err = err ? err : sl_device_read(b->dev, SL_ARENA_CTL, 1, &record, 1);
    if (!err && record.status != SL_STATUS_OK)
        err = sl_fail(SL_ERR_DEVICE, NULL, "the benchmark's %s ended with status %u", what,
                      record.status);
    if (err)
        return err;
    const struct sl_bench_op op = {what, job->n_tokens, sl_bench_median(t, LAUNCHES)};
    b->p->op(b->p->user, &op);
    return 0;
}

static int tiny_expert(struct ops_bench *b)
{
    const struct sl_slab head = {.magic = SL_SLAB_MAGIC,
                                 .kind = SL_KIND_EXPERT,
                                 .format = SL_FORMAT_NF4,
                                 .k = TINY,
                                 .rows = TINY,
                                 .mant0 = 1,
                                 .mant1 = 1,
                                 .mant2 = 1,
                                 .exp0 = -20,
                                 .exp1 = -20,
                                 .exp2 = -20};
    const struct sl_job job = {.op = SL_OP_EXPERT,
                               .format = SL_FORMAT_NF4,
                               .x_off = X_OFF,
                               .y_off = CTL_BEATS / 2,
                               .n_tokens = 1,
                               .k = TINY,
                               .rows = TINY,
                               .slice_count = TINY};
    int err = put_slab(b, &head, 0x55);
    err = err ? err : put_x(b, 1, sl_act8_beats(TINY), TINY, sl_act8_pack);
    return err ? err : measure(b, "expert of 64 x 64", &job);
}

static int router(struct ops_bench *b, const char *what, uint8_t mode, uint16_t n_tok)
{
    const uint32_t k = b->p->d_model, beats = sl_act16_beats(k);
    const struct sl_slab head = {.magic = SL_SLAB_MAGIC,
                                 .kind = SL_KIND_ROUTER,
                                 .k = k,
                                 .rows = mode == SL_MODE_ATTENTION ? 3 * N_EXPERT : N_EXPERT};
    const struct sl_job job = {.op = SL_OP_ROUTER,
                               .format = mode,
                               .x_off = X_OFF,
                               .y_off = CTL_BEATS / 2,
                               .n_tokens = n_tok,
                               .x_stride = (uint16_t)beats,
                               .top_k = TOP_K,
                               .k = (uint16_t)k,
                               .rows = N_EXPERT};
    int err = put_slab(b, &head, -20); /* also the rows' exponents */
    err = err ? err : put_x(b, n_tok, beats, k, sl_act16_pack);
    return err ? err : measure(b, what, &job);
}

static int kv_pack(struct ops_bench *b, const char *what, uint8_t format, uint16_t n_tok)
{
    const uint32_t beats = sl_act_head_beats(HEAD_DIM);
    const struct sl_job job = {.op = SL_OP_KV_PACK,
                               .format = format,
                               .x_off = X_OFF,
                               .y_off = CTL_BEATS / 2,
                               .n_tokens = n_tok,
                               .x_stride = (uint16_t)beats,
                               .y_stride = HEAD_DIM / SL_BEAT_BYTES + 1,
                               .k = HEAD_DIM,
                               .rows = N_HEAD};
    int err = put_x(b, (uint32_t)n_tok * N_HEAD, beats, HEAD_DIM, pack_head);
    return err ? err : measure(b, what, &job);
}

static int reduce(struct ops_bench *b)
{
    const uint32_t k = b->p->d_model;
    const struct sl_job job = {.op = SL_OP_REDUCE,
                               .x_off = X_OFF,
                               .y_off = CTL_BEATS / 2,
                               .n_tokens = 1,
                               .scale_mant = 1,
                               .rows = k,
                               .part_stride = beats_of(k, 8),
                               .n_part = N_PART,
                               .scale_exp = -20};
    return measure(b, "reduce, d_model rows of 4 parts", &job);
}

static int run_all(struct ops_bench *b)
{
    static const char softmax[] = "router, 32 experts",
                      attention[] = "attention router, 32 experts";
    int err = tiny_expert(b);
    for (int n = 0; !err && n < 2; n++) {
        const uint16_t n_tok = n == 0 ? 1 : SL_MAX_TOKENS;
        err = router(b, softmax, SL_MODE_SOFTMAX, n_tok);
        err = err ? err : router(b, attention, SL_MODE_ATTENTION, n_tok);
        err =
            err ? err : kv_pack(b, "kv_pack int8, 16 heads of 128", SL_KVREC_INT8, n == 0 ? 1 : 16);
        err =
            err ? err : kv_pack(b, "kv_pack int4, 16 heads of 128", SL_KVREC_INT4, n == 0 ? 1 : 16);
    }
    return err ? err : reduce(b);
}

int sl_bench_ops(const struct sl_bench_params *p, struct sl_pool *pool)
{
    struct ops_bench b = {.p = p};
    uint64_t state = 1234567;
    b.x = sl_alloc(SL_MAX_K, sizeof *b.x);
    b.item = sl_alloc_aligned(SL_BEAT_BYTES, (size_t)sl_act16_beats(SL_MAX_K) * SL_BEAT_BYTES);
    for (uint32_t i = 0; b.x && i < SL_MAX_K; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        b.x[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
    }
    int err = b.x && b.item ? sl_device_open(&b.dev, p->device ? p->device : "cpu") : SL_ERR_NOMEM;
    err = err ? err : sl_device_alloc(b.dev, CTL_BEATS, W_BEATS);
    err = err ? err : sl_cpu_device_set_pool(b.dev, pool);
    err = err ? err : run_all(&b);
    sl_device_close(&b.dev);
    free(b.x);
    free(b.item);
    return err;
}
