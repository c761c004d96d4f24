/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core reads before it computes: jobs and slab headers taken apart, their geometry, and
 * the checks of docs/numerics.md 5.6. Every check is total: no content of a job leads to an access
 * outside of CTL_LIMIT and W_LIMIT.
 */
#ifndef SL_HLS_JOB_H
#define SL_HLS_JOB_H

#include "beat.h"

/* A job and a slab header, field for field. */
#define FIELD_job(type, name) type name;
#define FIELD_slab(type, name)
#define FIELD_record(type, name)
#define FIELD_caps(type, name)
#define FIELD_route(type, name)
#define FIELD(object, type, name, offset, doc) FIELD_##object(type, name)
struct sl_req {
#include "desc.def"
};
#undef FIELD_job
#undef FIELD_slab
#define FIELD_job(type, name)
#define FIELD_slab(type, name) type name;
struct sl_head {
#include "desc.def"
};
#undef FIELD
#undef FIELD_job
#undef FIELD_slab
#undef FIELD_record
#undef FIELD_caps
#undef FIELD_route

/* Flags of a ROUTER job. */
enum {
    SL_ROUTER_FLAGS = SL_FLAG_RENORM | SL_FLAG_SCORES | SL_FLAG_RECYCLE | SL_FLAG_NOISE |
                      SL_FLAG_EXPERT_CHOICE | SL_FLAG_PORT_COUNTERS
};

/* Sizes of the arenas in beats. */
struct sl_limits {
    uint32_t ctl, w;
};

/* What a job reports besides its cookie; all zero at its start. */
struct sl_report {
    uint32_t status, expert, weight;
    uint32_t sat_gu, saturations, clamps, overflows;
};

/* Rows of a slab's region: how they lie in an arena. */
struct sl_rows {
    uint32_t scale_beats; /* per row; 4-bit: per pair */
    uint32_t code_beats;
    uint32_t unit_beats;
};

#define sl_job_parse SL_NAME(sl_job_parse)
#define sl_job_check SL_NAME(sl_job_check)
#define sl_job_open SL_NAME(sl_job_open)
#define sl_job_record SL_NAME(sl_job_record)
#define sl_job_macs SL_NAME(sl_job_macs)
#define sl_port_beats SL_NAME(sl_port_beats)
#define sl_rows_of SL_NAME(sl_rows_of)
#define sl_region_beats SL_NAME(sl_region_beats)
#define sl_list_beats SL_NAME(sl_list_beats)

void sl_job_parse(const sl_beat *b, struct sl_req *r);

/* Every check that needs no weights, no list and no activation. INDIRECT: fills w_off from the
 * route beat and the slot table, expert and weight of the report. SL_STATUS_OK or BAD_OP .. MISS.
 */
uint32_t sl_job_check(SL_GLOBAL const sl_beat *ctl, struct sl_req *r, uint32_t ctl_limit,
                      struct sl_report *rep);

/* The slab of a job that has passed, if its operation has weights. w: any port's arena. Fills head.
 * SL_STATUS_OK, BAD_ADDRESS or BAD_HEADER. */
uint32_t sl_job_open(SL_GLOBAL const sl_beat *w, const struct sl_req *r, uint32_t w_limit,
                     struct sl_head *head);

/* The record of a finished job, with the counts that follow from its shape. */
void sl_job_record(const struct sl_req *r, const struct sl_report *rep, sl_beat *b);

/* k columns in `format`. */
void sl_rows_of(uint32_t format, uint32_t k, struct sl_rows *rows);

/* Beats of a region of `units` units on each of the P ports. */
uint32_t sl_region_beats(uint32_t units, uint32_t unit_beats);

/* Beats of a router record's lists; of EXPERT_CHOICE with their weights. */
uint32_t sl_list_beats(const struct sl_req *r);

/* Multiply-accumulates of a checked job, and the weight beats it uses of one port. */
uint64_t sl_job_macs(const struct sl_req *r);
uint32_t sl_port_beats(const struct sl_req *r, uint32_t port);

/* Beats of one row of a router's slab: K64 columns of s16. */
static inline uint32_t sl_router_row_beats(uint32_t k)
{
    return sl_beats_of(k, 1) * 2;
}

/* Beats of one activation token: base, block exponents, K64 codes of `code_bytes`. */
static inline uint32_t sl_x_beats(uint32_t k, uint32_t code_bytes)
{
    return 1 + sl_beats_of(k / SL_BLOCK, 1) + sl_beats_of(k, 1) * code_bytes;
}

/* Beats of a head vector, and of a packed record's codes. */
static inline uint32_t sl_vector_beats(uint32_t k)
{
    return 1 + sl_beats_of(k, 2);
}

static inline uint32_t sl_kv_code_beats(uint32_t format, uint32_t k)
{
    return format == SL_KVREC_INT8 ? sl_beats_of(k, 1) : sl_beats_of(k / 2, 1);
}

/* Rows of the slab of a ROUTER job. */
static inline uint32_t sl_router_rows(const struct sl_req *r)
{
    return r->format == SL_MODE_ATTENTION ? 3 * r->rows : r->rows;
}

#endif
