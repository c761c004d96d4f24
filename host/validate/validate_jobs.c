/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation against the core in C, and jobs that must be refused. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "validate/validate_data.h"

enum {
    K = 352,   /* neither a multiple of 64 nor of any number of ports */
    ROWS = 70, /* the last beat of y is not full */
    D_MODEL = 160,
    D_FF = 96,
    N_FORMAT = SL_FORMAT_MXFP4 + 1
};

/* An expert's partial sums, from a slice; and one that a router's record chooses. */
static bool add_special(struct sl_validate *v, struct sl_validate_set *s)
{
    struct sl_validate_job *j = sl_validate_add_plain(v, s, SL_FORMAT_Q8, K, ROWS / 2);
    if (!j)
        return false;
    snprintf(j->name, sizeof j->name, "PLAIN q8 PARTIAL");
    j->job.flags = SL_FLAG_PARTIAL;
    j->job.y_stride = (uint16_t)(1 + (8 * j->job.rows + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES);
    j->job.n_tokens = (uint16_t)(j->y_beats / j->job.y_stride);
    if (!(j = sl_validate_add_expert(v, s, SL_FORMAT_NF4, D_MODEL, D_FF)))
        return false;
    snprintf(j->name, sizeof j->name, "EXPERT nf4 PARTIAL");
    j->job.flags = SL_FLAG_PARTIAL;
    j->job.slice_first = SL_BLOCK;
    j->job.slice_count = D_FF - SL_BLOCK;
    if (!(j = sl_validate_add_expert(v, s, SL_FORMAT_NF4, D_MODEL, D_FF)))
        return false;
    snprintf(j->name, sizeof j->name, "EXPERT nf4 INDIRECT");
    j->job.flags = SL_FLAG_INDIRECT;
    j->job.n_tokens = 1;
    return true;
}

static bool add_all(struct sl_validate *v, struct sl_validate_set *s)
{
    bool ok = true;
    for (int f = 0; f < N_FORMAT; f++)
        ok = ok && sl_validate_add_plain(v, s, f, K, ROWS) &&
             sl_validate_add_expert(v, s, f, D_MODEL, D_FF);
    ok = ok && add_special(v, s) && sl_validate_add_reduce(v, s);
    for (int mode = SL_MODE_SOFTMAX; mode <= SL_MODE_ATTENTION; mode++)
        for (unsigned renorm = 0; renorm < 2; renorm++)
            ok = ok && sl_validate_add_router(v, s, mode,
                                              renorm ? SL_FLAG_RENORM : (unsigned)SL_FLAG_SCORES);
    for (int f = SL_KVREC_INT8; f <= SL_KVREC_INT4; f++)
        ok = ok && sl_validate_add_kv(v, s, SL_OP_KV_PACK, f) &&
             sl_validate_add_kv(v, s, SL_OP_KV_UNPACK, f);
    return ok;
}

int sl_validate_arithmetic(struct sl_validate *v)
{
    struct sl_validate_set s;
    int err = sl_validate_set_open(&s);
    if (!err && !add_all(v, &s))
        err = SL_ERR_NOMEM;
    err = err ? err : sl_validate_set_run(v, &s);
    err = err ? err : sl_validate_set_check(v, &s);
    if (!err && v->test.result == SL_VALIDATE_PASSED)
        snprintf(v->test.detail, sizeof v->test.detail,
                 "%u jobs with random data, all words and counts equal to those of the core in C: "
                 "PLAIN and EXPERT in fp8 q8 nf4 int4 mxfp4, PARTIAL, INDIRECT, REDUCE, ROUTER in "
                 "three modes, KV_PACK and KV_UNPACK in int8 and int4",
                 s.n_job);
    sl_validate_set_close(&s);
    return err;
}

/* ---- malformed jobs ------------------------------------------------------------------------- */

static void expect(struct sl_validate_job *j, unsigned status)
{
    j->want_status = status;
    snprintf(j->name, sizeof j->name, "to end as %s", sl_status_name(status));
}

/* One job for each rule, each an error in a job that is right otherwise. */
static bool add_malformed(struct sl_validate *v, struct sl_validate_set *s)
{
    enum { N_PLAIN = 8, N_EXPERT = 2 };
    struct sl_validate_job *p[N_PLAIN], *e[N_EXPERT];
    for (unsigned i = 0; i < N_PLAIN; i++)
        if (!(p[i] = sl_validate_add_plain(v, s, SL_FORMAT_INT4, K, ROWS)))
            return false;
    for (unsigned i = 0; i < N_EXPERT; i++)
        if (!(e[i] = sl_validate_add_expert(v, s, SL_FORMAT_Q8, D_MODEL, D_FF)))
            return false;
    expect(p[0], SL_STATUS_BAD_OP), p[0]->job.op = 99;
    expect(p[1], SL_STATUS_BAD_FORMAT), p[1]->job.format = N_FORMAT;
    expect(p[2], SL_STATUS_BAD_FLAGS), p[2]->job.flags = SL_FLAG_RENORM;
    expect(p[3], SL_STATUS_BAD_TOKENS), p[3]->job.n_tokens = 0;
    expect(p[4], SL_STATUS_BAD_SHAPE), p[4]->job.k = K + 1;
    expect(p[5], SL_STATUS_BAD_ADDRESS), p[5]->job.x_off = SL_VALIDATE_CTL_BEATS - 1;
    expect(p[6], SL_STATUS_BAD_HEADER), p[6]->job.rows = ROWS + 2;
    expect(p[7], SL_STATUS_BAD_ACTIVATION); /* the code -128 */
    s->ctl[(size_t)(p[7]->job.x_off + 2) * SL_BEAT_BYTES] = 0x80;
    for (unsigned i = 0; i < N_EXPERT; i++) {
        expect(e[i], i ? SL_STATUS_BAD_ROUTE : SL_STATUS_MISS);
        e[i]->job.flags = SL_FLAG_INDIRECT;
        e[i]->job.n_tokens = 1;
        e[i]->job.route_choice = 1;
    }
    e[1]->job.n_expert = 1;
    return true;
}

int sl_validate_malformed(struct sl_validate *v)
{
    struct sl_validate_set s;
    int err = sl_validate_set_open(&s);
    if (!err && !(add_malformed(v, &s) && sl_validate_add_query(v, &s) &&
                  sl_validate_add_plain(v, &s, SL_FORMAT_MXFP4, K, ROWS)))
        err = SL_ERR_NOMEM;
    err = err ? err : sl_validate_set_run(v, &s);
    err = err ? err : sl_validate_set_check(v, &s);
    if (!err && v->test.result == SL_VALIDATE_PASSED)
        snprintf(v->test.detail, sizeof v->test.detail,
                 "%u malformed jobs end each with its own status (BAD_OP to BAD_ACTIVATION, MISS) "
                 "and write nothing; a QUERY and a PLAIN behind them in the list are right",
                 s.n_job - 2);
    sl_validate_set_close(&s);
    return err;
}
