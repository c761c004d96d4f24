/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Benches of units that read and write the control arena: the arena that the unit works on (by DPI
 * from ctl_memory.sv), the arena that tests/ref leaves, and their comparison.
 */
#ifndef SL_CTL_BENCH_H
#define SL_CTL_BENCH_H

#include "ref/ref_core.h"
#include "svdpi.h"
#include "test_main.h"

enum { CTL_BENCH_BEATS = 1 << 17 };

struct ctl_bench {
    struct sl_rng rng;
    uint8_t *is, *want;      /* arenas of CTL_BENCH_BEATS beats, owned */
    uint8_t *n_write;        /* [CTL_BENCH_BEATS] of the unit during the job, at most 255; owned */
    uint32_t used;           /* beats of the arena that the job may touch */
    unsigned n_stray;        /* accesses behind `used` */
    struct sl_job job;       /* to be filled; fields of no concern hold noise */
    struct ref_span read, y; /* what the job may read (parts: the first one's) and must write */
    int status;              /* that it must end with */
};

/* Noise in every field of the job. */
void ctl_bench_begin(struct ctl_bench *b);
/* Puts x (x_span beats) and y (y_span beats) somewhere and fills the arena around them with noise.
 */
void ctl_bench_place(struct ctl_bench *b, uint64_t x_span, uint64_t y_span);
/* After the inputs were filled in: what must come of the job, `run` being its operation. */
void ctl_bench_expect(struct ctl_bench *b, void (*run)(struct ref_run *run));
uint8_t *ctl_bench_at(struct ctl_bench *b, uint32_t beat);
int64_t ctl_bench_range(struct ctl_bench *b, int64_t lo, int64_t hi);

/* DPI. NULL: out of memory. */
void *ctl_bench_open(uint64_t seed);
void ctl_bench_close(void *handle);
void ctl_bench_job(void *handle, svBitVecVal *job);
void ctl_bench_read(void *handle, uint32_t beat, svBitVecVal *data);
void ctl_bench_write(void *handle, uint32_t beat, const svBitVecVal *data);
/* After the job: how many beats, counts of writes and statuses are wrong; prints the first. */
int ctl_bench_wrong(void *handle, int status);

#endif
