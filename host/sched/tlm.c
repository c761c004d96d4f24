/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/tlm.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sched/tlm_state.h"

/*
 * sim/mem_*.c as one port sees them, in core cycles: a read with the row closed and no path between
 * port and controller; the path; from a write to its answer, path not counted; refresh: its period,
 * what a stream loses by one, the first loss after a period; beats asked for in advance; bytes of a
 * row of all banks. DDR is faster than the port and makes up for most of a refresh.
 * tests/test_tlm.c compares them.
 */
static const struct memory {
    const char *name;
    int32_t latency, path, write;
    double period, loss, from;
    uint32_t most_asked, row_bytes;
} memories[] = {
    [SL_TLM_HBM] = {"hbm", 28, 16, 16, 877.5, 66.8, 20, 440, 1 << 14},
    [SL_TLM_DDR] = {"ddr", 20, 16, 16, 1755.75, 25, 20, 440, 1 << 17},
    [SL_TLM_IDEAL] = {"ideal", 0, 100, 0, 0, 0, 0, 0, 0},
};

enum {
    ANSWER = 4,      /* of a write beside the memory: FIFO, registers */
    RETIRE_FROM = 2, /* from the end of the stages to the wait for writes */
    RECORD = 2,      /* beside P cycles for the ports' sums */
    RETIRED = 3,
    LAUNCH_END = 6, /* from the last job's end to the interrupt */
    LAUNCH_START = -2
};

const char *sl_tlm_memory_name(enum sl_tlm_memory memory)
{
    return memories[memory].name;
}

double sl_tlm_ceiling(const struct sl_tlm_config *config)
{
    const struct memory *m = &memories[config->memory];
    return SL_BEAT_BYTES * (m->period > 0 ? 1 - m->loss / m->period : 1);
}

int sl_tlm_open(struct sl_tlm **out, const struct sl_tlm_config *config)
{
    const unsigned t = config->n_column;
    const struct memory *m = &memories[config->memory];
    if (config->n_port < 1 || config->n_port > SL_MAX_PORTS || t < 1 || t > 16 || (t & (t - 1)))
        return sl_fail(SL_ERR_USAGE, "P from 1 to 28, T 1, 2, 4, 8 or 16",
                       "no core has %u weight ports and %u token columns", config->n_port, t);
    struct sl_tlm *s = calloc(1, sizeof *s);
    if (!s)
        return sl_fail(SL_ERR_NOMEM, NULL, "no memory for the core's model");
    const int32_t path = config->latency < 0 ? m->path : config->latency;
    s->config = *config;
    s->latency = m->latency + path;
    s->write_latency = m->write + path;
    s->refresh_period = m->period;
    s->refresh_loss = m->loss;
    s->refresh_from = m->from;
    s->most_asked = m->most_asked;
    s->row_bytes = m->row_bytes;
    *out = s;
    return 0;
}

void sl_tlm_close(struct sl_tlm *tlm)
{
    free(tlm);
}

/* ---- records -------------------------------------------------------------------------------- */

/* Ends the oldest job once everything that it wrote is answered. */
static bool retire_step(struct sl_tlm *s, struct sl_tlm_time *time)
{
    const uint32_t i = s->retire.job;
    if (i == s->post.job)
        return false;
    struct sl_tlm_progress *j = sl_tlm_job_at(s, i);
    int64_t at = sl_tlm_later(s->retire.at, sl_tlm_later(j->past, j->fin) + RETIRE_FROM);
    at = sl_tlm_later(at, j->decided + RETIRE_FROM);
    if (j->last_write)
        at = sl_tlm_later(at, j->last_write + s->write_latency + ANSWER);
    j->mark = at + s->config.n_port + RECORD;
    j->retired = j->mark + s->write_latency + ANSWER + RETIRED;
    if (time)
        time[i] = (struct sl_tlm_time){.cycles = (uint64_t)(j->mark - s->retire.mark),
                                       .beats = j->plan.beats,
                                       .stall_read = j->stall_read,
                                       .stall_ctl = j->stall_ctl,
                                       .stall_core = j->stall_core};
    s->traffic.ctl_write += 1 + j->plan.y_beats;
    s->traffic.w_read += j->plan.beats;
    s->retire.mark = j->mark;
    s->retire.at = j->retired + 1;
    s->retire.job++;
    return true;
}

/* ---- launch --------------------------------------------------------------------------------- */

/* One thing that some stage can do; a burst of the stream only when no other stage waits for less,
 * because reads of port 0 share its memory with the stream. */
static bool step(struct sl_tlm *s, struct sl_tlm_time *time)
{
    return retire_step(s, time) || sl_tlm_post_step(s) || sl_tlm_array_step(s) ||
           sl_tlm_gen_begin(s) || sl_tlm_prep_step(s, false) || sl_tlm_gen_step(s) ||
           sl_tlm_prep_step(s, true);
}

uint64_t sl_tlm_launch(struct sl_tlm *tlm, const struct sl_tlm_job *jobs, uint32_t n,
                       uint32_t job_off, struct sl_tlm_time *time, struct sl_tlm_traffic *traffic)
{
    memset((char *)tlm + offsetof(struct sl_tlm, n_job), 0,
           sizeof *tlm - offsetof(struct sl_tlm, n_job));
    tlm->n_job = n;
    tlm->job_off = job_off;
    tlm->jobs = jobs;
    tlm->prep.at = LAUNCH_START;
    tlm->prep.x_holder[0] = tlm->prep.x_holder[1] = -1;
    while (step(tlm, time))
        continue;
    assert(tlm->retire.job == n); /* stages that wait for one another */
    if (traffic)
        *traffic = tlm->traffic;
    return (uint64_t)(tlm->retire.at + LAUNCH_END);
}
