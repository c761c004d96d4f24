/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/tlm_words.h"

#include <stdlib.h>

#include "accel/cpu_device.h"
#include "base/err.h"
#include "store/slab.h"

enum {
    PART = 256,    /* jobs that the inner device gets at once */
    GAP = 64,      /* beats between our arena and the inner device's list */
    NO_SLAB = PART /* a place without weights */
};

int sl_tlm_words_alloc(struct sl_tlm_words *w, uint32_t ctl_beats, uint32_t w_beats)
{
    int err = sl_tlm_weights_open(&w->w, w->base->n_port, w_beats);
    w->list_at = ctl_beats + GAP;
    err = err ? err : sl_device_alloc(w->inner, w->list_at + 2 * PART, PART + 1);
    if (!err) /* the list at its end is ours */
        sl_cpu_device_limit(w->inner, ctl_beats);
    return err;
}

void sl_tlm_words_close(struct sl_tlm_words *w)
{
    sl_device_close(&w->inner);
    sl_tlm_weights_close(&w->w);
    free(w->job);
    free(w->record);
    *w = (struct sl_tlm_words){0};
}

static bool is_indirect(const struct sl_job *job)
{
    return job->op == SL_OP_EXPERT && job->flags & SL_FLAG_INDIRECT;
}

/* What the router chose, in place of the choice: the expert's slab by itself. A job that the core
 * would refuse, or whose expert is absent, stays as it is: the inner device says why. */
static int resolve(struct sl_tlm_words *d, struct sl_job *job, struct sl_record *record)
{
    struct sl_route_entry route;
    uint32_t slot[SL_BEAT_BYTES / 4];
    const uint64_t route_at = (uint64_t)job->route_off + job->route_token;
    if (job->n_tokens != 1 || job->route_choice >= SL_MAX_TOPK || route_at >= d->base->ctl_beats)
        return 0;
    int err = sl_device_read(d->inner, SL_ARENA_CTL, (uint32_t)route_at, &route, 1);
    const uint32_t expert = (&route.expert0)[job->route_choice];
    const uint64_t slot_at = (uint64_t)job->slot_off + expert / 16;
    if (err || expert >= job->n_expert || slot_at >= d->base->ctl_beats)
        return err;
    const struct sl_slab *slab = NULL;
    err = sl_device_read(d->inner, SL_ARENA_CTL, (uint32_t)slot_at, slot, 1);
    err = err ? err : sl_tlm_weights_get(&d->w, slot[expert % 16], &slab);
    if (err || !slab)
        return err;
    job->flags &= (uint16_t)~SL_FLAG_INDIRECT;
    job->w_off = slot[expert % 16];
    record->expert = (uint16_t)expert;
    record->weight = (&route.weight0)[job->route_choice];
    return 0;
}

/* The slab that a job expects at its w_off. */
static struct sl_slab expected_slab(const struct sl_job *job)
{
    const bool router = job->op == SL_OP_ROUTER;
    const bool three = router && job->format == SL_MODE_ATTENTION;
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = router                    ? SL_KIND_ROUTER
                                    : job->op == SL_OP_EXPERT ? SL_KIND_EXPERT
                                                              : SL_KIND_PLAIN,
                            .format = router ? 0 : job->format,
                            .k = job->k,
                            .rows = three ? 3 * job->rows : job->rows};
}

static bool is_like(const struct sl_slab *slab, const struct sl_slab *want)
{
    return slab && slab->kind == want->kind && slab->format == want->format && slab->k == want->k &&
           slab->rows == want->rows;
}

/* The slab of job i of a part under the number i. Where another one or none lies, the job ends as
 * on a core: BAD_ADDRESS when the arena ends too early for it, else BAD_HEADER. */
static int bind_slab(struct sl_tlm_words *d, uint32_t i, struct sl_tlm_job *job,
                     struct sl_job *inner)
{
    static const struct sl_slab other = {.k = SL_MAX_K, .rows = SL_MAX_ROWS};
    if (inner->op != SL_OP_EXPERT && inner->op != SL_OP_PLAIN && inner->op != SL_OP_ROUTER) {
        inner->w_off = NO_SLAB; /* whatever it says, a slab bound before is not looked at */
        return 0;
    }
    const struct sl_slab want = expected_slab(inner), *slab;
    const uint64_t n = sl_slab_port_beats(&want, d->w.n_port) + SL_SLACK_BEATS;
    int err = sl_tlm_weights_get(&d->w, inner->w_off, &slab);
    if (err)
        return err;
    if (!is_like(slab, &want) && inner->w_off + n > d->w.n_beats) {
        inner->w_off = NO_SLAB;
        return 0;
    }
    slab = is_like(slab, &want) ? slab : &other;
    job->slab_flags = slab->flags;
    inner->w_off = i;
    return sl_device_bind(d->inner, i, slab);
}

/* Runs jobs [from, end) on the inner device; their records so far say what resolve() found. */
static int run_part(struct sl_tlm_words *d, uint32_t from, uint32_t end, unsigned deadline_ms)
{
    const uint32_t n = end - from, at = d->list_at;
    struct sl_job list[PART];
    struct sl_record record[PART];
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        list[i] = d->job[from + i].job;
        err = bind_slab(d, i, &d->job[from + i], &list[i]);
    }
    if (err || !n)
        return err;
    err = sl_device_write(d->inner, SL_ARENA_CTL, at, list, n);
    err = err ? err : sl_device_launch(d->inner, at, n, deadline_ms);
    err = err ? err : sl_device_read(d->inner, SL_ARENA_CTL, at + n, record, n);
    for (uint32_t i = 0; i < n && !err; i++) {
        if (record[i].abi_version != SL_ABI_VERSION)
            return sl_fail(SL_ERR_DEVICE, NULL, "device %s: no record of job %u", d->base->name,
                           from + i);
        const struct sl_record chosen = d->record[from + i];
        d->record[from + i] = record[i];
        if (record[i].status == SL_STATUS_OK || record[i].status >= SL_STATUS_BAD_HEADER) {
            d->record[from + i].expert |= chosen.expert;
            d->record[from + i].weight |= chosen.weight;
        }
        d->job[from + i].status = record[i].status;
        d->job[from + i].overflows = record[i].overflows;
    }
    return err;
}

/* Whether the expert writes the beat. */
static bool writes(const struct sl_job *expert, uint64_t beat)
{
    return beat >= expert->y_off && beat - expert->y_off < (expert->k + 7u) / 8;
}

/* Whether what an INDIRECT job reads to find its expert may be written by jobs [from, i), which
 * have not run: all but experts of one token write records of any length. */
static bool must_wait(const struct sl_tlm_words *d, uint32_t from, uint32_t i)
{
    const struct sl_job *job = &d->job[i].job;
    for (uint32_t j = from; j < i; j++) {
        const struct sl_job *before = &d->job[j].job;
        if (before->op != SL_OP_EXPERT || before->n_tokens != 1 ||
            writes(before, (uint64_t)job->route_off + job->route_token))
            return true;
        for (uint32_t slot = 0; slot < job->n_expert; slot += SL_BEAT_BYTES / 4)
            if (writes(before, (uint64_t)job->slot_off + slot / (SL_BEAT_BYTES / 4)))
                return true;
    }
    return false;
}

static int run_words(struct sl_tlm_words *d, uint32_t n, unsigned deadline_ms)
{
    uint32_t from = 0;
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        struct sl_job *job = &d->job[i].job;
        const bool indirect = is_indirect(job);
        if (i - from == PART || (indirect && must_wait(d, from, i))) {
            err = run_part(d, from, i, deadline_ms);
            from = i;
        }
        if (!err && indirect)
            err = resolve(d, job, &d->record[i]);
    }
    return err ? err : run_part(d, from, n, deadline_ms);
}

/* ---- the list ------------------------------------------------------------------------------ */

static int reserve(struct sl_tlm_words *d, uint32_t n)
{
    if (n <= d->cap)
        return 0;
    free(d->job);
    free(d->record);
    d->cap = 0;
    d->job = sl_alloc(n, sizeof *d->job);
    d->record = sl_alloc(n, sizeof *d->record);
    if (!d->job || !d->record)
        return SL_ERR_NOMEM;
    d->cap = n;
    return 0;
}

static int fetch_jobs(struct sl_tlm_words *d, uint32_t job_off, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int err = sl_device_read(d->inner, SL_ARENA_CTL, job_off + i, &d->job[i].job, 1);
        if (err)
            return err;
        if (d->job[i].job.flags & SL_FLAG_PORT_COUNTERS)
            return sl_fail(SL_ERR_UNSUPPORTED, "use --device sim",
                           "device %s is modelled: it has no counters of single ports",
                           d->base->name);
        d->record[i] = (struct sl_record){0};
    }
    return 0;
}

int sl_tlm_words_run(struct sl_tlm_words *w, uint32_t job_off, uint32_t n, unsigned deadline_ms)
{
    int err = reserve(w, n);
    err = err ? err : fetch_jobs(w, job_off, n);
    err = err ? err : run_words(w, n, deadline_ms);
    for (uint32_t i = 0; i < n && !err; i++) { /* which resolve() changed */
        struct sl_job listed;
        err = sl_device_read(w->inner, SL_ARENA_CTL, job_off + i, &listed, 1);
        w->job[i].job.flags = listed.flags;
    }
    return err;
}
