/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of jobs with random weights and inputs, the same on a device under test and on the core in
 * C: slabs in natural order, cut to each device's ports when they are uploaded, and an image of the
 * control arena that begins with the jobs and their records.
 */
#ifndef SL_VALIDATE_VALIDATE_DATA_H
#define SL_VALIDATE_VALIDATE_DATA_H

#include "validate/validate.h"

enum { SL_VALIDATE_MAX_JOB = 48 };

struct sl_validate_job {
    struct sl_job job;
    char name[40];
    uint32_t y_beats;     /* 0: writes nothing */
    uint8_t *slab;        /* owned, or NULL */
    unsigned want_status; /* SL_STATUS_* */
};

struct sl_validate_set {
    struct sl_validate_job job[SL_VALIDATE_MAX_JOB];
    unsigned n_job;
    uint32_t top;    /* beats of the control arena in use */
    uint8_t *ctl;    /* the image before a launch, SL_VALIDATE_SETUP_BEATS, owned */
    uint8_t *got;    /* after a launch on the device, owned */
    uint8_t *ref;    /* after a launch on the core in C, owned */
    double launch_s; /* wall time of the launch on the device */
};

int sl_validate_set_open(struct sl_validate_set *s);
void sl_validate_set_close(struct sl_validate_set *s);

/* Each appends a job that is right; NULL: no memory. */
struct sl_validate_job *sl_validate_add_query(struct sl_validate *v, struct sl_validate_set *s);
struct sl_validate_job *sl_validate_add_plain(struct sl_validate *v, struct sl_validate_set *s,
                                              int format, uint32_t k, uint32_t rows);
struct sl_validate_job *sl_validate_add_expert(struct sl_validate *v, struct sl_validate_set *s,
                                               int format, uint32_t d_model, uint32_t d_ff);
struct sl_validate_job *sl_validate_add_reduce(struct sl_validate *v, struct sl_validate_set *s);
struct sl_validate_job *sl_validate_add_router(struct sl_validate *v, struct sl_validate_set *s,
                                               int mode, unsigned flags);
struct sl_validate_job *sl_validate_add_kv(struct sl_validate *v, struct sl_validate_set *s, int op,
                                           int format);

const char *sl_validate_format_name(int format);

/* Runs the set on the device, and the jobs that are right on the core in C as well. */
int sl_validate_set_run(struct sl_validate *v, struct sl_validate_set *s);
/* Compares statuses, records (but for time) and all of the image. The first difference makes the
 * test FAILED; a status behind which the device is useless until it is opened again is an error. */
int sl_validate_set_check(struct sl_validate *v, struct sl_validate_set *s);
/* The record as the device left it. */
struct sl_record sl_validate_set_record(const struct sl_validate_set *s, unsigned job);

#endif
