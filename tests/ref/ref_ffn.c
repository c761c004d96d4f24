/* SPDX-License-Identifier: Apache-2.0 */
/* EXPERT, PLAIN and REDUCE: docs/numerics.md 3.2, 4, 5.1 to 5.3. */
#include <stdlib.h>
#include <string.h>

#include "ref/ref_core.h"

/* A vector of 8-bit blocks: value[i] * 2^(xe[i / 32] + base). */
struct vector {
    int32_t base;
    int32_t value[SL_MAX_K];
    uint8_t xe[SL_MAX_K / SL_BLOCK];
};

static void load_x(const struct ref_run *run, unsigned t, struct vector *x)
{
    const uint32_t k = run->job.k;
    const uint8_t *item = ref_ctl(run->core, ref_token_at(run, t));
    const uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    x->base = (int32_t)ref_get32(item);
    memcpy(x->xe, xe, k / SL_BLOCK);
    for (uint32_t c = 0; c < k; c++)
        x->value[c] = (int8_t)code[c];
}

/* Columns first .. first + n - 1 of the row with elements 0 .. n - 1 of x. */
static int64_t dot(const struct ref_row *w, uint32_t first, uint32_t n, const struct vector *x)
{
    ref_wide acc = 0;
    for (uint32_t b = 0; b < n / SL_BLOCK; b++) {
        const int32_t *wv = w->value + first + b * SL_BLOCK, *xv = x->value + b * SL_BLOCK;
        int64_t sum = 0;
        for (int i = 0; i < SL_BLOCK; i++)
            sum += (int64_t)wv[i] * xv[i];
        uint8_t scale = w->scaled ? w->scale[first / SL_BLOCK + b] : 0;
        int sig = w->scaled ? SL_SIG_BASE + (scale & 31) : 1, we = scale >> 5;
        acc += (ref_wide)sum * sig * ((ref_wide)1 << (we + x->xe[b]));
    }
    if (acc != (int64_t)acc)
        abort(); /* section 4 says that this cannot be */
    return (int64_t)acc;
}

/* The output word of row i of token t. */
static void put_y(const struct ref_run *run, unsigned t, uint32_t i, int64_t sum, uint16_t mant,
                  int e)
{
    uint8_t *y = ref_ctl(run->core, run->job.y_off + (uint64_t)t * run->job.y_stride);
    if (run->job.flags & SL_FLAG_PARTIAL)
        ref_put64(y + 8 * (size_t)i, (uint64_t)sum);
    else
        ref_put32(y + 4 * (size_t)i, ref_scale_f32(sum, mant, e));
}

static void clear_y(const struct ref_run *run)
{
    for (unsigned t = 0; t < run->job.n_tokens; t++)
        memset(ref_ctl(run->core, run->job.y_off + (uint64_t)t * run->job.y_stride), 0,
               ref_y_beats(&run->job) * SL_BEAT_BYTES);
}

static void count_beats(struct ref_run *run, uint64_t unit, uint64_t beats)
{
    run->rec.beats += (uint32_t)beats;
    run->port_beats[unit % run->core->weights.n_port] += (uint32_t)beats;
}

/* ---- EXPERT ---------------------------------------------------------------------------------- */

struct expert {
    struct ref_run *run;
    struct ref_region region[2];
    struct ref_row row[2];
    int u;            /* exponent of h */
    struct vector *x; /* [n_tokens] */
    struct vector *h; /* [n_tokens]: the slice */
    int64_t *exact;   /* [n_tokens][slice_count]: h in Q32 */
};

static int32_t activate(struct expert *ex, const struct ref_row *row, const struct vector *x,
                        uint16_t mant, int e)
{
    bool saturated;
    int32_t v = ref_scale_s32(dot(row, 0, ex->run->job.k, x), mant, e + x->base + 16, &saturated);
    ex->run->rec.sat_gu += saturated;
    return v;
}

static void gate_up(struct expert *ex)
{
    const struct sl_job *job = &ex->run->job;
    const struct sl_slab *head = &ex->run->head;
    for (uint32_t j = 0; j < job->slice_count; j++) {
        uint64_t unit = job->slice_first + j;
        const uint8_t *p = ref_unit(&ex->run->core->weights, ex->run->w_off, &ex->region[0], unit);
        ref_get_row(job->format, job->k, p, false, &ex->row[0]);
        ref_get_row(job->format, job->k, p, true, &ex->row[1]);
        count_beats(ex->run, unit, ex->region[0].unit_beats);
        for (unsigned t = 0; t < job->n_tokens; t++) {
            int32_t g = activate(ex, &ex->row[0], &ex->x[t], head->mant0, head->exp0);
            int32_t u = activate(ex, &ex->row[1], &ex->x[t], head->mant1, head->exp1);
            int64_t silu = (int64_t)ref_round((int64_t)g * ref_sigmoid(g), 16);
            ex->exact[(size_t)t * job->slice_count + j] = silu * u;
        }
    }
}

static void quantise_block(struct expert *ex, const int64_t exact[SL_BLOCK], int32_t q[SL_BLOCK],
                           uint8_t *xe)
{
    uint64_t am = 0;
    for (int i = 0; i < SL_BLOCK; i++) {
        uint64_t a = exact[i] < 0 ? (uint64_t)-exact[i] : (uint64_t)exact[i];
        am = a > am ? a : am;
    }
    memset(q, 0, SL_BLOCK * sizeof q[0]);
    *xe = 0;
    if (am == 0)
        return;
    int he = ref_log2(am) - 38 + ex->u;
    ex->run->rec.saturations += he > SL_XE_MAX;
    ex->run->rec.clamps += he < 0;
    he = he > SL_XE_MAX ? SL_XE_MAX : he < 0 ? 0 : he;
    for (int i = 0; i < SL_BLOCK; i++) {
        ref_wide r = ref_round(exact[i], he - ex->u + 32);
        q[i] = r > 127 ? 127 : r < -127 ? -127 : (int32_t)r;
    }
    *xe = (uint8_t)he;
}

static void quantise_h(struct expert *ex)
{
    const struct sl_job *job = &ex->run->job;
    for (unsigned t = 0; t < job->n_tokens; t++)
        for (uint32_t b = 0; b < job->slice_count / SL_BLOCK; b++)
            quantise_block(ex, ex->exact + (size_t)t * job->slice_count + b * SL_BLOCK,
                           ex->h[t].value + b * SL_BLOCK, &ex->h[t].xe[b]);
}

/* Beats of a down unit that hold columns of the slice. */
static uint64_t down_beats(const struct sl_job *job)
{
    uint64_t first = job->slice_first, last = first + job->slice_count - 1;
    uint64_t weight = last / 64 - first / 64 + 1;
    if (job->format == SL_FORMAT_FP8)
        return 2 * weight;
    if (job->format == SL_FORMAT_Q8)
        return 2 * (last / 2048 - first / 2048 + 1 + weight);
    return last / 1024 - first / 1024 + 1 + weight;
}

static void down(struct expert *ex)
{
    const struct sl_job *job = &ex->run->job;
    const struct sl_slab *head = &ex->run->head;
    for (uint32_t i = 0; i < job->k; i++) {
        const uint8_t *p = ref_unit(&ex->run->core->weights, ex->run->w_off, &ex->region[1], i / 2);
        ref_get_row(job->format, job->rows, p, i % 2, &ex->row[0]);
        if (i % 2 == 0)
            count_beats(ex->run, i / 2, down_beats(job));
        for (unsigned t = 0; t < job->n_tokens; t++) {
            int64_t sum = dot(&ex->row[0], job->slice_first, job->slice_count, &ex->h[t]);
            put_y(ex->run, t, i, sum, head->mant2, head->exp2 - ex->u);
        }
    }
}

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

void ref_run_expert(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    struct expert *ex = must_alloc(1, sizeof *ex);
    ex->run = run;
    ex->u = run->head.u_h - job->u_h_drop;
    ex->x = must_alloc(job->n_tokens, sizeof *ex->x);
    ex->h = must_alloc(job->n_tokens, sizeof *ex->h);
    ex->exact = must_alloc((size_t)job->n_tokens * job->slice_count, sizeof *ex->exact);
    ref_expert_regions(job->format, job->k, job->rows, run->core->weights.n_port, ex->region);
    for (unsigned t = 0; t < job->n_tokens; t++)
        load_x(run, t, &ex->x[t]);
    gate_up(ex);
    quantise_h(ex);
    clear_y(run);
    down(ex);
    run->rec.macs = (uint64_t)job->n_tokens * 3 * job->k * job->slice_count;
    free(ex->x);
    free(ex->h);
    free(ex->exact);
    free(ex);
}

/* ---- PLAIN, REDUCE --------------------------------------------------------------------------- */

void ref_run_plain(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    struct ref_region region;
    struct ref_row *row = must_alloc(1, sizeof *row);
    struct vector *x = must_alloc(job->n_tokens, sizeof *x);
    ref_plain_region(job->format, job->k, job->rows, run->core->weights.n_port, &region);
    for (unsigned t = 0; t < job->n_tokens; t++)
        load_x(run, t, &x[t]);
    clear_y(run);
    for (uint32_t i = 0; i < job->rows; i++) {
        ref_get_row(job->format, job->k, ref_unit(&run->core->weights, run->w_off, &region, i / 2),
                    i % 2, row);
        if (i % 2 == 0)
            count_beats(run, i / 2, region.unit_beats);
        for (unsigned t = 0; t < job->n_tokens; t++)
            put_y(run, t, i, dot(row, 0, job->k, &x[t]), run->head.mant0,
                  run->head.exp0 + x[t].base);
    }
    run->rec.macs = (uint64_t)job->n_tokens * job->rows * job->k;
    free(row);
    free(x);
}

void ref_run_reduce(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    clear_y(run);
    for (unsigned t = 0; t < job->n_tokens; t++)
        for (uint32_t i = 0; i < job->rows; i++) {
            uint64_t sum = 0;
            for (unsigned p = 0; p < job->n_part; p++)
                sum += ref_get64(ref_ctl(run->core, job->x_off + (uint64_t)p * job->part_stride +
                                                        (uint64_t)t * job->x_stride) +
                                 8 * (size_t)i);
            put_y(run, t, i, (int64_t)sum, job->scale_mant, job->scale_exp);
        }
}
