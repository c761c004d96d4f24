/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/sim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/args.h"
#include "accel/sim_options.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

_Static_assert((int)SL_SIM_MAX_PORTS == (int)SL_MAX_PORTS,
               "ports of the simulation and of the contract");

enum {
    PATH_CAP = 4096,
    CHUNK = 16384, /* cycles between two looks at the clock */
    ARENA_ALIGN = 4096,
    MAX_ARGUMENT_WORD = 128
};

struct sim {
    struct sl_device base;
    struct sl_sim_config config;
    void *library; /* owned */
    const struct sl_sim_api *api;
    struct sl_sim *core;            /* owned */
    uint8_t *ctl, *w[SL_MAX_PORTS]; /* owned; w_beats each */
    struct sl_link link;
    struct {
        bool known;
        uint32_t value;
    } argument[MAX_ARGUMENT_WORD]; /* as the core has them */
    bool lost;                     /* a launch did not end: close() is all that is left */
};

/* ---- arguments ------------------------------------------------------------------------------ */

/* Why the simulation gave up; the device is lost. */
static int lose(struct sim *sim, int status)
{
    sim->lost = true;
    if (status == SL_SIM_VIOLATION)
        return sl_fail(SL_ERR_DEVICE, "a waveform of these cycles: wave=FILE@FROM-TO",
                       "device %s broke the AXI protocol: %s", sim->base.name,
                       sim->api->message(sim->core));
    return sl_fail(SL_ERR_DEVICE, "reload the device",
                   "device %s: its registers do not answer (%d)", sim->base.name, status);
}

static int write_reg(struct sim *sim, uint32_t offset, uint32_t value)
{
    int status = sim->api->write_reg(sim->core, offset, value);
    return status == SL_SIM_OK ? 0 : lose(sim, status);
}

/* Arguments stay in their registers: only what changed is written. */
static int write_word(struct sim *sim, uint32_t offset, uint32_t value)
{
    uint32_t word = offset / 4;
    if (sim->argument[word].known && sim->argument[word].value == value)
        return 0;
    sim->argument[word].known = true;
    sim->argument[word].value = value;
    return write_reg(sim, offset, value);
}

static int write_pointer(struct sim *sim, uint32_t offset, uint64_t address)
{
    int err = write_word(sim, offset, (uint32_t)address);
    return err ? err : write_word(sim, offset + 4, (uint32_t)(address >> 32));
}

/* AXI addresses have no meaning here. Each arena crosses a multiple of 2^32, so that a core that
 * adds 32 bits only is found out. */
static uint64_t address_of(int arena)
{
    return ((uint64_t)(arena + 2) << 33) + 0xFFFFE000u;
}

static int write_arguments(struct sim *sim, uint32_t job_off, uint32_t n_job)
{
    const struct sl_device *dev = &sim->base;
    uint32_t scalar[SL_N_SCALAR];
    sl_arg_scalars(scalar, dev, job_off, n_job, sim->config.timeout);
    int err = write_pointer(sim, sl_arg_offset(SL_ARG_CTL, dev->n_port), address_of(SL_ARENA_CTL));
    for (unsigned p = 0; !err && p < dev->n_port; p++)
        err = write_pointer(sim, sl_arg_offset(SL_ARG_W, dev->n_port) + 12 * p, address_of((int)p));
    for (unsigned i = 0; !err && i < SL_N_SCALAR; i++)
        err = write_word(sim, sl_arg_offset((enum sl_arg)(SL_ARG_SCALAR + i), dev->n_port),
                         scalar[i]);
    return err;
}

/* ---- memory --------------------------------------------------------------------------------- */

static uint8_t *arena_of(struct sl_device *dev, int arena)
{
    struct sim *sim = (struct sim *)dev;
    return arena == SL_ARENA_CTL ? sim->ctl : sim->w[arena];
}

static uint8_t *arena_alloc(uint64_t n_beats)
{
    uint8_t *p = sl_alloc_aligned(ARENA_ALIGN, n_beats * SL_BEAT_BYTES);
    if (p)
        memset(p, 0, n_beats * SL_BEAT_BYTES);
    return p;
}

static int sim_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sim *sim = (struct sim *)dev;
    struct sl_sim_arena map[SL_MAX_PORTS + 1];
    sim->ctl = arena_alloc(ctl_beats);
    if (!sim->ctl)
        return SL_ERR_NOMEM;
    /* A core's arena lies behind the link, a unit's does not. */
    dev->ctl_host = sim->config.unit ? sim->ctl : NULL;
    map[0] = (struct sl_sim_arena){address_of(SL_ARENA_CTL), (uint64_t)ctl_beats * SL_BEAT_BYTES,
                                   sim->ctl, 1};
    for (unsigned p = 0; p < dev->n_port; p++) {
        if (!(sim->w[p] = arena_alloc(w_beats)))
            return SL_ERR_NOMEM;
        map[p + 1] = (struct sl_sim_arena){address_of((int)p), (uint64_t)w_beats * SL_BEAT_BYTES,
                                           sim->w[p], 2u << p};
    }
    int status = sim->api->map(sim->core, map, dev->n_port + 1);
    if (status != SL_SIM_OK)
        return lose(sim, status);
    int err = write_reg(sim, SL_REG_GIE, SL_BIT_DONE);
    return err ? err : write_reg(sim, SL_REG_IER, SL_BIT_DONE);
}

static uint64_t copy_in(struct sl_device *dev, int arena, uint32_t off, const void *src,
                        uint32_t n_beats)
{
    const size_t bytes = (size_t)n_beats * SL_BEAT_BYTES;
    memcpy(arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES, src, bytes);
    return bytes;
}

static int sim_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                     uint32_t n_beats)
{
    struct sl_link *link = &((struct sim *)dev)->link;
    sl_link_enter(link);
    sl_link_write(link, copy_in(dev, arena, off, src, n_beats));
    sl_link_leave(link);
    return 0;
}

/* At once: a launch beside it needs nothing of it. Only its time goes on. */
static int sim_write_begin(struct sl_device *dev, int arena, uint32_t off, const void *src,
                           uint32_t n_beats)
{
    struct sl_link *link = &((struct sim *)dev)->link;
    sl_link_enter(link);
    sl_link_write_begin(link, copy_in(dev, arena, off, src, n_beats));
    sl_link_leave(link);
    return 0;
}

static int sim_write_end(struct sl_device *dev)
{
    struct sl_link *link = &((struct sim *)dev)->link;
    sl_link_enter(link);
    sl_link_write_end(link);
    sl_link_leave(link);
    return 0;
}

static int sim_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct sl_link *link = &((struct sim *)dev)->link;
    const size_t bytes = (size_t)n_beats * SL_BEAT_BYTES;
    sl_link_enter(link);
    memcpy(dst, arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES, bytes);
    sl_link_read(link, bytes);
    sl_link_leave(link);
    return 0;
}

/* ---- launch --------------------------------------------------------------------------------- */

static int run(struct sim *sim, unsigned deadline_ms)
{
    uint64_t start = sl_now_ms();
    for (;;) {
        int status = sim->api->run(sim->core, CHUNK);
        if (status == SL_SIM_INTERRUPT)
            return 0;
        if (status != SL_SIM_OK)
            return lose(sim, status);
        if (sl_now_ms() - start >= deadline_ms) {
            sim->lost = true;
            return sl_fail(SL_ERR_TIMEOUT, "reload the device, or let the launch do less",
                           "device %s: no interrupt after %u ms", sim->base.name, deadline_ms);
        }
    }
}

/* Clears what the launch left: the interrupt (written ones toggle) and done (cleared by reading).
 */
static int acknowledge(struct sim *sim)
{
    uint32_t status, control;
    int err = sim->api->read_reg(sim->core, SL_REG_ISR, &status);
    err = err ? err : sim->api->write_reg(sim->core, SL_REG_ISR, status);
    err = err ? err : sim->api->read_reg(sim->core, SL_REG_CTRL, &control);
    return err ? lose(sim, err) : 0;
}

/* Of all launches. */
static uint64_t launch_cycles(const struct sim *sim)
{
    struct sl_sim_counters c;
    sim->api->counters(sim->core, &c);
    return c.cycles;
}

static int sim_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    struct sim *sim = (struct sim *)dev;
    if (sim->lost)
        return sl_fail(SL_ERR_DEVICE, "reload the device", "device %s: an earlier launch failed",
                       dev->name);
    sl_link_enter(&sim->link);
    const uint64_t before = launch_cycles(sim);
    int err = write_arguments(sim, job_off, n_job);
    err = err ? err : write_reg(sim, SL_REG_CTRL, SL_BIT_START);
    err = err ? err : run(sim, deadline_ms);
    err = err ? err : acknowledge(sim);
    if (!err)
        sl_link_launch(&sim->link, (double)(launch_cycles(sim) - before) / SL_SIM_CLOCK_HZ);
    sl_link_leave(&sim->link);
    return err;
}

/* ---- counters ------------------------------------------------------------------------------- */

static struct sl_port_counters port_counters(const struct sl_sim_traffic *t)
{
    return (struct sl_port_counters){.read_bytes = t->read_bytes,
                                     .write_bytes = t->write_bytes,
                                     .read_beats = t->read_beats,
                                     .write_beats = t->write_beats,
                                     .read_bursts = t->read_bursts,
                                     .write_bursts = t->write_bursts};
}

static const char *memory_name(enum sl_sim_memory memory)
{
    return memory == SL_SIM_HBM ? "hbm" : memory == SL_SIM_DDR ? "ddr" : "ideal";
}

void sl_sim_device_counters(struct sl_device_counters *out, const struct sl_sim_counters *c,
                            unsigned n_port, enum sl_sim_memory memory)
{
    *out = (struct sl_device_counters){.launches = c->launches,
                                       .cycles = c->cycles,
                                       .total_cycles = c->total_cycles,
                                       .clock_hz = SL_SIM_CLOCK_HZ,
                                       .cpu_s = c->cpu_s,
                                       .ceiling = c->ceiling,
                                       .n_port = n_port,
                                       .ctl = port_counters(&c->ctl)};
    snprintf(out->memory, sizeof out->memory, "%s", memory_name(memory));
    for (unsigned p = 0; p < n_port; p++)
        out->w[p] = port_counters(&c->w[p]);
}

static int sim_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    struct sim *sim = (struct sim *)dev;
    struct sl_sim_counters c;
    sim->api->counters(sim->core, &c);
    sl_sim_device_counters(out, &c, dev->n_port, sim->config.core.memory);
    out->time = sim->link.time;
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void sim_close(struct sl_device *dev)
{
    struct sim *sim = (struct sim *)dev;
    if (sim->core && sim->config.coverage[0])
        sim->api->write_coverage(sim->core, sim->config.coverage);
    if (sim->core)
        sim->api->close(sim->core);
    if (sim->library)
        dlclose(sim->library);
    for (unsigned p = 0; p < SL_MAX_PORTS; p++)
        free(sim->w[p]);
    free(sim->ctl);
    free(sim);
}

static const struct sl_device_ops sim_ops = {.alloc = sim_alloc,
                                             .write = sim_write,
                                             .write_begin = sim_write_begin,
                                             .write_end = sim_write_end,
                                             .read = sim_read,
                                             .launch = sim_launch,
                                             .close = sim_close,
                                             .counters = sim_counters};

/* Folder of the shared objects. */
static void find_folder(char *out, size_t cap)
{
    const char *env = getenv("SLUICE_SIM_DIR");
    char folder[PATH_CAP - 4];
    sl_program_folder(folder, sizeof folder);
    if (env && *env)
        snprintf(out, cap, "%s", env);
    else
        snprintf(out, cap, "%s/sim", folder);
}

static int load(struct sim *sim)
{
    char folder[PATH_CAP], file[64], hint[80], path[PATH_CAP + 80];
    sl_sim_config_file(&sim->config, file, sizeof file);
    sl_sim_config_hint(&sim->config, hint, sizeof hint);
    find_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (access(path, F_OK))
        return sl_fail(SL_ERR_USAGE, hint, "device sim: %s is not built", path);
    /* It stays when it is closed: its C++ library would leave memory behind each time. */
    sim->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!sim->library)
        return sl_fail(SL_ERR_DEVICE, hint, "device sim: %s", dlerror());
    /* POSIX lets a function pointer travel through dlsym(); ISO C does not know it. */
    const struct sl_sim_api *(*entry)(void) = NULL;
    *(void **)&entry = dlsym(sim->library, SL_SIM_ENTRY);
    sim->api = entry ? entry() : NULL;
    if (!sim->api || sim->api->version != SL_SIM_VERSION ||
        sim->api->n_port != sim->config.n_port || sim->api->n_column != sim->config.n_column)
        return sl_fail(SL_ERR_ABI, hint, "device sim: %s is not what its name says", path);
    return 0;
}

static int start(struct sim *sim)
{
    const struct sl_sim_config *c = &sim->config;
    int status = sim->api->open(&sim->core, &c->core);
    if (status == SL_SIM_OK && c->wave[0])
        status = sim->api->wave(sim->core, c->wave, c->wave_from, c->wave_to);
    if (status == SL_SIM_IO)
        return sl_fail(SL_ERR_IO, "choose another file", "device sim: cannot write %s", c->wave);
    if (status == SL_SIM_NOMEM)
        return sl_fail(SL_ERR_NOMEM, "close other programs", "device sim: out of memory");
    return status ? sl_fail(SL_ERR_DEVICE, NULL, "device sim: cannot start (%d)", status) : 0;
}

/* What the shared object of a unit cannot do. */
static int check_unit(const struct sl_sim_config *c)
{
    if (c->n_port == 1 && c->n_column == 1 && !c->dpi && !c->wave[0] && !c->coverage[0] &&
        !c->core.n_fault && c->core.reset_seed < 0)
        return 0;
    return sl_fail(SL_ERR_USAGE, "mem= latency= stall= seed= are left",
                   "a unit made by an HLS tool has one port, one column and one form");
}

static int open_any(struct sl_device **out, const char *unit, const char *arg)
{
    struct sim *sim = sl_alloc(1, sizeof *sim);
    if (!sim)
        return SL_ERR_NOMEM;
    int err = sl_sim_config_parse(&sim->config, arg);
    sim->config.unit = unit;
    err = err || !unit ? err : check_unit(&sim->config);
    err = err ? err : load(sim);
    err = err ? err : start(sim);
    if (err) {
        sim_close(&sim->base);
        return err;
    }
    sim->base.ops = &sim_ops;
    sim->base.n_port = sim->config.n_port;
    sl_link_open(&sim->link, &sim->config.link);
    sim->base.clock = &sim->link;
    *out = &sim->base;
    return 0;
}

int sl_sim_open(struct sl_device **out, const char *arg)
{
    return open_any(out, NULL, arg);
}

int sl_sim_open_unit(struct sl_device **out, const char *unit, const char *arg)
{
    return open_any(out, unit, arg);
}

/* ---- list ----------------------------------------------------------------------------------- */

struct found {
    unsigned n_port, n_column;
    bool dpi;
};

/* sl_sim_p<P>t<T>.so or sl_sim_p<P>t<T>_dpi.so; other variants are chosen by options. */
static bool read_name(const char *file, struct found *f)
{
    for (int dpi = 0; dpi < 2; dpi++) {
        char again[64];
        struct sl_sim_config c = {.dpi = dpi, .core.reset_seed = -1};
        if (sscanf(file, "sl_sim_p%ut%u", &c.n_port, &c.n_column) != 2)
            return false;
        sl_sim_config_file(&c, again, sizeof again);
        *f = (struct found){c.n_port, c.n_column, dpi};
        if (!strcmp(again, file))
            return true;
    }
    return false;
}

static int by_shape(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->n_port != y->n_port)
        return x->n_port < y->n_port ? -1 : 1;
    if (x->n_column != y->n_column)
        return x->n_column < y->n_column ? -1 : 1;
    return x->dpi - y->dpi;
}

static void describe(const struct found *f, struct sl_device_desc *out)
{
    snprintf(out->name, sizeof out->name, "sim:%ux%u%s", f->n_port, f->n_column,
             f->dpi ? ",dpi" : "");
    snprintf(out->detail, sizeof out->detail,
             "the core in SystemVerilog under Verilator, %u weight port%s, %u token column%s%s",
             f->n_port, f->n_port == 1 ? "" : "s", f->n_column, f->n_column == 1 ? "" : "s",
             f->dpi ? ", group sums in C" : "");
    out->usable = true;
}

size_t sl_sim_list(struct sl_device_desc *out, size_t cap)
{
    enum { MAX_FOUND = 64 };
    struct found found[MAX_FOUND];
    size_t n = 0;
    char folder[PATH_CAP];
    find_folder(folder, sizeof folder);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && n < MAX_FOUND && (e = readdir(dir));)
        n += read_name(e->d_name, &found[n]);
    if (dir)
        closedir(dir);
    qsort(found, n, sizeof found[0], by_shape);
    for (size_t i = 0; i < n && i < cap; i++)
        describe(&found[i], &out[i]);
    if (n > 0)
        return n;
    if (cap > 0) {
        *out = (struct sl_device_desc){.name = "sim"};
        snprintf(out->detail, sizeof out->detail,
                 "the core in SystemVerilog under Verilator; not built: make sim P=1 T=1");
    }
    return 1;
}
