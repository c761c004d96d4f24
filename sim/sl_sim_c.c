/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of hls/ compiled natively behind the interface of a simulated core (sl_sim.h), for the
 * emulated card of KERNEL=hls. It has registers, arenas and an interrupt, and no clock: a launch is
 * over when run() returns, every count of cycles and of traffic is 0, and no memory fails.
 */
#include <stdlib.h>
#include <string.h>

#include "accel/args.h"
#include "sl_core_native.h"
#include "sl_sim.h"

/* SL_SIM_P comes from the build. */
#define CALL_(p) sl_core_call_p##p
#define CALL(p) CALL_(p)
enum { N_PORT = SL_SIM_P, N_WORD = 128, MAX_ARENA = 64, BIT_IDLE = 4 };

struct sl_sim {
    uint32_t word[N_WORD]; /* arguments as written */
    bool started, interrupt, done;
    uint64_t launches;
    uint32_t n_arena;
    struct sl_sim_arena arena[MAX_ARENA];
    struct sl_core_work *work; /* owned */
    const char *message;
};

static int sim_open(struct sl_sim **out, const struct sl_sim_options *options)
{
    struct sl_sim *s = calloc(1, sizeof *s);
    if (options->n_fault || !s || !(s->work = calloc(1, sizeof *s->work))) {
        free(s);
        return options->n_fault ? SL_SIM_UNSUPPORTED : SL_SIM_NOMEM;
    }
    s->message = "";
    *out = s;
    return SL_SIM_OK;
}

static void sim_close(struct sl_sim *s)
{
    if (!s)
        return;
    free(s->work);
    free(s);
}

static int sim_map(struct sl_sim *s, const struct sl_sim_arena *arena, uint32_t n)
{
    if (n > MAX_ARENA)
        return SL_SIM_UNSUPPORTED;
    memcpy(s->arena, arena, n * sizeof *arena);
    s->n_arena = n;
    return SL_SIM_OK;
}

/* ---- registers ------------------------------------------------------------------------------ */

static int write_reg(struct sl_sim *s, uint32_t offset, uint32_t value)
{
    if (offset / 4 >= N_WORD)
        return SL_SIM_NO_ANSWER;
    if (offset == SL_REG_CTRL)
        s->started = s->started || value & SL_BIT_START;
    else if (offset == SL_REG_ISR)
        s->interrupt = s->interrupt && !(value & SL_BIT_DONE);
    else
        s->word[offset / 4] = value;
    return SL_SIM_OK;
}

static int read_reg(struct sl_sim *s, uint32_t offset, uint32_t *value)
{
    if (offset / 4 >= N_WORD)
        return SL_SIM_NO_ANSWER;
    *value = s->word[offset / 4];
    if (offset == SL_REG_CTRL) {
        *value = (s->started ? SL_BIT_START : BIT_IDLE) | (s->done ? 2u : 0);
        s->done = false;
    } else if (offset == SL_REG_ISR) {
        *value = s->interrupt;
    }
    return SL_SIM_OK;
}

/* ---- run ------------------------------------------------------------------------------------ */

static uint32_t scalar(const struct sl_sim *s, enum sl_arg arg)
{
    return s->word[sl_arg_offset(arg, N_PORT) / 4];
}

/* The arena that a pointer register names, if it has `beats`; NULL: it does not. */
static uint8_t *arena_at(const struct sl_sim *s, uint32_t offset, int port, uint32_t beats)
{
    const uint64_t address = s->word[offset / 4] | (uint64_t)s->word[offset / 4 + 1] << 32;
    for (uint32_t i = 0; i < s->n_arena; i++) {
        const struct sl_sim_arena *a = &s->arena[i];
        if (a->base == address && a->ports >> (port + 1) & 1 &&
            a->bytes >= (uint64_t)beats * SL_BEAT_BYTES)
            return a->host;
    }
    return NULL;
}

static int launch(struct sl_sim *s)
{
    const uint32_t limit = scalar(s, SL_ARG_CTL_LIMIT), w_limit = scalar(s, SL_ARG_W_LIMIT);
    uint8_t *ctl = arena_at(s, sl_arg_offset(SL_ARG_CTL, N_PORT), SL_SIM_CTL, limit);
    const void *w[N_PORT];
    bool good = ctl;
    for (unsigned p = 0; p < N_PORT; p++) {
        w[p] = arena_at(s, sl_arg_offset(SL_ARG_W, N_PORT) + 12 * p, (int)p, w_limit);
        good = good && w[p];
    }
    if (!good) {
        s->message = "a pointer names no buffer of the size that the limits tell";
        return SL_SIM_VIOLATION;
    }
    CALL(SL_SIM_P)
    (ctl, w, s->work, scalar(s, SL_ARG_JOB_OFF), scalar(s, SL_ARG_JOB_COUNT), limit, w_limit);
    s->started = false;
    s->done = s->interrupt = true;
    s->launches++;
    return SL_SIM_INTERRUPT;
}

static int sim_run(struct sl_sim *s, uint64_t max_cycles)
{
    (void)max_cycles;
    if (s->started)
        return launch(s);
    return s->interrupt ? SL_SIM_INTERRUPT : SL_SIM_OK;
}

static const char *sim_message(const struct sl_sim *s)
{
    return s->message;
}

static void sim_counters(struct sl_sim *s, struct sl_sim_counters *out)
{
    *out = (struct sl_sim_counters){.launches = s->launches};
}

static int sim_wave(struct sl_sim *s, const char *path, uint64_t from, uint64_t to)
{
    (void)s;
    (void)path;
    (void)from;
    (void)to;
    return SL_SIM_UNSUPPORTED;
}

static int write_coverage(struct sl_sim *s, const char *path)
{
    (void)s;
    (void)path;
    return SL_SIM_UNSUPPORTED;
}

static const struct sl_sim_api api = {.version = SL_SIM_VERSION,
                                      .n_port = N_PORT,
                                      .n_column = 1,
                                      .open = sim_open,
                                      .close = sim_close,
                                      .map = sim_map,
                                      .write_reg = write_reg,
                                      .read_reg = read_reg,
                                      .run = sim_run,
                                      .message = sim_message,
                                      .counters = sim_counters,
                                      .wave = sim_wave,
                                      .write_coverage = write_coverage};

const struct sl_sim_api *sl_sim_api(void)
{
    return &api;
}
