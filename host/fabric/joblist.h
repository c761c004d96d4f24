/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control arena as the host fills it: a bump allocator over one launch's inputs and outputs,
 * the job list, and the launch itself. Where the device's arena is host memory it is used in place,
 * otherwise through a copy.
 */
#ifndef SL_FABRIC_JOBLIST_H
#define SL_FABRIC_JOBLIST_H

#include "base/profile.h"
#include "fabric/launcher.h"

struct sl_joblist {
    struct sl_device *dev;      /* borrowed */
    uint8_t *ctl;               /* the arena, or the host's copy of it */
    bool copied;                /* ctl is our own copy */
    uint32_t jobs_off, max_job; /* job list and records: 2 * max_job beats */
    uint32_t heap_off;          /* begin of the bump area */
    uint32_t heap_top;
    uint32_t out_off;  /* outputs of the current launch begin here; inputs lie before */
    uint32_t sent_top; /* inputs before it lie on the device already */
    uint32_t n_job;
    uint64_t n_launch;
    struct sl_profile *profile; /* borrowed; NULL: nothing is recorded */
    unsigned n_column;          /* T, for the profile */
    /* For the profile, of the launch that runs. */
    uint64_t cycles_before, begin, end;
    /* Called when a launch fails by the device's fault: 0 when another device is in list->dev, with
     * the same weights, on which the launch is repeated. NULL: it fails. */
    int (*take_over)(void *user);
    void *user;
};

/* fixed_beats in front of the heap belong to the caller (slot tables). The device's arenas exist
 * already. */
int sl_joblist_open(struct sl_joblist *list, struct sl_device *dev, uint32_t fixed_beats,
                    uint32_t max_job);
void sl_joblist_close(struct sl_joblist *list);
/* Before the device is closed: from now on the list works in a copy of the arena, for another
 * device. SL_ERR_NOMEM. */
int sl_joblist_detach(struct sl_joblist *list);
/* Records every launch from now on: its jobs' records and the device's own count of cycles. caps:
 * the device's answer to a QUERY. */
void sl_joblist_set_profile(struct sl_joblist *list, struct sl_profile *profile,
                            const struct sl_caps *caps);
/* For sl_joblist_launch: the device's cycles so far, 0 when it counts none or nothing is recorded;
 * and what a launch that went well left behind. Times as sl_now_ns. */
uint64_t sl_joblist_cycles(const struct sl_joblist *list);
void sl_joblist_record_launch(const struct sl_joblist *list, uint64_t begin, uint64_t end,
                              uint64_t cycles);

/* Forgets jobs and heap. */
void sl_joblist_begin(struct sl_joblist *list);
/* Forgets jobs, and of the heap what is from heap_top on: what lies before has not changed since
 * the last launch, and is not sent again. */
void sl_joblist_rewind(struct sl_joblist *list, uint32_t heap_top);
/* n_beats of the heap: beat offset in *off; inputs first, then, after sl_joblist_outputs, outputs.
 * SL_ERR_NOMEM when the arena is too small: sl_fabric sizes it for its largest launch. */
int sl_joblist_alloc(struct sl_joblist *list, uint64_t n_beats, uint32_t *off);
void sl_joblist_outputs(struct sl_joblist *list);
/* The next job, zeroed, its cookie set; NULL when the list is full. */
struct sl_job *sl_joblist_add(struct sl_joblist *list);
/* Sends the inputs, runs, fetches records and outputs, and checks every record: cookie, contract,
 * status. Any status but OK, and MISS of an INDIRECT job, is SL_ERR_DEVICE and names the job. */
int sl_joblist_launch(struct sl_joblist *list);
/* The same in two halves: between them the list is not touched, nor is anything of it sent. NULL:
 * it is waited for at once; where the device keeps a clock of its own (accel/link.h), the host's
 * work between the halves ran beside it. */
int sl_joblist_start(struct sl_joblist *list, struct sl_launcher *launcher);
int sl_joblist_finish(struct sl_joblist *list, struct sl_launcher *launcher);
const struct sl_record *sl_joblist_record(const struct sl_joblist *list, uint32_t job);

static inline void *sl_joblist_at(const struct sl_joblist *list, uint32_t off)
{
    return list->ctl + (size_t)off * SL_BEAT_BYTES;
}

#endif
