/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of tb_reduce.sv. */
#include <string.h>

#include "ctl_bench.h"

/* What the parts hold. */
enum parts {
    PARTS_NOISE,  /* any s64: sums wrap */
    PARTS_SMALL,  /* random lengths: results of every exponent, ties */
    PARTS_CANCEL, /* the last part takes back nearly everything */
    PARTS_ENDS,   /* the largest, the smallest, 0, 1, -1 */
    PARTS_ZERO,
    N_PARTS
};

void tb_reduce_case(void *handle, int rows, int n_tokens, int n_part, int data, int mant, int e,
                    int compact);

static uint64_t value(struct ctl_bench *b, enum parts parts, unsigned part, uint64_t sum)
{
    static const int64_t end[] = {INT64_MIN, INT64_MAX, INT64_MIN + 1, 0, 1, -1};
    switch (parts) {
    case PARTS_SMALL: return (uint64_t)((int64_t)sl_rng_next(&b->rng) >> ctl_bench_range(b, 0, 63));
    case PARTS_CANCEL:
        return part + 1u == b->job.n_part ? (uint64_t)ctl_bench_range(b, -9, 9) - sum
                                          : sl_rng_next(&b->rng);
    case PARTS_ENDS: return (uint64_t)end[ctl_bench_range(b, 0, 5)];
    default: return 0;
    }
}

/* The arena holds noise already; so do the rows behind the last one, which nobody may look at. */
static void fill(struct ctl_bench *b, enum parts parts)
{
    const struct sl_job *job = &b->job;
    for (uint32_t t = 0; t < job->n_tokens && parts != PARTS_NOISE; t++)
        for (uint32_t i = 0; i < job->rows; i++) {
            uint64_t sum = 0;
            for (unsigned p = 0; p < job->n_part; p++) {
                uint64_t v = value(b, parts, p, sum);
                ref_put64(ctl_bench_at(b, job->x_off + p * job->part_stride + t * job->x_stride) +
                              8 * (size_t)i,
                          v);
                sum += v;
            }
        }
}

/* compact: the parts of one token lie together, otherwise the tokens of one part. */
static void set_strides(struct ctl_bench *b, int compact, uint64_t *x_span)
{
    struct sl_job *job = &b->job;
    uint64_t item = ref_x_beats(job);
    uint64_t n[2] = {job->n_part, job->n_tokens}, stride[2];
    const int near = compact ? 0 : 1, far = 1 - near;
    stride[near] = item + (uint64_t)ctl_bench_range(b, 0, 2);
    stride[far] = (n[near] - 1) * stride[near] + item + (uint64_t)ctl_bench_range(b, 0, 2);
    *x_span = (n[0] - 1) * stride[0] + (n[1] - 1) * stride[1] + item;
    job->part_stride = (uint32_t)stride[0];
    job->x_stride = (uint16_t)stride[1];
    job->y_stride = (uint16_t)(ref_y_beats(job) + (uint64_t)ctl_bench_range(b, 0, 2));
}

void tb_reduce_case(void *handle, int rows, int n_tokens, int n_part, int data, int mant, int e,
                    int compact)
{
    struct ctl_bench *b = handle;
    struct sl_job *job = &b->job;
    uint64_t x_span;
    ctl_bench_begin(b);
    job->op = SL_OP_REDUCE;
    job->format = 0;
    job->rows = (uint32_t)rows;
    job->n_tokens = (uint16_t)n_tokens;
    job->n_part = (uint8_t)n_part;
    job->scale_mant = (uint16_t)mant;
    job->scale_exp = (int16_t)e;
    set_strides(b, compact, &x_span);
    ctl_bench_place(b, x_span, (uint64_t)(n_tokens - 1) * job->y_stride + ref_y_beats(job));
    fill(b, (enum parts)(data % N_PARTS));
    if (n_tokens == 1) /* then strides are not looked at */
        job->x_stride = job->y_stride = (uint16_t)ctl_bench_range(b, 0, 65535);
    if (n_part == 1)
        job->part_stride = (uint32_t)sl_rng_next(&b->rng);
    ctl_bench_expect(b, ref_run_reduce);
}
