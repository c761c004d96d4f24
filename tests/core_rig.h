/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a device and the reference core side by side: the same arenas, the same job list, and
 * afterwards the same control arena to the last byte, padding, records and guard beats included.
 */
#ifndef SL_CORE_RIG_H
#define SL_CORE_RIG_H

#include "accel/device.h"
#include "ref/ref_core.h"
#include "ref/ref_gen.h"

enum {
    RIG_MAX_JOBS = 200,
    RIG_GUARD = 16 /* beats behind the limit that the core is told */
};

/* The devices that every test runs on; ends with NULL. SL_DEVICES (names separated by spaces)
 * replaces the list. */
const char *const *rig_device_list(void);
#define rig_devices rig_device_list()
/* The weight ports that a device's name asks for: the number behind its colon, or 1. */
unsigned rig_device_ports(const char *device);

/* A wrong bit put in on purpose, to see that it is found. */
struct rig_flaw {
    enum {
        RIG_SOUND,
        RIG_FLAW_Y,      /* in y of the first job, as read back */
        RIG_FLAW_RECORD, /* in its record */
        RIG_FLAW_GUARD,  /* behind the arena */
        RIG_FLAW_WEIGHT  /* in its slab on port 0, as the device has it */
    } kind;
    uint32_t word; /* u32 of that object */
    unsigned bit;
};

struct core_rig {
    struct sl_device *dev;   /* owned */
    struct ref_core ref;     /* arenas owned; what the device must leave */
    uint8_t *got;            /* the device's control arena after a launch, owned */
    uint32_t ctl_top, w_top; /* first free beats */
    uint32_t job_off, n_job;
    struct sl_job job[RIG_MAX_JOBS];
    bool has_counters;                    /* of the last launch, behind its records */
    struct ref_outcome outcome;           /* of the last launch */
    struct sl_record timed[RIG_MAX_JOBS]; /* its first records as the device wrote them */
    unsigned deadline_ms;                 /* of a launch; rig_open sets ten minutes */
    struct rig_flaw flaw;
    bool lost;         /* the device has failed: only rig_close is left */
    struct sl_rng rng; /* restarted by rig_reset */
    uint64_t seed;
    char what[160]; /* the case, for messages */
};

/* Arenas of that many beats, weight arenas filled with noise. 0 or a negative enum sl_err.
 * rig_close accepts a zeroed rig. */
int rig_open(struct core_rig *rig, const char *device, uint32_t ctl_beats, uint32_t w_beats);
/* The same with an open device, which the rig takes over (also when it fails). */
int rig_open_on(struct core_rig *rig, struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats);
void rig_close(struct core_rig *rig);

/* Starts a case: frees both arenas, fills control memory with noise, forgets the jobs. */
void rig_reset(struct core_rig *rig, uint64_t seed, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Beats of the control arena behind a guard beat. Aborts when they are too many. */
uint32_t rig_ctl(struct core_rig *rig, uint64_t beats);
uint8_t *rig_at(struct core_rig *rig, uint32_t beat);

/* Uploads a slab behind the last one; returns its w_off. */
uint32_t rig_put_expert(struct core_rig *rig, const struct gen_expert *ex);
uint32_t rig_put_plain(struct core_rig *rig, const struct sl_slab *head,
                       const struct ref_matrix *m);
/* One of a random matrix, rows x k. */
uint32_t rig_put_random(struct core_rig *rig, int format, uint32_t k, uint32_t rows);
uint32_t rig_put_router(struct core_rig *rig, const struct sl_slab *head,
                        const struct ref_router *r);

/* Appends a job with a cookie of its own. */
struct sl_job *rig_job(struct core_rig *rig, int op);
/* Room for x and y of the job behind each other, at the smallest strides plus `gap`. */
void rig_place(struct core_rig *rig, struct sl_job *job, uint32_t gap);
/* Fills the x items of an EXPERT, PLAIN or ROUTER job, `rows` of them. */
void rig_fill_x(struct core_rig *rig, const struct sl_job *job, enum gen gen, uint32_t rows,
                int base_max);

/* All of that: a PLAIN job on a random matrix, rows x k, with x of n_tokens. */
struct sl_job *rig_plain_job(struct core_rig *rig, int format, uint32_t k, uint32_t rows,
                             uint32_t n_tokens);

/* Places list and records, runs both and compares. False: the first difference was printed. True
 * with `lost`: the device stopped at a job that nobody can foretell. */
bool rig_run(struct core_rig *rig);
/* The same with a list that is already in the arena: any bytes. */
bool rig_run_at(struct core_rig *rig, uint32_t job_off, uint32_t n_job, bool upload_weights);
struct sl_record rig_record(const struct core_rig *rig, uint32_t i);

/* Whether the slow sweeps were asked for (SL_LONG=1). */
bool rig_long(void);

#endif
