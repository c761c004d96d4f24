/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of docs/numerics.md 5.6, one predicate per status, in the order of the codes. */
#include <stdlib.h>
#include <string.h>

#include "ref/ref_core.h"

uint64_t ref_act8_beats(uint64_t k)
{
    return 1 + ref_ceil_div(k / SL_BLOCK, 64) + ref_ceil_div(k, 64);
}

uint64_t ref_act16_beats(uint64_t k)
{
    return 1 + ref_ceil_div(k / SL_BLOCK, 64) + 2 * ref_ceil_div(k, 64);
}

uint64_t ref_head_beats(uint64_t head_dim)
{
    return 1 + ref_ceil_div(2 * head_dim, 64);
}

uint64_t ref_kv_beats(int kind, uint64_t head_dim)
{
    return ref_ceil_div(head_dim, kind == SL_KVREC_INT8 ? 64 : 128) + 1;
}

uint64_t ref_list_beats(const struct sl_job *job)
{
    if (job->flags & SL_FLAG_EXPERT_CHOICE)
        return 2 * ref_ceil_div(4 * (uint64_t)job->rows * job->slice_count, 64);
    return ref_ceil_div(4 * (uint64_t)job->n_tokens * job->top_k, 64);
}

static uint64_t route_beats(const struct sl_job *job)
{
    const uint64_t per_expert = ref_ceil_div(4 * (uint64_t)job->rows, 64);
    return job->n_tokens + per_expert + ref_list_beats(job) +
           (job->flags & SL_FLAG_SCORES ? job->n_tokens * per_expert : 0);
}

uint64_t ref_x_beats(const struct sl_job *job)
{
    switch (job->op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: return ref_act8_beats(job->k);
    case SL_OP_REDUCE: return ref_ceil_div(8 * (uint64_t)job->rows, 64);
    case SL_OP_ROUTER: return ref_act16_beats(job->k);
    case SL_OP_KV_PACK: return ref_head_beats(job->k);
    case SL_OP_KV_UNPACK: return ref_kv_beats(job->format, job->k);
    default: return 0;
    }
}

uint64_t ref_y_beats(const struct sl_job *job)
{
    uint64_t word = job->flags & SL_FLAG_PARTIAL ? 8 : 4;
    switch (job->op) {
    case SL_OP_EXPERT: return ref_ceil_div(word * job->k, 64);
    case SL_OP_PLAIN: return ref_ceil_div(word * job->rows, 64);
    case SL_OP_REDUCE: return ref_ceil_div(4 * (uint64_t)job->rows, 64);
    case SL_OP_ROUTER: return route_beats(job);
    case SL_OP_KV_PACK: return ref_kv_beats(job->format, job->k);
    case SL_OP_KV_UNPACK: return ref_ceil_div(4 * (uint64_t)job->k, 64);
    default: return 1;
    }
}

static bool is_kv(const struct sl_job *job)
{
    return job->op == SL_OP_KV_PACK || job->op == SL_OP_KV_UNPACK;
}

static uint64_t x_items(const struct sl_job *job)
{
    return is_kv(job)               ? (uint64_t)job->n_tokens * job->rows
           : job->op == SL_OP_QUERY ? 0
                                    : job->n_tokens;
}

static uint64_t y_items(const struct sl_job *job)
{
    if (job->op == SL_OP_ROUTER || job->op == SL_OP_QUERY)
        return 1;
    return is_kv(job) ? (uint64_t)job->n_tokens * job->rows : job->n_tokens;
}

static bool op_ok(struct ref_run *run)
{
    return run->job.op >= SL_OP_QUERY && run->job.op <= SL_OP_KV_UNPACK;
}

static bool format_ok(struct ref_run *run)
{
    static const uint8_t n_format[] = {
        [SL_OP_QUERY] = 1,  [SL_OP_EXPERT] = 5,  [SL_OP_PLAIN] = 5,    [SL_OP_REDUCE] = 1,
        [SL_OP_ROUTER] = 3, [SL_OP_KV_PACK] = 2, [SL_OP_KV_UNPACK] = 2};
    return run->job.format < n_format[run->job.op];
}

static bool flags_ok(struct ref_run *run)
{
    int legal = SL_FLAG_PORT_COUNTERS;
    if (run->job.op == SL_OP_EXPERT)
        legal |= SL_FLAG_PARTIAL | SL_FLAG_LIST | SL_FLAG_INDIRECT;
    if (run->job.op == SL_OP_PLAIN)
        legal |= SL_FLAG_PARTIAL | SL_FLAG_LIST;
    if (run->job.op == SL_OP_ROUTER)
        legal = (int)ref_router_flags(run->core);
    if (run->job.op == SL_OP_ROUTER && run->job.flags & SL_FLAG_EXPERT_CHOICE)
        legal &= run->job.format == SL_MODE_SIGMOID
                     ? 0
                     : SL_FLAG_EXPERT_CHOICE | SL_FLAG_SCORES | SL_FLAG_PORT_COUNTERS;
    return (run->job.flags & ~legal) == 0;
}

static bool tokens_ok(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    if (job->op == SL_OP_QUERY)
        return true;
    if (job->flags & SL_FLAG_INDIRECT)
        return job->n_tokens == 1;
    return job->n_tokens >= 1 && job->n_tokens <= SL_MAX_TOKENS;
}

static bool in_range(uint64_t v, uint64_t lo, uint64_t hi)
{
    return v >= lo && v <= hi;
}

static bool columns_ok(uint64_t k)
{
    return k % SL_BLOCK == 0 && in_range(k, SL_BLOCK, SL_MAX_K);
}

static bool slice_ok(const struct sl_job *job)
{
    return job->slice_first % SL_BLOCK == 0 && job->slice_count % SL_BLOCK == 0 &&
           job->slice_count >= SL_BLOCK &&
           (uint64_t)job->slice_first + job->slice_count <= job->rows;
}

static bool strides_ok(const struct sl_job *job)
{
    if (x_items(job) > 1 && job->x_stride < ref_x_beats(job))
        return false;
    if (y_items(job) > 1 && job->y_stride < ref_y_beats(job))
        return false;
    return job->op != SL_OP_REDUCE || job->n_part == 1 || job->part_stride >= ref_x_beats(job);
}

static bool dimensions_ok(const struct sl_job *job)
{
    switch (job->op) {
    case SL_OP_EXPERT: return columns_ok(job->k) && columns_ok(job->rows) && slice_ok(job);
    case SL_OP_PLAIN: return columns_ok(job->k) && in_range(job->rows, 1, SL_MAX_ROWS);
    case SL_OP_REDUCE: return in_range(job->rows, 1, SL_MAX_ROWS) && job->n_part >= 1;
    case SL_OP_ROUTER:
        return columns_ok(job->k) && in_range(job->rows, 1, SL_MAX_N_EXPERT) &&
               in_range(job->top_k, 1, job->rows < SL_MAX_TOPK ? job->rows : SL_MAX_TOPK) &&
               !((job->flags & SL_FLAG_RECYCLE) && job->slice_count == 0) &&
               (!(job->flags & SL_FLAG_EXPERT_CHOICE) ||
                in_range(job->slice_count, 1, job->n_tokens));
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK:
        return job->k % 2 == 0 && in_range(job->k, 2, SL_MAX_HEAD_DIM) &&
               in_range(job->rows, 1, SL_MAX_KV_ROWS);
    default: return true;
    }
}

static bool shape_ok(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    if ((job->flags & SL_FLAG_INDIRECT) && job->route_choice >= SL_MAX_TOPK)
        return false;
    return dimensions_ok(job) && strides_ok(job);
}

static bool fits(struct ref_span s, uint64_t limit)
{
    return s.off + s.len <= limit;
}

static struct ref_span items_span(uint64_t off, uint64_t n, uint64_t stride, uint64_t item)
{
    return (struct ref_span){off, n ? (n - 1) * stride + item : 0};
}

static struct ref_span x_span(const struct sl_job *job)
{
    struct ref_span s = items_span(job->x_off, x_items(job), job->x_stride, ref_x_beats(job));
    if (job->op == SL_OP_REDUCE)
        s.len += (uint64_t)(job->n_part - 1) * job->part_stride;
    return s;
}

/* What the job reads in the control arena, but the rows behind a token list. */
enum { SPAN_X, SPAN_LIST, SPAN_ROUTE, SPAN_SLOTS, N_SPAN };

static void ctl_spans(const struct sl_job *job, struct ref_span read[N_SPAN])
{
    memset(read, 0, N_SPAN * sizeof read[0]);
    if (job->flags & SL_FLAG_LIST)
        read[SPAN_LIST] =
            (struct ref_span){job->list_off, ref_ceil_div(4 * (uint64_t)job->n_tokens, 64)};
    else if (x_items(job))
        read[SPAN_X] = x_span(job);
    if (job->flags & SL_FLAG_INDIRECT) {
        read[SPAN_ROUTE] = (struct ref_span){(uint64_t)job->route_off + job->route_token, 1};
        read[SPAN_SLOTS] =
            (struct ref_span){job->slot_off, ref_ceil_div(4 * (uint64_t)job->n_expert, 64)};
    }
}

static struct ref_span y_span(const struct sl_job *job)
{
    return items_span(job->y_off, y_items(job), job->y_stride, ref_y_beats(job));
}

static bool ctl_address_ok(struct ref_run *run)
{
    struct ref_span read[N_SPAN];
    ctl_spans(&run->job, read);
    for (int i = 0; i < N_SPAN; i++)
        if (!fits(read[i], run->core->ctl_limit))
            return false;
    return fits(y_span(&run->job), run->core->ctl_limit);
}

static bool route_ok(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    if (!(job->flags & SL_FLAG_INDIRECT))
        return true;
    const uint8_t *entry = ref_ctl(run->core, (uint64_t)job->route_off + job->route_token);
    run->rec.expert = ref_get16(entry + SL_AT_route_expert0 + 2 * job->route_choice);
    run->rec.weight = ref_get32(entry + SL_AT_route_weight0 + 4 * job->route_choice);
    return run->rec.expert < job->n_expert;
}

static bool slot_ok(struct ref_run *run)
{
    run->w_off = run->job.w_off;
    if (!(run->job.flags & SL_FLAG_INDIRECT))
        return true;
    run->w_off = ref_get32(ref_ctl(run->core, run->job.slot_off) + 4 * (size_t)run->rec.expert);
    return run->w_off != SL_SLOT_ABSENT;
}

static bool has_slab(const struct sl_job *job)
{
    return job->op == SL_OP_EXPERT || job->op == SL_OP_PLAIN || job->op == SL_OP_ROUTER;
}

static uint32_t router_rows(const struct sl_job *job)
{
    return job->format == SL_MODE_ATTENTION ? 3 * job->rows : job->rows;
}

/* Beats of the slab that the job describes, slack included. */
static uint64_t slab_beats(const struct ref_run *run, uint64_t bias_beats)
{
    const struct sl_job *job = &run->job;
    const unsigned n_port = run->core->weights.n_port;
    struct ref_region region[2];
    uint64_t beats;
    if (job->op == SL_OP_EXPERT)
        beats = ref_expert_regions(job->format, job->k, job->rows, n_port, region);
    else if (job->op == SL_OP_PLAIN)
        beats = ref_plain_region(job->format, job->k, job->rows, n_port, region);
    else
        beats = ref_router_region(job->k, router_rows(job), bias_beats, n_port, region);
    return beats + SL_SLACK_BEATS;
}

static bool slab_fits(const struct ref_run *run, uint64_t bias_beats)
{
    return fits((struct ref_span){run->w_off, slab_beats(run, bias_beats)},
                run->core->weights.w_limit);
}

static bool slab_address_ok(struct ref_run *run)
{
    return !has_slab(&run->job) || slab_fits(run, 0);
}

static bool header_ok(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    struct sl_slab *head = &run->head;
    if (!has_slab(job))
        return true;
    memcpy(head, run->core->weights.w[0] + (uint64_t)run->w_off * SL_BEAT_BYTES, sizeof *head);
    const bool bias = head->flags & SL_SLAB_HAS_BIAS;
    if (head->magic != SL_SLAB_MAGIC || head->k != job->k)
        return false;
    if (job->op == SL_OP_ROUTER)
        return head->kind == SL_KIND_ROUTER && head->format == 0 &&
               head->rows == router_rows(job) && (head->flags & ~SL_SLAB_HAS_BIAS) == 0 &&
               slab_fits(run, bias ? ref_ceil_div(4 * (uint64_t)job->rows, 64) : 0);
    if (head->format != job->format || head->rows != job->rows || head->flags)
        return false;
    if (job->op == SL_OP_PLAIN)
        return head->kind == SL_KIND_PLAIN;
    return head->kind == SL_KIND_EXPERT && head->u_h >= SL_U_H_MIN && head->u_h <= SL_U_H_MAX;
}

uint64_t ref_token_at(const struct ref_run *run, unsigned t)
{
    const struct sl_job *job = &run->job;
    uint64_t row = t;
    if (job->flags & SL_FLAG_LIST)
        row =
            ref_get32(ref_ctl(run->core, job->list_off) + 4 * t) & ((1u << SL_LIST_TOKEN_BITS) - 1);
    return job->x_off + row * job->x_stride;
}

static bool list_ok(struct ref_run *run)
{
    for (unsigned t = 0; t < run->job.n_tokens && run->job.flags & SL_FLAG_LIST; t++)
        if (!fits((struct ref_span){ref_token_at(run, t), ref_x_beats(&run->job)},
                  run->core->ctl_limit))
            return false;
    return true;
}

static bool base_ok(const uint8_t *item)
{
    int32_t base = (int32_t)ref_get32(item);
    return base >= -SL_BASE_MAX && base <= SL_BASE_MAX;
}

static bool blocks_ok(const uint8_t *item, uint32_t k, int xe_max, int code_bytes)
{
    const uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    for (uint32_t b = 0; b < k / SL_BLOCK; b++)
        if (xe[b] > xe_max)
            return false;
    for (uint32_t c = 0; c < k; c++)
        if (code_bytes == 1 ? code[c] == 0x80 : ref_get16(code + 2 * c) == 0x8000)
            return false;
    return base_ok(item);
}

static bool head_vector_ok(const uint8_t *item, uint32_t head_dim)
{
    for (uint32_t c = 0; c < head_dim; c++)
        if (ref_get16(item + 64 + 2 * c) == 0x8000)
            return false;
    return base_ok(item);
}

static bool activation_ok(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    bool ok = true;
    if (job->op == SL_OP_KV_PACK)
        for (uint32_t v = 0; ok && v < job->n_tokens * job->rows; v++)
            ok = head_vector_ok(ref_ctl(run->core, job->x_off + (uint64_t)v * job->x_stride),
                                job->k);
    for (unsigned t = 0; ok && t < job->n_tokens; t++) {
        const uint8_t *item = ref_ctl(run->core, ref_token_at(run, t));
        if (job->op == SL_OP_ROUTER)
            ok = blocks_ok(item, job->k, SL_XE16_MAX, 2);
        else if (job->op == SL_OP_EXPERT || job->op == SL_OP_PLAIN)
            ok = blocks_ok(item, job->k, SL_XE_MAX, 1);
    }
    return ok;
}

static bool overlap(struct ref_span a, struct ref_span b)
{
    return a.len && b.len && a.off < b.off + b.len && b.off < a.off + a.len;
}

static bool y_hits_input(const struct ref_run *run)
{
    struct ref_span read[N_SPAN];
    bool hit = false;
    ctl_spans(&run->job, read);
    for (int i = 0; i < N_SPAN; i++)
        hit = hit || overlap(run->y, read[i]);
    for (unsigned t = 0; t < run->job.n_tokens && run->job.flags & SL_FLAG_LIST; t++)
        hit =
            hit || overlap(run->y, (struct ref_span){ref_token_at(run, t), ref_x_beats(&run->job)});
    return hit;
}

static const struct {
    int status;
    bool (*ok)(struct ref_run *run);
} checks[] = {
    {SL_STATUS_BAD_OP, op_ok},
    {SL_STATUS_BAD_FORMAT, format_ok},
    {SL_STATUS_BAD_FLAGS, flags_ok},
    {SL_STATUS_BAD_TOKENS, tokens_ok},
    {SL_STATUS_BAD_SHAPE, shape_ok},
    {SL_STATUS_BAD_ADDRESS, ctl_address_ok},
    {SL_STATUS_BAD_ROUTE, route_ok},
    {SL_STATUS_MISS, slot_ok},
    {SL_STATUS_BAD_ADDRESS, slab_address_ok}, /* without INDIRECT the two before it always hold */
    {SL_STATUS_BAD_HEADER, header_ok},
    {SL_STATUS_BAD_LIST, list_ok},
    {SL_STATUS_BAD_ACTIVATION, activation_ok},
};

int ref_check(struct ref_run *run)
{
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i].ok(run))
            return checks[i].status;
    run->y = y_span(&run->job);
    run->undefined = y_hits_input(run);
    return SL_STATUS_OK;
}
