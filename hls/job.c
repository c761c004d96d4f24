/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include "primitives.h"

void sl_job_parse(const sl_beat *b, struct sl_req *r)
{
#define PARSE_job(type, name) r->name = (type)sl_beat_get(b, SL_AT_job_##name);
#define PARSE_slab(type, name)
#define PARSE_record(type, name)
#define PARSE_caps(type, name)
#define PARSE_route(type, name)
#define FIELD(object, type, name, offset, doc) PARSE_##object(type, name)
#include "desc.def"
#undef PARSE_job
#undef PARSE_slab
}

static void head_parse(const sl_beat *b, struct sl_head *head)
{
#define PARSE_job(type, name)
#define PARSE_slab(type, name) head->name = (type)sl_beat_get(b, SL_AT_slab_##name);
#include "desc.def"
#undef FIELD
#undef PARSE_job
#undef PARSE_slab
#undef PARSE_record
#undef PARSE_caps
#undef PARSE_route
}

static uint32_t formats_of(uint32_t op)
{
    switch (op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: return SL_FORMAT_MXFP4 + 1;
    case SL_OP_ROUTER: return SL_MODE_ATTENTION + 1;
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK: return SL_KVREC_INT4 + 1;
    default: return 1;
    }
}

static uint32_t flags_of(uint32_t op)
{
    switch (op) {
    case SL_OP_EXPERT:
        return SL_FLAG_PARTIAL | SL_FLAG_INDIRECT | SL_FLAG_LIST | SL_FLAG_PORT_COUNTERS;
    case SL_OP_PLAIN: return SL_FLAG_PARTIAL | SL_FLAG_LIST | SL_FLAG_PORT_COUNTERS;
    case SL_OP_ROUTER: return SL_ROUTER_FLAGS;
    default: return SL_FLAG_PORT_COUNTERS;
    }
}

/* No flag that the operation does not have; experts choose by shares that sum to one over all of
 * them. */
static bool flags_ok(const struct sl_req *r)
{
    const uint32_t others = SL_FLAG_RENORM | SL_FLAG_RECYCLE | SL_FLAG_NOISE;
    if (r->op == SL_OP_ROUTER && r->flags & SL_FLAG_EXPERT_CHOICE &&
        (r->format == SL_MODE_SIGMOID || r->flags & others))
        return false;
    return (r->flags & ~flags_of(r->op)) == 0;
}

static bool is_blocks(uint32_t v)
{
    return v % SL_BLOCK == 0 && v >= SL_BLOCK && v <= SL_MAX_K;
}

static bool in_range(uint32_t v, uint32_t lo, uint32_t hi)
{
    return v >= lo && v <= hi;
}

/* k, rows, slice, top_k, capacity, n_part, route_choice; strides are checked with their items. */
static bool shape_ok(const struct sl_req *r)
{
    switch (r->op) {
    case SL_OP_EXPERT:
        return is_blocks(r->k) && is_blocks(r->rows) && r->slice_first % SL_BLOCK == 0 &&
               is_blocks(r->slice_count) && (uint32_t)r->slice_first + r->slice_count <= r->rows &&
               (!(r->flags & SL_FLAG_INDIRECT) || r->route_choice < SL_MAX_TOPK);
    case SL_OP_PLAIN: return is_blocks(r->k) && in_range(r->rows, 1, SL_MAX_ROWS);
    case SL_OP_REDUCE: return in_range(r->rows, 1, SL_MAX_ROWS) && r->n_part >= 1;
    case SL_OP_ROUTER:
        return is_blocks(r->k) && in_range(r->rows, 1, SL_MAX_N_EXPERT) &&
               in_range(r->top_k, 1, sl_min_u32(SL_MAX_TOPK, r->rows)) &&
               (!(r->flags & SL_FLAG_RECYCLE) || r->slice_count >= 1) &&
               (!(r->flags & SL_FLAG_EXPERT_CHOICE) || in_range(r->slice_count, 1, r->n_tokens));
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK:
        return r->k % 2 == 0 && in_range(r->k, 2, SL_MAX_HEAD_DIM) &&
               in_range(r->rows, 1, SL_MAX_KV_ROWS);
    default: return true;
    }
}

/* One input or output of a job: n items of `item` beats, `stride` apart. */
struct range {
    uint32_t off, n, item, stride;
};

static void set_range(struct range *a, uint32_t off, uint32_t n, uint32_t item, uint32_t stride)
{
    a->off = off;
    a->n = n;
    a->item = item;
    a->stride = stride;
}

static bool stride_ok(const struct range *a)
{
    return a->n <= 1 || a->stride >= a->item;
}

static uint64_t range_end(const struct range *a)
{
    return (uint64_t)a->off + (a->n ? (uint64_t)(a->n - 1) * a->stride : 0) + a->item;
}

static void ranges_matrix(const struct sl_req *r, struct range *x, struct range *y)
{
    uint32_t rows = r->op == SL_OP_EXPERT ? r->k : r->rows;
    set_range(x, r->x_off, r->n_tokens, sl_x_beats(r->k, 1), r->x_stride);
    set_range(y, r->y_off, r->n_tokens, sl_beats_of(rows, r->flags & SL_FLAG_PARTIAL ? 8 : 4),
              r->y_stride);
}

uint32_t sl_list_beats(const struct sl_req *r)
{
    return r->flags & SL_FLAG_EXPERT_CHOICE ? 2 * sl_beats_of(r->rows * r->slice_count, 4)
                                            : sl_beats_of((uint32_t)r->n_tokens * r->top_k, 4);
}

static void ranges_router(const struct sl_req *r, struct range *x, struct range *y)
{
    uint32_t table = sl_beats_of(r->rows, 4);
    uint32_t beats = r->n_tokens + table + sl_list_beats(r);
    if (r->flags & SL_FLAG_SCORES)
        beats += r->n_tokens * table;
    set_range(x, r->x_off, r->n_tokens, sl_x_beats(r->k, 2), r->x_stride);
    set_range(y, r->y_off, 1, beats, 0);
}

static void ranges_kv(const struct sl_req *r, struct range *x, struct range *y)
{
    uint32_t n = r->n_tokens * r->rows;
    uint32_t packed = sl_kv_code_beats(r->format, r->k) + 1;
    bool pack = r->op == SL_OP_KV_PACK;
    set_range(x, r->x_off, n, pack ? sl_vector_beats(r->k) : packed, r->x_stride);
    set_range(y, r->y_off, n, pack ? packed : sl_beats_of(r->k, 4), r->y_stride);
}

/* Input and output of a job whose shape is right. */
static void ranges_of(const struct sl_req *r, struct range *x, struct range *y)
{
    switch (r->op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: ranges_matrix(r, x, y); break;
    case SL_OP_REDUCE:
        set_range(x, r->x_off, r->n_tokens, sl_beats_of(r->rows, 8), r->x_stride);
        set_range(y, r->y_off, r->n_tokens, sl_beats_of(r->rows, 4), r->y_stride);
        break;
    case SL_OP_ROUTER: ranges_router(r, x, y); break;
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK: ranges_kv(r, x, y); break;
    default:
        set_range(x, 0, 0, 0, 0);
        set_range(y, r->y_off, 1, 1, 0);
        break;
    }
}

/* REDUCE's parts: a second stride over the tokens' range. */
static bool parts_ok(const struct sl_req *r, const struct range *x)
{
    return r->op != SL_OP_REDUCE || r->n_part <= 1 || r->part_stride >= x->item;
}

static bool addresses_ok(const struct sl_req *r, const struct range *x, const struct range *y,
                         uint32_t ctl_limit)
{
    uint64_t x_end = range_end(x);
    if (r->op == SL_OP_REDUCE)
        x_end += (uint64_t)(r->n_part - 1) * r->part_stride;
    bool ok = range_end(y) <= ctl_limit;
    if (r->flags & SL_FLAG_LIST)
        ok = ok && (uint64_t)r->list_off + sl_beats_of(r->n_tokens, 4) <= ctl_limit;
    else
        ok = ok && x_end <= ctl_limit;
    if (r->flags & SL_FLAG_INDIRECT)
        ok = ok && (uint64_t)r->route_off + r->route_token < ctl_limit &&
             (uint64_t)r->slot_off + sl_beats_of(r->n_expert, 4) <= ctl_limit;
    return ok;
}

static uint32_t check_job(const struct sl_req *r, uint32_t ctl_limit)
{
    struct range x, y;
    if (r->op < SL_OP_QUERY || r->op > SL_OP_KV_UNPACK)
        return SL_STATUS_BAD_OP;
    if (r->format >= formats_of(r->op))
        return SL_STATUS_BAD_FORMAT;
    if (!flags_ok(r))
        return SL_STATUS_BAD_FLAGS;
    uint32_t max_tokens = r->flags & SL_FLAG_INDIRECT ? 1 : SL_MAX_TOKENS;
    if (r->op != SL_OP_QUERY && !in_range(r->n_tokens, 1, max_tokens))
        return SL_STATUS_BAD_TOKENS;
    if (!shape_ok(r))
        return SL_STATUS_BAD_SHAPE;
    ranges_of(r, &x, &y);
    if (!stride_ok(&x) || !stride_ok(&y) || !parts_ok(r, &x))
        return SL_STATUS_BAD_SHAPE;
    return addresses_ok(r, &x, &y, ctl_limit) ? SL_STATUS_OK : SL_STATUS_BAD_ADDRESS;
}

SL_PORT_FN static uint32_t route_job(SL_GLOBAL const sl_beat *ctl, struct sl_req *r,
                                     struct sl_report *rep)
{
    sl_beat b = ctl[(uint64_t)r->route_off + r->route_token];
    rep->expert = (uint16_t)sl_beat_get(&b, SL_AT_route_expert0 + 2u * r->route_choice);
    rep->weight = (uint32_t)sl_beat_get(&b, SL_AT_route_weight0 + 4u * r->route_choice);
    if (rep->expert >= r->n_expert)
        return SL_STATUS_BAD_ROUTE;
    b = ctl[(uint64_t)r->slot_off + rep->expert / 16];
    r->w_off = (uint32_t)sl_beat_get(&b, 4 * (rep->expert % 16));
    return r->w_off == SL_SLOT_ABSENT ? SL_STATUS_MISS : SL_STATUS_OK;
}

void sl_rows_of(uint32_t format, uint32_t k, struct sl_rows *rows)
{
    uint32_t k64 = sl_beats_of(k, 1) * SL_BEAT_BYTES;
    rows->code_beats = k64 / SL_BEAT_BYTES;
    if (sl_format_is_4bit(format)) {
        rows->scale_beats = sl_ceil_div(k64, 1024);
        rows->unit_beats = rows->scale_beats + rows->code_beats;
        return;
    }
    rows->scale_beats = format == SL_FORMAT_Q8 ? sl_ceil_div(k64, 2048) : 0;
    rows->unit_beats = 2 * (rows->scale_beats + rows->code_beats);
}

uint32_t sl_region_beats(uint32_t units, uint32_t unit_beats)
{
    return sl_ceil_div(units, SL_P) * unit_beats;
}

SL_STATIC_ASSERT((uint64_t)(SL_MAX_ROWS / 2) * 2 * (SL_MAX_K / 64 + SL_MAX_K / 2048) <=
                     UINT32_MAX / 4,
                 "the beats of a slab fit 32 bits")

/* Beats of a slab with the given job's shape; routers: without the bias. */
static uint32_t slab_beats(const struct sl_req *r)
{
    struct sl_rows rows;
    if (r->op == SL_OP_ROUTER) {
        uint32_t n = sl_router_rows(r);
        return 1 + sl_beats_of(n, 1) + sl_region_beats(n, sl_router_row_beats(r->k));
    }
    sl_rows_of(r->format, r->k, &rows);
    if (r->op == SL_OP_PLAIN)
        return 1 + sl_region_beats(sl_ceil_div(r->rows, 2), rows.unit_beats);
    uint32_t gate_up = sl_region_beats(r->rows, rows.unit_beats);
    sl_rows_of(r->format, r->rows, &rows);
    return 1 + gate_up + sl_region_beats(r->k / 2u, rows.unit_beats);
}

static uint32_t kind_of(uint32_t op)
{
    return op == SL_OP_ROUTER   ? SL_KIND_ROUTER
           : op == SL_OP_EXPERT ? SL_KIND_EXPERT
                                : SL_KIND_PLAIN;
}

static bool head_ok(const struct sl_req *r, const struct sl_head *head)
{
    bool router = r->op == SL_OP_ROUTER;
    uint32_t rows = router ? sl_router_rows(r) : r->rows;
    bool ok = head->magic == SL_SLAB_MAGIC && head->kind == kind_of(r->op) &&
              head->format == (router ? 0 : r->format) && head->k == r->k && head->rows == rows;
    ok = ok && (head->flags & ~(router ? SL_SLAB_HAS_BIAS : 0)) == 0;
    if (r->op == SL_OP_EXPERT)
        ok = ok && head->u_h >= SL_U_H_MIN && head->u_h <= SL_U_H_MAX;
    return ok;
}

static bool reads_weights(uint32_t op)
{
    return op == SL_OP_EXPERT || op == SL_OP_PLAIN || op == SL_OP_ROUTER;
}

SL_PORT_FN uint32_t sl_job_open(SL_GLOBAL const sl_beat *w, const struct sl_req *r,
                                uint32_t w_limit, struct sl_head *head)
{
    if (!reads_weights(r->op))
        return SL_STATUS_OK;
    uint64_t end = (uint64_t)r->w_off + slab_beats(r) + SL_SLACK_BEATS;
    if (end > w_limit)
        return SL_STATUS_BAD_ADDRESS;
    sl_beat b = w[r->w_off];
    head_parse(&b, head);
    if (!head_ok(r, head))
        return SL_STATUS_BAD_HEADER;
    if (head->flags & SL_SLAB_HAS_BIAS)
        end += sl_beats_of(r->rows, 4);
    return end > w_limit ? SL_STATUS_BAD_HEADER : SL_STATUS_OK;
}

SL_PORT_FN uint32_t sl_job_check(SL_GLOBAL const sl_beat *ctl, struct sl_req *r, uint32_t ctl_limit,
                                 struct sl_report *rep)
{
    uint32_t status = check_job(r, ctl_limit);
    if (status == SL_STATUS_OK && r->flags & SL_FLAG_INDIRECT)
        status = route_job(ctl, r, rep);
    return status;
}

uint64_t sl_job_macs(const struct sl_req *r)
{
    uint64_t tokens = r->n_tokens;
    switch (r->op) {
    case SL_OP_EXPERT: return tokens * 3 * r->k * r->slice_count;
    case SL_OP_PLAIN: return tokens * r->rows * r->k;
    case SL_OP_ROUTER: return tokens * sl_router_rows(r) * r->k;
    default: return 0;
    }
}

/* How many of the numbers first .. first + n - 1 are congruent to `port` modulo P. */
static uint32_t on_port(uint32_t first, uint32_t n, uint32_t port)
{
    uint32_t above = SL_P - 1 - port;
    return (first + n + above) / SL_P - (first + above) / SL_P;
}

/* Beats of a down unit that hold columns of the slice. */
static uint32_t down_beats(const struct sl_req *r)
{
    uint32_t first = r->slice_first, last = first + r->slice_count - 1;
    uint32_t codes = last / 64 - first / 64 + 1;
    if (sl_format_is_4bit(r->format))
        return codes + last / 1024 - first / 1024 + 1;
    uint32_t scales = r->format == SL_FORMAT_Q8 ? last / 2048 - first / 2048 + 1 : 0;
    return 2 * (codes + scales);
}

uint32_t sl_port_beats(const struct sl_req *r, uint32_t port)
{
    struct sl_rows rows;
    sl_rows_of(r->format, r->k, &rows);
    switch (r->op) {
    case SL_OP_EXPERT:
        return on_port(r->slice_first, r->slice_count, port) * rows.unit_beats +
               on_port(0, r->k / 2u, port) * down_beats(r);
    case SL_OP_PLAIN: return on_port(0, sl_ceil_div(r->rows, 2), port) * rows.unit_beats;
    case SL_OP_ROUTER: return on_port(0, sl_router_rows(r), port) * sl_router_row_beats(r->k);
    default: return 0;
    }
}

void sl_job_record(const struct sl_req *r, const struct sl_report *rep, sl_beat *b)
{
    sl_beat_clear(b);
    sl_beat_put(b, SL_AT_record_cookie, r->cookie);
    sl_beat_put(b, SL_AT_record_status, rep->status);
    sl_beat_put(b, SL_AT_record_expert, rep->expert);
    sl_beat_put(b, SL_AT_record_abi_version, SL_ABI_VERSION);
    sl_beat_put(b, SL_AT_record_weight, rep->weight);
    sl_beat_put(b, SL_AT_record_sat_gu, rep->sat_gu);
    sl_beat_put(b, SL_AT_record_saturations, rep->saturations);
    sl_beat_put(b, SL_AT_record_clamps, rep->clamps);
    sl_beat_put(b, SL_AT_record_overflows, rep->overflows);
    if (rep->status != SL_STATUS_OK)
        return;
    uint32_t beats = 0;
    for (uint32_t p = 0; p < SL_P; p++)
        beats += sl_port_beats(r, p);
    sl_beat_put(b, SL_AT_record_macs, sl_job_macs(r));
    sl_beat_put(b, SL_AT_record_beats, beats);
}
