/* SPDX-License-Identifier: Apache-2.0 */
/* The core, its memories and its register port, as sl_sim.h promises. */
#include "sl_sim.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "axi_port.h"
#include "gtkw.h"
#include "model.h"

/* SL_SIM_P, SL_SIM_T and the variant come from the build. */
enum {
    N_PORT = SL_SIM_P,
    MAX_ARENA = 64,
    RESET_CYCLES = 16,
    REGISTER_CYCLES = 1000, /* in which an AXI4-Lite transaction is answered */
    CYCLE_PS = 4444,        /* in waveforms: 225 MHz */
    CTRL = 0,
    CTRL_START = 1
};

struct sl_sim {
    struct sl_sim_options options;
    struct sl_axi_world world;
    struct sl_pins pins;
    struct sl_model *model; /* owned */
    bool running;           /* between start and interrupt */
    uint64_t launches, cycles;
    double cpu_s;   /* processor time of sim_run */
    double ceiling; /* of a port's memory; 0: not asked for yet */
    uint64_t wave_from, wave_to;
    bool wave;
    struct sl_sim_arena arena[MAX_ARENA];
    uint32_t n_arena;
    struct sl_mem *mem[N_PORT + 1]; /* owned; the last is the control port's */
    struct sl_sim_traffic traffic[N_PORT + 1];
    struct sl_axi_read ctl_read;
    struct sl_axi_write ctl_write;
    struct sl_axi_read w_read[N_PORT];
};

/* ---- one cycle ------------------------------------------------------------------------------ */

static inline void present(struct sl_sim *s)
{
    struct sl_pins *pins = &s->pins;
    uint32_t arready = 0, rvalid = 0, rlast = 0;
    uint64_t rresp = 0;
    for (unsigned p = 0; p < N_PORT; p++) {
        struct sl_axi_read *r = &s->w_read[p];
        sl_axi_read_present(&s->world, r);
        arready |= (uint32_t)r->arready << p;
        rvalid |= (uint32_t)r->rvalid << p;
        rlast |= (uint32_t)r->rlast << p;
        rresp |= (uint64_t)r->rresp << 2 * p;
    }
    pins->w_arready = arready;
    pins->w_rvalid = rvalid;
    pins->w_rlast = rlast;
    pins->w_rresp = rresp;
    sl_axi_read_present(&s->world, &s->ctl_read);
    sl_axi_write_present(&s->world, &s->ctl_write);
    pins->ctl_arready = s->ctl_read.arready;
    pins->ctl_rvalid = s->ctl_read.rvalid;
    pins->ctl_rlast = s->ctl_read.rlast;
    pins->ctl_rresp = s->ctl_read.rresp;
    pins->ctl_awready = s->ctl_write.awready;
    pins->ctl_wready = s->ctl_write.wready;
    pins->ctl_bvalid = s->ctl_write.bvalid;
    pins->ctl_bresp = s->ctl_write.bresp;
}

static inline void observe_weights(struct sl_sim *s)
{
    const struct sl_pins *pins = &s->pins;
    for (unsigned p = 0; p < N_PORT; p++) {
        struct sl_axi_address ar = {.valid = pins->w_arvalid >> p & 1};
        if (ar.valid) {
            memcpy(&ar.addr, pins->w_araddr + 8 * p, sizeof ar.addr);
            ar.len = pins->w_arlen[p];
        }
        sl_axi_read_observe(&s->world, &s->w_read[p], &ar, pins->w_rready >> p & 1);
    }
}

static inline void observe_control(struct sl_sim *s)
{
    const struct sl_pins *pins = &s->pins;
    struct sl_axi_address ar = {pins->ctl_arvalid, pins->ctl_arlen, pins->ctl_araddr};
    struct sl_axi_address aw = {pins->ctl_awvalid, pins->ctl_awlen, pins->ctl_awaddr};
    struct sl_axi_data data = {pins->ctl_wvalid, pins->ctl_wlast, pins->ctl_wstrb, pins->ctl_wdata};
    sl_axi_read_observe(&s->world, &s->ctl_read, &ar, pins->ctl_rready);
    sl_axi_write_observe(&s->world, &s->ctl_write, &aw, &data, pins->ctl_bready);
}

static inline void cycle(struct sl_sim *s)
{
    present(s);
    sl_model_settle(s->model, &s->pins);
    observe_weights(s);
    observe_control(s);
    bool dump = s->wave && s->world.now >= s->wave_from && s->world.now < s->wave_to;
    if (dump)
        sl_model_wave_dump(s->model, s->world.now * CYCLE_PS);
    sl_model_tick(s->model);
    if (dump)
        sl_model_wave_dump(s->model, s->world.now * CYCLE_PS + CYCLE_PS / 2);
    s->world.now++;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void sim_close(struct sl_sim *s)
{
    if (!s)
        return;
    if (s->wave)
        sl_model_wave_close(s->model);
    sl_model_close(s->model);
    for (unsigned p = 0; p <= N_PORT; p++)
        sl_mem_close(s->mem[p]);
    free(s);
}

static void connect_read(struct sl_sim *s, struct sl_axi_read *r, int port, uint8_t *rdata)
{
    unsigned index = port == SL_SIM_CTL ? N_PORT : (unsigned)port;
    r->port = port;
    r->mem = s->mem[index];
    r->traffic = &s->traffic[index];
    r->rdata = rdata;
    sl_axi_read_faults(r, &s->options);
    sl_axi_read_start(r, s->options.seed);
}

static void connect(struct sl_sim *s)
{
    for (unsigned p = 0; p < N_PORT; p++)
        connect_read(s, &s->w_read[p], (int)p, s->pins.w_rdata + (size_t)SL_MEM_BEAT * p);
    connect_read(s, &s->ctl_read, SL_SIM_CTL, s->pins.ctl_rdata);
    s->ctl_read.writes = &s->ctl_write;
    s->ctl_write.port = SL_SIM_CTL;
    s->ctl_write.mem = s->mem[N_PORT];
    s->ctl_write.traffic = &s->traffic[N_PORT];
    sl_axi_write_faults(&s->ctl_write, &s->options);
    sl_axi_write_start(&s->ctl_write, s->options.seed);
    s->world.arena = s->arena;
    s->world.stall = (uint32_t)((uint64_t)s->options.stall_pct * UINT32_MAX / 100);
}

/* Nothing may be driven when reset ends, whatever the registers held before it. */
static void reset(struct sl_sim *s)
{
    struct sl_pins *pins = &s->pins;
    for (unsigned i = 0; i < RESET_CYCLES; i++) {
        sl_model_settle(s->model, pins);
        sl_model_tick(s->model);
    }
    pins->rst_n = 1;
    pins->s_busy = 1;
    sl_model_settle(s->model, pins);
    pins->s_busy = 0;
    if (pins->ctl_arvalid | pins->ctl_awvalid | pins->ctl_wvalid | pins->s_bvalid | pins->s_rvalid |
        pins->interrupt)
        sl_axi_violate(&s->world, SL_SIM_CTL, "a control output is high behind reset");
    if (pins->w_arvalid)
        sl_axi_violate(&s->world, 0, "ARVALID is high behind reset");
}

static int sim_open(struct sl_sim **out, const struct sl_sim_options *options)
{
    struct sl_sim *s = calloc(1, sizeof *s);
    if (!s)
        return SL_SIM_NOMEM;
    s->options = *options;
    for (unsigned p = 0; p <= N_PORT; p++)
        if (!(s->mem[p] = sl_mem_open(options))) {
            sim_close(s);
            return SL_SIM_NOMEM;
        }
    if (!(s->model = sl_model_open(&s->pins, options->reset_seed))) {
        sim_close(s);
        return SL_SIM_NOMEM;
    }
    connect(s);
    reset(s);
    *out = s;
    return SL_SIM_OK;
}

static int sim_map(struct sl_sim *s, const struct sl_sim_arena *arena, uint32_t n)
{
    if (n > MAX_ARENA)
        return SL_SIM_UNSUPPORTED;
    for (uint32_t i = 0; i < n; i++)
        if (arena[i].base % SL_MEM_BEAT || arena[i].bytes % SL_MEM_BEAT ||
            arena[i].base + arena[i].bytes < arena[i].base)
            return SL_SIM_UNSUPPORTED;
    memcpy(s->arena, arena, n * sizeof *arena);
    s->world.n_arena = n;
    return SL_SIM_OK;
}

/* ---- registers ------------------------------------------------------------------------------ */

static bool is_settled(const struct sl_axi_read *r)
{
    return sl_axi_read_idle(r) || r->overdue;
}

/* All writes are answered, but where a fault keeps a response back. */
static bool writes_are_settled(const struct sl_sim *s)
{
    return sl_axi_write_idle(&s->ctl_write) || s->ctl_write.overdue;
}

/* The timing models and the random streams begin anew. A port that died keeps what it owes. */
static void start(struct sl_sim *s)
{
    bool settled = is_settled(&s->ctl_read) && writes_are_settled(s);
    for (unsigned p = 0; p < N_PORT; p++) {
        settled = settled && is_settled(&s->w_read[p]);
        sl_axi_read_start(&s->w_read[p], s->options.seed);
    }
    /* Behind a dead write port a launch ends at once, reads on their way or not. */
    if (!settled && !s->ctl_write.dead)
        sl_axi_violate(&s->world, SL_SIM_CTL, "started while transfers are in flight");
    sl_axi_read_start(&s->ctl_read, s->options.seed);
    sl_axi_write_start(&s->ctl_write, s->options.seed);
    s->world.start = s->world.now;
    s->launches++;
    s->running = true;
}

static int write_reg(struct sl_sim *s, uint32_t offset, uint32_t value)
{
    struct sl_pins *pins = &s->pins;
    bool done = false;
    pins->s_busy = pins->s_awvalid = pins->s_wvalid = 1;
    pins->s_awaddr = (uint16_t)offset;
    pins->s_wdata = value;
    for (unsigned i = 0; i < REGISTER_CYCLES && (pins->s_awvalid | pins->s_wvalid); i++) {
        cycle(s);
        pins->s_awvalid &= (uint8_t)!pins->s_awready;
        pins->s_wvalid &= (uint8_t)!pins->s_wready;
    }
    if (offset == CTRL && value & CTRL_START)
        start(s);
    pins->s_bready = 1;
    for (unsigned i = 0; i < REGISTER_CYCLES && !done; i++) {
        cycle(s);
        done = pins->s_bvalid;
    }
    done = done && !(pins->s_awvalid | pins->s_wvalid);
    pins->s_busy = pins->s_awvalid = pins->s_wvalid = pins->s_bready = 0;
    return s->world.violated ? SL_SIM_VIOLATION : done ? SL_SIM_OK : SL_SIM_NO_ANSWER;
}

static int read_reg(struct sl_sim *s, uint32_t offset, uint32_t *value)
{
    struct sl_pins *pins = &s->pins;
    bool done = false;
    pins->s_busy = pins->s_arvalid = pins->s_rready = 1;
    pins->s_araddr = (uint16_t)offset;
    for (unsigned i = 0; i < REGISTER_CYCLES && !done; i++) {
        cycle(s);
        pins->s_arvalid &= (uint8_t)!pins->s_arready;
        done = pins->s_rvalid;
    }
    *value = pins->s_rdata;
    pins->s_busy = pins->s_arvalid = pins->s_rready = 0;
    return s->world.violated ? SL_SIM_VIOLATION : done ? SL_SIM_OK : SL_SIM_NO_ANSWER;
}

/* ---- run ------------------------------------------------------------------------------------ */

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int sim_run(struct sl_sim *s, uint64_t max_cycles)
{
    const uint64_t end = s->world.now + max_cycles;
    const double begin = cpu_now();
    while (!s->pins.interrupt && s->world.now != end && !s->world.violated)
        cycle(s);
    s->cpu_s += cpu_now() - begin;
    if (s->world.violated)
        return SL_SIM_VIOLATION;
    if (!s->pins.interrupt)
        return SL_SIM_OK;
    if (s->running) {
        s->running = false;
        s->cycles += s->world.now - s->world.start;
        if (!writes_are_settled(s))
            sl_axi_violate(&s->world, SL_SIM_CTL, "done before the last write response");
    }
    return s->world.violated ? SL_SIM_VIOLATION : SL_SIM_INTERRUPT;
}

static const char *sim_message(const struct sl_sim *s)
{
    return s->world.message;
}

static void sim_counters(struct sl_sim *s, struct sl_sim_counters *out)
{
    /* Measured once: it takes longer than a small launch. */
    if (!(s->ceiling > 0))
        s->ceiling = sl_mem_ceiling(&s->options);
    *out = (struct sl_sim_counters){.launches = s->launches,
                                    .cycles = s->cycles,
                                    .total_cycles = s->world.now,
                                    .cpu_s = s->cpu_s,
                                    .ceiling = s->ceiling,
                                    .ctl = s->traffic[N_PORT]};
    memcpy(out->w, s->traffic, N_PORT * sizeof out->w[0]);
}

static int sim_wave(struct sl_sim *s, const char *path, uint64_t from, uint64_t to)
{
    if (!SL_SIM_TRACE || s->wave)
        return SL_SIM_UNSUPPORTED;
    if (!sl_model_wave_open(s->model, path) ||
        !sl_gtkw_write(path, N_PORT, from * CYCLE_PS, to * CYCLE_PS))
        return SL_SIM_IO;
    s->wave = true;
    s->wave_from = from;
    s->wave_to = to;
    return SL_SIM_OK;
}

static int sim_write_coverage(struct sl_sim *s, const char *path)
{
    if (!SL_SIM_COVERAGE)
        return SL_SIM_UNSUPPORTED;
    return sl_model_write_coverage(s->model, path) ? SL_SIM_OK : SL_SIM_IO;
}

static const struct sl_sim_api api = {
    .version = SL_SIM_VERSION,
    .n_port = SL_SIM_P,
    .n_column = SL_SIM_T,
    .dpi = SL_SIM_DPI,
    .trace = SL_SIM_TRACE,
    .random = SL_SIM_TRACE || SL_SIM_RANDOM,
    .coverage = SL_SIM_COVERAGE,
    .open = sim_open,
    .close = sim_close,
    .map = sim_map,
    .write_reg = write_reg,
    .read_reg = read_reg,
    .run = sim_run,
    .message = sim_message,
    .counters = sim_counters,
    .wave = sim_wave,
    .write_coverage = sim_write_coverage,
};

const struct sl_sim_api *sl_sim_api(void)
{
    return &api;
}
