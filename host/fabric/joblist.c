/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/joblist.h"

#include <stdlib.h>
#include <string.h>

#include "accel/code_names.h"
#include "accel/link.h"
#include "base/err.h"

int sl_joblist_open(struct sl_joblist *list, struct sl_device *dev, uint32_t fixed_beats,
                    uint32_t max_job)
{
    *list = (struct sl_joblist){
        .dev = dev, .ctl = dev->ctl_host, .jobs_off = fixed_beats, .max_job = max_job};
    list->heap_off = fixed_beats + 2 * max_job;
    if (!list->ctl) {
        list->copied = true;
        list->ctl = sl_alloc_aligned(SL_BEAT_BYTES, (size_t)dev->ctl_beats * SL_BEAT_BYTES);
        if (!list->ctl)
            return SL_ERR_NOMEM;
    }
    sl_joblist_begin(list);
    return 0;
}

int sl_joblist_detach(struct sl_joblist *list)
{
    const size_t bytes = (size_t)list->dev->ctl_beats * SL_BEAT_BYTES;
    list->sent_top = list->heap_off; /* the other one has nothing */
    if (list->copied)
        return 0;
    uint8_t *copy = sl_alloc_aligned(SL_BEAT_BYTES, bytes);
    if (!copy)
        return SL_ERR_NOMEM;
    memcpy(copy, list->ctl, bytes);
    list->ctl = copy;
    list->copied = true;
    return 0;
}

void sl_joblist_close(struct sl_joblist *list)
{
    if (list->copied)
        free(list->ctl);
    *list = (struct sl_joblist){0};
}

void sl_joblist_begin(struct sl_joblist *list)
{
    list->sent_top = list->heap_off;
    sl_joblist_rewind(list, list->heap_off);
}

void sl_joblist_rewind(struct sl_joblist *list, uint32_t heap_top)
{
    list->n_job = 0;
    list->heap_top = list->out_off = heap_top;
    list->sent_top = list->sent_top < heap_top ? list->sent_top : heap_top;
}

int sl_joblist_alloc(struct sl_joblist *list, uint64_t n_beats, uint32_t *off)
{
    if (list->heap_top + n_beats > list->dev->ctl_beats)
        return sl_fail(SL_ERR_NOMEM, NULL,
                       "a launch needs %llu beats more than the control arena of %u has",
                       (unsigned long long)(list->heap_top + n_beats - list->dev->ctl_beats),
                       list->dev->ctl_beats);
    *off = list->heap_top;
    list->heap_top += (uint32_t)n_beats;
    return 0;
}

void sl_joblist_outputs(struct sl_joblist *list)
{
    list->out_off = list->heap_top;
}

struct sl_job *sl_joblist_add(struct sl_joblist *list)
{
    if (list->n_job == list->max_job) {
        sl_fail(SL_ERR_NOMEM, NULL, "a launch has more than %u jobs", list->max_job);
        return NULL;
    }
    struct sl_job *job = sl_joblist_at(list, list->jobs_off + list->n_job);
    *job = (struct sl_job){.cookie = 0x51000000u + list->n_job};
    list->n_job++;
    return job;
}

const struct sl_record *sl_joblist_record(const struct sl_joblist *list, uint32_t job)
{
    return sl_joblist_at(list, list->jobs_off + list->n_job + job);
}

static int check_record(const struct sl_joblist *list, uint32_t i)
{
    const struct sl_job *job = sl_joblist_at(list, list->jobs_off + i);
    const struct sl_record *record = sl_joblist_record(list, i);
    /* Cookie 0: memory failed before the job was read. */
    const bool unread = record->cookie == 0 && record->status >= SL_STATUS_TIMEOUT;
    if (record->abi_version == 0)
        return sl_fail(SL_ERR_DEVICE, "reload the device", "device %s left no record of job %u",
                       list->dev->name, i);
    if ((record->cookie != job->cookie && !unread) || record->abi_version != SL_ABI_VERSION)
        return sl_fail(SL_ERR_DEVICE, "reload the device",
                       "device %s returned a foreign record for job %u", list->dev->name, i);
    if (record->status == SL_STATUS_TIMEOUT)
        return sl_fail(SL_ERR_TIMEOUT, "reload the device",
                       "device %s: memory did not answer job %u", list->dev->name, i);
    /* An expert that the device does not have is the caller's to compute. */
    const bool missing = record->status == SL_STATUS_MISS && job->flags & SL_FLAG_INDIRECT;
    if (record->status != SL_STATUS_OK && !missing)
        return sl_fail(SL_ERR_DEVICE, "`sluice validate` examines a device",
                       "device %s: job %u (operation %u) ended as %s", list->dev->name, i, job->op,
                       sl_status_name(record->status));
    return 0;
}

/* Inputs, jobs and empty records to a device whose arena the host cannot reach. */
static int send(struct sl_joblist *list)
{
    struct sl_span span;
    const uint32_t from = list->sent_top, n = list->out_off - from;
    int err = 0;
    if (!list->copied)
        return 0;
    sl_span_begin(list->profile, &span, SL_SPAN_TRANSFER, 0);
    if (n)
        err = sl_device_write(list->dev, SL_ARENA_CTL, from, sl_joblist_at(list, from), n);
    list->sent_top = err ? from : list->out_off;
    err = err ? err
              : sl_device_write(list->dev, SL_ARENA_CTL, list->jobs_off,
                                sl_joblist_at(list, list->jobs_off), 2 * list->n_job);
    sl_span_end(list->profile, &span);
    return err;
}

/* Records and outputs back. */
static int fetch(struct sl_joblist *list)
{
    struct sl_span span;
    if (!list->copied)
        return 0;
    sl_span_begin(list->profile, &span, SL_SPAN_TRANSFER, 0);
    int err = sl_device_read(list->dev, SL_ARENA_CTL, list->jobs_off + list->n_job,
                             sl_joblist_at(list, list->jobs_off + list->n_job), list->n_job);
    err = err ? err
              : sl_device_read(list->dev, SL_ARENA_CTL, list->out_off,
                               sl_joblist_at(list, list->out_off), list->heap_top - list->out_off);
    sl_span_end(list->profile, &span);
    return err;
}

/* What comes ahead of a launch. */
static int prepare(struct sl_joblist *list)
{
    list->cycles_before = sl_joblist_cycles(list);
    memset(sl_joblist_at(list, list->jobs_off + list->n_job), 0,
           (size_t)list->n_job * SL_BEAT_BYTES);
    return send(list);
}

/* And what comes behind one that ended well. Times as sl_now_ns. */
static int complete(struct sl_joblist *list)
{
    int err = fetch(list);
    for (uint32_t i = 0; !err && i < list->n_job; i++)
        err = check_record(list, i);
    if (!err && list->profile)
        sl_joblist_record_launch(list, list->begin, list->end,
                                 sl_joblist_cycles(list) - list->cycles_before);
    return err;
}

static int launch_here(struct sl_joblist *list)
{
    struct sl_span span;
    int err = prepare(list);
    if (err)
        return err;
    sl_span_begin(list->profile, &span, SL_SPAN_LAUNCH, (uint32_t)list->n_launch);
    list->begin = list->profile ? sl_now_ns() : 0;
    err = sl_device_launch(list->dev, list->jobs_off, list->n_job, list->dev->deadline_ms);
    list->end = list->profile ? sl_now_ns() : 0;
    sl_span_end(list->profile, &span);
    list->n_launch++;
    return err;
}

static int launch_once(struct sl_joblist *list)
{
    int err = launch_here(list);
    return err ? err : complete(list);
}

/* After err: the step again on another device, where that helps. */
static int again(struct sl_joblist *list, int err, int (*step)(struct sl_joblist *list))
{
    if ((err != SL_ERR_DEVICE && err != SL_ERR_TIMEOUT) || !list->take_over)
        return err;
    err = list->take_over(list->user);
    return err ? err : step(list);
}

int sl_joblist_launch(struct sl_joblist *list)
{
    return again(list, launch_once(list), launch_once);
}

int sl_joblist_start(struct sl_joblist *list, struct sl_launcher *launcher)
{
    if (!launcher) {
        int failed = again(list, launch_here(list), launch_here);
        if (list->dev->clock)
            list->dev->clock->beside = !failed;
        return failed;
    }
    int err = again(list, prepare(list), prepare);
    if (err)
        return err;
    sl_launcher_start(launcher, list->dev, list->jobs_off, list->n_job, list->dev->deadline_ms);
    return 0;
}

int sl_joblist_finish(struct sl_joblist *list, struct sl_launcher *launcher)
{
    struct sl_span span;
    int err = 0;
    if (launcher) {
        sl_span_begin(list->profile, &span, SL_SPAN_LAUNCH, (uint32_t)list->n_launch);
        err = sl_launcher_finish(launcher, &list->begin, &list->end);
        sl_span_end(list->profile, &span);
        list->n_launch++;
    }
    if (list->dev->clock) {
        list->dev->clock->beside = false;
        sl_link_join(list->dev->clock);
    }
    return again(list, err ? err : complete(list), launch_once);
}
