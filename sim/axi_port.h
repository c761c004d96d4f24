/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory side of one AXI port of the core: accepts bursts, asks the timing model when their
 * beats come, moves data between the bus and the arenas, stalls and fails where it was told to, and
 * checks the protocol. Knows nothing of Verilator.
 *
 * A cycle is: present() what the memory drives, let the core settle, observe() what it drives, let
 * the registers of both sides take over, advance world->now. Both functions are inline because
 * every port runs them in every cycle; what happens once per beat or burst is in axi_port.c.
 */
#ifndef SL_SIM_AXI_PORT_H
#define SL_SIM_AXI_PORT_H

#include "mem.h"

enum {
    SL_AXI_MAX_BURSTS = 64, /* outstanding in one direction; more is a violation */
    SL_AXI_MAX_BEATS = SL_AXI_MAX_BURSTS * SL_MEM_MAX_BURST,
    SL_AXI_OKAY = 0,
    SL_AXI_SLVERR = 2,
    SL_AXI_DECERR = 3
};

/* What all ports of a simulation share. */
struct sl_axi_world {
    const struct sl_sim_arena *arena;
    uint32_t n_arena;
    uint64_t now;   /* cycle since the end of reset */
    uint64_t start; /* cycle of the last start: time 0 of the timing models */
    uint32_t stall; /* of 2^32: chance that a channel waits in a cycle */
    bool violated;
    char message[200]; /* the first violation */
};

/* port: SL_SIM_CTL or a weight port. */
void sl_axi_violate(struct sl_axi_world *world, int port, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a channel that could go on waits in this cycle; each has a random stream of its own. */
static inline bool sl_axi_stalls(const struct sl_axi_world *world, uint64_t *rng)
{
    if (!world->stall)
        return false;
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    *rng ^= *rng << 17;
    return (uint32_t)(*rng >> 32) < world->stall;
}

/* Faults of one direction by ascending position. */
struct sl_axi_faults {
    struct sl_sim_fault list[SL_SIM_MAX_FAULT];
    uint32_t n, next;
};

/* An address that was valid and not taken: it must stay. */
struct sl_axi_held {
    bool is;
    uint8_t len;
    uint64_t addr;
};

/* ---- read ----------------------------------------------------------------------------------- */

struct sl_axi_read_burst {
    const uint8_t *host; /* next beat; NULL: outside of every arena */
    uint32_t left;       /* beats */
    uint32_t commands;   /* that it holds in the controller */
    uint64_t accepted;   /* cycle */
};

struct sl_axi_write;

struct sl_axi_read {
    /* Driven by the memory. */
    bool arready, rvalid, rlast;
    bool stale;   /* rdata was taken: it is spoilt before the next cycle, where stalls are on */
    bool overdue; /* a late or dead beat: a launch may end without it */
    uint8_t rresp;
    uint8_t *rdata; /* 64 bytes of the core's input, not owned */

    int port;
    struct sl_mem *mem;                /* not owned */
    const struct sl_axi_write *writes; /* of the same port, or NULL */
    struct sl_sim_traffic *traffic;    /* not owned */
    uint64_t ar_rng, r_rng;
    struct sl_axi_faults faults;
    struct sl_axi_held held;
    uint64_t busy_from;      /* cycle since which bursts are on their way, while any is */
    uint32_t commands;       /* outstanding in the controller */
    uint32_t b_head, b_tail; /* bursts, free running */
    uint32_t head, tail;     /* beats, free running */
    struct sl_axi_read_burst burst[SL_AXI_MAX_BURSTS];
    uint64_t ready[SL_AXI_MAX_BEATS]; /* cycle from which a beat may be presented */
};

/* What the core drives. */
struct sl_axi_address {
    bool valid;
    uint8_t len; /* beats - 1 */
    uint64_t addr;
};

void sl_axi_read_accept(struct sl_axi_world *world, struct sl_axi_read *r,
                        const struct sl_axi_address *ar);
void sl_axi_read_beat(struct sl_axi_world *world, struct sl_axi_read *r);
void sl_axi_read_taken(const struct sl_axi_world *world, struct sl_axi_read *r);
void sl_axi_read_spoil(struct sl_axi_read *r);
void sl_axi_held_check(struct sl_axi_world *world, int port, struct sl_axi_held *held,
                       const struct sl_axi_address *a, const char *name);

static inline bool sl_axi_read_idle(const struct sl_axi_read *r)
{
    return r->head == r->tail;
}

static inline void sl_axi_read_present(struct sl_axi_world *world, struct sl_axi_read *r)
{
    enum { BURST_COMMANDS = SL_MEM_MAX_BURST / SL_MEM_COMMAND_BEATS + 1 };
    r->arready =
        r->mem->max_command - r->commands >= BURST_COMMANDS && !sl_axi_stalls(world, &r->ar_rng);
    if (!r->rvalid && r->head != r->tail && world->now >= r->ready[r->head % SL_AXI_MAX_BEATS] &&
        !sl_axi_stalls(world, &r->r_rng))
        sl_axi_read_beat(world, r);
}

static inline void sl_axi_read_observe(struct sl_axi_world *world, struct sl_axi_read *r,
                                       const struct sl_axi_address *ar, bool rready)
{
    if (r->held.is)
        sl_axi_held_check(world, r->port, &r->held, ar, "AR");
    if (ar->valid && r->arready)
        sl_axi_read_accept(world, r, ar);
    else if (ar->valid)
        r->held = (struct sl_axi_held){true, ar->len, ar->addr};
    if (r->rvalid && rready)
        sl_axi_read_taken(world, r);
}

/* ---- write ---------------------------------------------------------------------------------- */

struct sl_axi_write_burst {
    uint8_t *host; /* next beat; NULL: outside of every arena */
    uint64_t first, end, off, accepted;
    uint32_t left;
};

struct sl_axi_write {
    /* Driven by the memory. */
    bool awready, wready, bvalid;
    uint8_t bresp;
    bool overdue; /* a late or dead response: a launch may end without it */
    bool dead;    /* nothing is taken any more */

    int port;
    struct sl_mem *mem;
    struct sl_sim_traffic *traffic;
    uint64_t aw_rng, w_rng, b_rng;
    struct sl_axi_faults faults;
    struct sl_axi_held held;
    bool w_held, w_held_last;
    uint64_t w_held_strb;
    uint8_t w_held_data[SL_MEM_BEAT];
    uint64_t busy_from;            /* cycle since which bursts are on their way, while any is */
    uint64_t w_from;               /* first cycle in which the memory takes a beat */
    uint32_t b_head, w_at, b_tail; /* oldest burst, the one that beats belong to, behind the last */
    struct sl_axi_write_burst burst[SL_AXI_MAX_BURSTS];
    uint64_t respond[SL_AXI_MAX_BURSTS]; /* cycle from which a burst's response may come */
    uint8_t resp[SL_AXI_MAX_BURSTS];
};

struct sl_axi_data {
    bool valid, last;
    uint64_t strb;
    const uint8_t *data;
};

void sl_axi_write_accept(struct sl_axi_world *world, struct sl_axi_write *w,
                         const struct sl_axi_address *aw);
void sl_axi_write_beat(struct sl_axi_world *world, struct sl_axi_write *w,
                       const struct sl_axi_data *data);
void sl_axi_write_hold(struct sl_axi_write *w, const struct sl_axi_data *data);
void sl_axi_write_held_check(struct sl_axi_world *world, struct sl_axi_write *w,
                             const struct sl_axi_data *data);
void sl_axi_write_respond(struct sl_axi_world *world, struct sl_axi_write *w);
void sl_axi_write_done(const struct sl_axi_world *world, struct sl_axi_write *w);

static inline bool sl_axi_write_idle(const struct sl_axi_write *w)
{
    return w->b_head == w->b_tail;
}

static inline void sl_axi_write_present(struct sl_axi_world *world, struct sl_axi_write *w)
{
    w->awready = !w->dead && !sl_axi_stalls(world, &w->aw_rng);
    w->wready = w->w_at != w->b_tail && world->now >= w->w_from && !w->dead &&
                !sl_axi_stalls(world, &w->w_rng);
    if (!w->bvalid && w->b_head != w->w_at &&
        world->now >= w->respond[w->b_head % SL_AXI_MAX_BURSTS] && !sl_axi_stalls(world, &w->b_rng))
        sl_axi_write_respond(world, w);
}

static inline void sl_axi_write_observe(struct sl_axi_world *world, struct sl_axi_write *w,
                                        const struct sl_axi_address *aw,
                                        const struct sl_axi_data *data, bool bready)
{
    if (w->held.is)
        sl_axi_held_check(world, w->port, &w->held, aw, "AW");
    if (w->w_held)
        sl_axi_write_held_check(world, w, data);
    if (w->bvalid && bready)
        sl_axi_write_done(world, w);
    if (data->valid && w->wready)
        sl_axi_write_beat(world, w, data);
    else if (data->valid)
        sl_axi_write_hold(w, data);
    if (aw->valid && w->awready)
        sl_axi_write_accept(world, w, aw);
    else if (aw->valid)
        w->held = (struct sl_axi_held){true, aw->len, aw->addr};
}

/* ---- both ----------------------------------------------------------------------------------- */

/* What a launch begins with: time 0, the first random number. State in flight stays. */
void sl_axi_read_start(struct sl_axi_read *r, uint64_t seed);
void sl_axi_write_start(struct sl_axi_write *w, uint64_t seed);
/* Takes the options' faults that belong to this direction of the port. */
void sl_axi_read_faults(struct sl_axi_read *r, const struct sl_sim_options *options);
void sl_axi_write_faults(struct sl_axi_write *w, const struct sl_sim_options *options);

#endif
