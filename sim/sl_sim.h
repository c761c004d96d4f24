/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Verilated core with its memories, as a shared object: sl_sim_p<P>t<T>[_variant].so exports
 * the one function sl_sim_api(), and everything is reached through the table that it returns.
 *
 * The core is seen as a card sees it. Registers are AXI4-Lite transactions (docs/registers.md).
 * Memory is a table of arenas: ranges of AXI addresses with the host memory behind them, read and
 * written in place. Around them stand a timing model per AXI port and the checks of the AXI
 * protocol. A write of CTRL.start restarts the timing models (nothing may be in flight), and they
 * see offsets into the arenas, not addresses: the cycles of a launch depend on the core, its jobs
 * and the model alone, not on what ran before, where buffers lie or which program embeds this.
 *
 * One simulation is used by one thread at a time. Nothing is printed and nothing exits; a
 * broken protocol ends the run with SL_SIM_VIOLATION.
 */
#ifndef SL_SIM_H
#define SL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SL_SIM_VERSION = 3,         /* of this header */
    SL_SIM_CTL = -1,            /* port number of m_axi_ctl; weight ports are 0 .. P - 1 */
    SL_SIM_CLOCK_HZ = 225000000 /* nominal clock of the core; the timing models are built on it */
};

enum sl_sim_status {
    SL_SIM_OK = 0,        /* done; of run(): the cycles are over */
    SL_SIM_INTERRUPT = 1, /* run(): the interrupt line is high */
    SL_SIM_NOMEM = -1,    /* no memory */
    SL_SIM_VIOLATION =
        -2, /* the core broke a rule, message() says which; close() is all that is left */
    SL_SIM_NO_ANSWER = -3,   /* the register port does not answer */
    SL_SIM_UNSUPPORTED = -4, /* this variant cannot do it */
    SL_SIM_IO = -5           /* a file could not be written */
};

enum sl_sim_memory { SL_SIM_HBM, SL_SIM_DDR, SL_SIM_IDEAL };

/* What goes wrong on purpose, at a read beat or a write burst of a port (counted from 1 since
 * open). */
enum sl_sim_fault_kind {
    SL_SIM_READ_ERROR,  /* that beat answers SLVERR, its data are wrong */
    SL_SIM_WRITE_ERROR, /* that burst answers SLVERR, nothing is stored */
    SL_SIM_LATE,        /* that read beat and all behind it wait `cycles` once */
    SL_SIM_WRITE_LATE,  /* the same for the response of that write burst */
    SL_SIM_DEAD,        /* that read beat and all behind it never come */
    SL_SIM_WRITE_DEAD   /* that burst is not stored and not answered, and no further one is taken */
};
struct sl_sim_fault {
    enum sl_sim_fault_kind kind;
    int port; /* SL_SIM_CTL or a weight port; write faults: SL_SIM_CTL */
    uint64_t at, cycles;
};

enum { SL_SIM_MAX_FAULT = 8 };
struct sl_sim_options {
    enum sl_sim_memory memory;
    int32_t latency;    /* cycles. ideal: from request to first beat; others: of the path to the
                           controller, both ways. -1: the model's own */
    uint32_t stall_pct; /* share of cycles in which a channel that could go on waits, 0 .. 90 */
    uint64_t seed;      /* of the stalls */
    int64_t reset_seed; /* of what registers hold before reset; -1: zeros */
    uint32_t n_fault;
    struct sl_sim_fault fault[SL_SIM_MAX_FAULT];
};

struct sl_sim_arena {
    uint64_t base, bytes; /* AXI address and size; multiples of 64 */
    uint8_t *host;        /* 64-byte aligned, not owned */
    uint32_t ports;       /* who reaches it: bit 0 m_axi_ctl, bit 1 + p weight port p */
};

struct sl_sim_traffic {
    uint64_t read_bytes, write_bytes; /* write: of enabled lanes */
    uint64_t read_beats, write_beats, read_bursts, write_bursts;
    /* Cycles: of bursts from the accepted address to the last beat or response, added up; and those
     * in which at least one was on its way. */
    uint64_t read_latency, write_latency, read_busy, write_busy;
};
enum { SL_SIM_MAX_PORTS = 28 };
struct sl_sim_counters {
    uint64_t launches;
    uint64_t cycles;       /* from start to interrupt, all launches */
    uint64_t total_cycles; /* all that were simulated since the end of reset */
    double cpu_s;          /* processor time that run() took */
    double ceiling; /* bytes per cycle that the timing model gives a linear read of one port */
    struct sl_sim_traffic ctl, w[SL_SIM_MAX_PORTS];
};

struct sl_sim;

struct sl_sim_api {
    uint32_t version; /* SL_SIM_VERSION; compare before anything else */
    uint32_t n_port, n_column;
    bool dpi;      /* group sums computed in C */
    bool trace;    /* can write waveforms; honours reset_seed */
    bool random;   /* honours reset_seed */
    bool coverage; /* counts lines */

    /* Builds the core and takes it through reset. */
    int (*open)(struct sl_sim **out, const struct sl_sim_options *options);
    void (*close)(struct sl_sim *sim); /* accepts NULL */
    /* Replaces the arenas; while nothing is in flight. SL_SIM_UNSUPPORTED: too many, or unaligned.
     */
    int (*map)(struct sl_sim *sim, const struct sl_sim_arena *arena, uint32_t n);
    /* One AXI4-Lite transaction. */
    int (*write_reg)(struct sl_sim *sim, uint32_t offset, uint32_t value);
    int (*read_reg)(struct sl_sim *sim, uint32_t offset, uint32_t *value);
    /* Simulates until the interrupt line is high or max_cycles are over. */
    int (*run)(struct sl_sim *sim, uint64_t max_cycles);
    /* What was violated, one line; "" when nothing was. */
    const char *(*message)(const struct sl_sim *sim);
    void (*counters)(struct sl_sim *sim, struct sl_sim_counters *out);
    /* FST waveform of the cycles from .. to (of total_cycles), and FILE.gtkw beside it. Before
     * run(). */
    int (*wave)(struct sl_sim *sim, const char *path, uint64_t from, uint64_t to);
    /* Line coverage so far, for verilator_coverage. */
    int (*write_coverage)(struct sl_sim *sim, const char *path);
};

/* The name under which dlsym() finds it. */
#define SL_SIM_ENTRY "sl_sim_api"
__attribute__((visibility("default"))) const struct sl_sim_api *sl_sim_api(void);

#ifdef __cplusplus
}
#endif

#endif
