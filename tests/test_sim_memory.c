/* SPDX-License-Identifier: Apache-2.0 */
/* Timing models of memory and the AXI side of the simulation, without a core. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "axi_port.h"
#include "gtkw.h"
#include "test_main.h"

enum { PAGE = 4096, CYCLES = 20000 };
static const double ns_per_cycle = 1e9 / SL_SIM_CLOCK_HZ;

static struct sl_sim_options options(enum sl_sim_memory memory, int32_t latency)
{
    return (struct sl_sim_options){.memory = memory, .latency = latency, .reset_seed = -1};
}

/* ---- timing models --------------------------------------------------------------------------- */

/* Shuhai (FCCM 2020), U280: 425 GB/s over 32 pseudo-channels. */
static void hbm_reaches_425_of_460_gigabytes(void)
{
    struct sl_sim_options o = options(SL_SIM_HBM, -1);
    double gb = sl_mem_ceiling(&o) * SL_SIM_CLOCK_HZ * 32 / 1e9;
    CU_ASSERT_DOUBLE_EQUAL(gb, 425, 4.25);
}

/* The same authors read 256 bits directly at the controller: no path here. Our 512 bits are there a
 * little later, and that is rounded up to a cycle of the core. */
static double idle_read_ns(struct sl_mem *mem, uint64_t off, uint64_t now)
{
    uint64_t ready;
    mem->ops->read(mem, off, 1, now, &ready);
    return (double)(ready - now) * ns_per_cycle;
}

static bool as_published(double ns, double published)
{
    return ns > published - ns_per_cycle && ns < published + 2 * ns_per_cycle;
}

static void check_idle(enum sl_sim_memory memory, uint64_t other_row, double hit, double closed,
                       double miss)
{
    struct sl_sim_options o = options(memory, 0);
    struct sl_mem *mem = sl_mem_open(&o);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mem);
    CU_ASSERT(as_published(idle_read_ns(mem, 0, 10), closed));
    CU_ASSERT(as_published(idle_read_ns(mem, 0, 200), hit));
    CU_ASSERT(as_published(idle_read_ns(mem, other_row, 400), miss));
    sl_mem_close(mem);
}

static void idle_reads_take_the_published_times(void)
{
    check_idle(SL_SIM_HBM, 1 << 14, 106.7, 122.2, 137.8);
    check_idle(SL_SIM_DDR, 1 << 17, 73.3, 89.9, 106.6);
}

/* 7.8 us apart, 350 ns long, and the channel is a third faster than the port. */
static void ddr_is_bound_by_the_port(void)
{
    struct sl_sim_options o = options(SL_SIM_DDR, -1);
    double share = sl_mem_ceiling(&o) / SL_MEM_BEAT;
    CU_ASSERT(share > 1 - 350.0 / 7800 && share < 1);
}

static void ideal_memory_has_its_latency(void)
{
    static const int32_t latency[] = {-1, 1, 100, 450};
    for (size_t i = 0; i < sizeof latency / sizeof latency[0]; i++) {
        struct sl_sim_options o = options(SL_SIM_IDEAL, latency[i]);
        struct sl_mem *mem = sl_mem_open(&o);
        uint64_t want = latency[i] < 0 ? 100 : (uint64_t)latency[i], ready[64];
        mem->ops->read(mem, 0, 64, 1000, ready);
        CU_ASSERT_EQUAL(ready[0], 1000 + want);
        CU_ASSERT_EQUAL(ready[63], 1063 + want);
        mem->ops->read(mem, PAGE, 64, 1001, ready); /* behind it, without a gap */
        CU_ASSERT_EQUAL(ready[0], 1064 + want);
        sl_mem_close(mem);
        CU_ASSERT_DOUBLE_EQUAL(sl_mem_ceiling(&o), SL_MEM_BEAT, 1e-9);
    }
}

/* Cycles for n single beats, 64 outstanding, behind each other or (rng) anywhere in 256 MiB. */
static uint64_t single_beats(struct sl_mem *mem, unsigned n, struct sl_rng *rng)
{
    uint64_t done[64] = {0}, now = 0, ready = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i >= 64 && done[i % 64] >= now)
            now = done[i % 64] + 1;
        uint64_t beat = rng ? sl_rng_next(rng) >> 42 : i;
        mem->ops->read(mem, beat * SL_MEM_BEAT, 1, now++, &ready);
        done[i % 64] = ready;
    }
    return ready;
}

static void random_single_beats_are_clearly_slower(void)
{
    enum { N = 20000 };
    struct sl_rng rng = sl_rng_open("random_single_beats", 41);
    for (int memory = SL_SIM_HBM; memory <= SL_SIM_DDR; memory++) {
        struct sl_sim_options o = options((enum sl_sim_memory)memory, -1);
        struct sl_mem *mem = sl_mem_open(&o);
        double share = (double)N / (double)single_beats(mem, N, &rng);
        CU_ASSERT(share < 0.5 && share > 0.05);
        mem->ops->reset(mem);
        CU_ASSERT((double)N / (double)single_beats(mem, N, NULL) > 0.85);
        sl_mem_close(mem);
    }
}

/* A stream of refreshes: gaps of at least tRFC, one in each tREFI. */
static void refresh_comes_every_3900_ns(void)
{
    struct sl_sim_options o = options(SL_SIM_HBM, -1);
    struct sl_mem *mem = sl_mem_open(&o);
    uint64_t ready[64], last = 0, end = 0;
    unsigned n_gap = 0;
    for (unsigned i = 0; i < 2000; i++) {
        mem->ops->read(mem, (uint64_t)i * PAGE, 64, end > 200 ? end - 200 : 0, ready);
        for (unsigned b = 0; b < 64; b++) {
            n_gap += (double)(ready[b] - last) * ns_per_cycle > 260;
            last = ready[b];
        }
        end = last;
    }
    double expected = (double)last * ns_per_cycle / 3900;
    CU_ASSERT_DOUBLE_EQUAL(n_gap, expected, 2);
    sl_mem_close(mem);
}

/* A channel that rested is not behind with its refreshes, and starts over equal to itself. */
static void time_restarts_with_a_launch(void)
{
    for (int memory = SL_SIM_HBM; memory <= SL_SIM_IDEAL; memory++) {
        struct sl_sim_options o = options((enum sl_sim_memory)memory, -1);
        struct sl_mem *mem = sl_mem_open(&o);
        uint64_t first[64], again[64];
        mem->ops->read(mem, 3 * PAGE, 64, 5, first);
        mem->ops->read(mem, 7 * PAGE, 64, 100000000, again);
        CU_ASSERT(again[0] < 100000000 + 250);
        mem->ops->write(mem, 0, 100000100);
        mem->ops->reset(mem);
        mem->ops->read(mem, 3 * PAGE, 64, 5, again);
        CU_ASSERT_EQUAL(memcmp(first, again, sizeof first), 0);
        sl_mem_close(mem);
    }
}

/* Reads and writes that take turns by the page, against pages of one kind. */
static void turning_the_bus_costs_time(void)
{
    enum { PAGES = 2000 };
    struct sl_sim_options o = options(SL_SIM_HBM, -1);
    struct sl_mem *mem = sl_mem_open(&o);
    uint64_t ready[64], read_end = 0, now = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        mem->ops->read(mem, (uint64_t)i * PAGE, 64, now, ready);
        for (unsigned b = 0; b < 64; b++)
            now = mem->ops->write(mem, (128u << 20) + ((uint64_t)i * 64 + b) * 64, now);
        read_end = ready[63];
    }
    double bytes = 2.0 * PAGES * PAGE, end = (double)(now > read_end ? now : read_end);
    double share = bytes / end / sl_mem_ceiling(&o);
    CU_ASSERT(share > 0.5 && share < 0.99);
    sl_mem_close(mem);
}

/* ---- a master ------------------------------------------------------------------------------- */

/* Both directions of a port and what the core would drive. */
struct bench {
    struct sl_sim_options options;
    struct sl_axi_world world;
    struct sl_sim_arena arena[2];
    struct sl_mem *mem;
    struct sl_sim_traffic traffic;
    struct sl_axi_read read;
    struct sl_axi_write write;
    struct sl_axi_address ar, aw;
    struct sl_axi_data data;
    bool rready, bready;
    _Alignas(64) uint8_t bus[SL_MEM_BEAT];
    uint8_t wdata[SL_MEM_BEAT];
    uint8_t *memory; /* 4 pages: a guard, two pages of arena, a guard */
};

enum { BASE = 0x7000, ARENA = 2 * PAGE };

static struct bench *bench_open(const struct sl_sim_options *o)
{
    struct bench *b = calloc(1, (sizeof *b + 63) / 64 * 64);
    b->options = *o;
    b->memory = aligned_alloc(PAGE, 4 * PAGE);
    for (unsigned i = 0; i < 4 * PAGE; i++)
        b->memory[i] = (uint8_t)(i * 31 + i / 256);
    b->mem = sl_mem_open(o);
    b->arena[0] = (struct sl_sim_arena){BASE, ARENA, b->memory + PAGE, 1};
    b->world.arena = b->arena;
    b->world.n_arena = 1;
    b->world.stall = (uint32_t)((uint64_t)o->stall_pct * UINT32_MAX / 100);
    b->read.port = b->write.port = SL_SIM_CTL;
    b->read.mem = b->write.mem = b->mem;
    b->read.traffic = b->write.traffic = &b->traffic;
    b->read.rdata = b->bus;
    b->read.writes = &b->write;
    b->data.data = b->wdata;
    b->rready = b->bready = true;
    sl_axi_read_faults(&b->read, o);
    sl_axi_write_faults(&b->write, o);
    sl_axi_read_start(&b->read, o->seed);
    sl_axi_write_start(&b->write, o->seed);
    return b;
}

static void bench_close(struct bench *b)
{
    sl_mem_close(b->mem);
    free(b->memory);
    free(b);
}

/* What a clock edge took over. */
struct edge {
    bool ar, r, aw, w, b, last;
    unsigned rresp, bresp;
};

static struct edge bench_cycle(struct bench *b)
{
    sl_axi_read_present(&b->world, &b->read);
    sl_axi_write_present(&b->world, &b->write);
    struct edge e = {.ar = b->ar.valid && b->read.arready,
                     .r = b->read.rvalid && b->rready,
                     .aw = b->aw.valid && b->write.awready,
                     .w = b->data.valid && b->write.wready,
                     .b = b->write.bvalid && b->bready,
                     .last = b->read.rlast,
                     .rresp = b->read.rresp,
                     .bresp = b->write.bresp};
    sl_axi_read_observe(&b->world, &b->read, &b->ar, b->rready);
    sl_axi_write_observe(&b->world, &b->write, &b->aw, &b->data, b->bready);
    b->world.now++;
    return e;
}

/* Reads n bursts of `beats` from `addr` on, back to back. when[i]: cycle of beat i, or 0 when it
 * did not come. Returns the beats that came and agree with memory; errors adds up responses other
 * than OKAY. */
static unsigned read_all(struct bench *b, uint64_t addr, unsigned n, unsigned beats, uint64_t *when,
                         unsigned *errors)
{
    unsigned sent = 0, got = 0, good = 0;
    for (unsigned i = 0; i < CYCLES && got < n * beats && !b->world.violated; i++) {
        b->ar = (struct sl_axi_address){sent < n, (uint8_t)(beats - 1),
                                        addr + (uint64_t)sent * beats * 64};
        const uint8_t *want = b->memory + PAGE + (addr - BASE) + (size_t)got * 64;
        struct edge e = bench_cycle(b);
        sent += e.ar;
        if (e.r) {
            good += !e.rresp && !memcmp(b->bus, want, 64) && e.last == (got % beats == beats - 1);
            *errors += e.rresp != 0;
            when[got++] = b->world.now - 1;
        }
    }
    b->ar.valid = false;
    return good;
}

/* Writes n bursts of `beats` full beats of `value`. Returns the responses; errors as above. */
static unsigned write_all(struct bench *b, uint64_t addr, unsigned n, unsigned beats, uint8_t value,
                          uint64_t *when, unsigned *errors)
{
    unsigned sent = 0, moved = 0, got = 0;
    memset(b->wdata, value, sizeof b->wdata);
    for (unsigned i = 0; i < CYCLES && got < n && !b->world.violated; i++) {
        b->aw = (struct sl_axi_address){sent < n, (uint8_t)(beats - 1),
                                        addr + (uint64_t)sent * beats * 64};
        b->data.valid = moved < n * beats;
        b->data.last = moved % beats == beats - 1;
        b->data.strb = UINT64_MAX;
        struct edge e = bench_cycle(b);
        sent += e.aw;
        moved += e.w;
        if (e.b) {
            *errors += e.bresp != 0;
            when[got++] = b->world.now - 1;
        }
    }
    b->aw.valid = b->data.valid = false;
    return got;
}

/* ---- transfers ------------------------------------------------------------------------------ */

static void reads_bring_what_memory_holds(void)
{
    for (int memory = SL_SIM_HBM; memory <= SL_SIM_IDEAL; memory++)
        for (unsigned stall = 0; stall <= 60; stall += 30) {
            struct sl_sim_options o = options((enum sl_sim_memory)memory, -1);
            o.stall_pct = stall;
            o.seed = 9;
            struct bench *b = bench_open(&o);
            uint64_t when[128];
            unsigned errors = 0;
            CU_ASSERT_EQUAL(read_all(b, BASE, 8, 16, when, &errors), 128);
            CU_ASSERT_EQUAL(read_all(b, BASE + 64, 16, 1, when, &errors), 16);
            CU_ASSERT_EQUAL(errors, 0);
            CU_ASSERT_EQUAL(b->traffic.read_beats, 144);
            CU_ASSERT_EQUAL(b->traffic.read_bytes, 144 * 64);
            CU_ASSERT_EQUAL(b->traffic.read_bursts, 24);
            CU_ASSERT_STRING_EQUAL(b->world.message, "");
            bench_close(b);
        }
}

static void beats_wait_for_rready_unchanged(void)
{
    struct sl_sim_options o = options(SL_SIM_IDEAL, 3);
    struct bench *b = bench_open(&o);
    b->ar = (struct sl_axi_address){true, 1, BASE};
    b->rready = false;
    CU_ASSERT(bench_cycle(b).ar);
    b->ar.valid = false;
    for (unsigned i = 0; i < 20; i++) {
        CU_ASSERT(!bench_cycle(b).r);
        CU_ASSERT_EQUAL(b->read.rvalid, i >= 2);
        CU_ASSERT(i < 2 || !memcmp(b->bus, b->memory + PAGE, 64));
    }
    b->rready = true;
    CU_ASSERT(bench_cycle(b).r);
    struct edge e = bench_cycle(b);
    CU_ASSERT(e.r && e.last && !memcmp(b->bus, b->memory + PAGE + 64, 64));
    bench_close(b);
}

static void writes_obey_their_strobes(void)
{
    struct sl_sim_options o = options(SL_SIM_HBM, -1);
    struct bench *b = bench_open(&o);
    uint64_t when[8];
    unsigned errors = 0;
    CU_ASSERT_EQUAL(write_all(b, BASE + 128, 4, 2, 0xA5, when, &errors), 4);
    for (unsigned i = 0; i < 512; i++)
        CU_ASSERT_EQUAL(b->memory[PAGE + 128 + i], 0xA5);
    uint8_t before[64];
    memcpy(before, b->memory + PAGE, 64);
    memset(b->wdata, 0x3C, 64);
    b->aw = (struct sl_axi_address){true, 0, BASE};
    while (!bench_cycle(b).aw)
        ;
    b->aw.valid = false;
    b->data.valid = b->data.last = true;
    b->data.strb = 0x8000000000000011u;
    while (!bench_cycle(b).w)
        ;
    b->data.valid = false;
    for (unsigned i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(b->memory[PAGE + i], b->data.strb >> i & 1 ? 0x3C : before[i]);
    CU_ASSERT_EQUAL(errors, 0);
    CU_ASSERT_EQUAL(b->traffic.write_bytes, 8 * 64 + 3);
    CU_ASSERT_STRING_EQUAL(b->world.message, "");
    bench_close(b);
}

static void stalls_follow_their_seed(void)
{
    uint64_t when[3][64];
    static const uint64_t seed[] = {5, 5, 6};
    for (unsigned n = 0; n < 3; n++) {
        struct sl_sim_options o = options(SL_SIM_IDEAL, 10);
        unsigned errors = 0;
        o.stall_pct = 40;
        o.seed = seed[n];
        struct bench *b = bench_open(&o);
        CU_ASSERT_EQUAL(read_all(b, BASE, 8, 8, when[n], &errors), 64);
        bench_close(b);
    }
    CU_ASSERT_EQUAL(memcmp(when[0], when[1], sizeof when[0]), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(when[0], when[2], sizeof when[0]), 0);
    /* 64 beats, each waits 40 % of the cycles: 107 in the mean, 8 in the standard deviation. */
    double cycles = (double)(when[0][63] - when[0][0]);
    CU_ASSERT(cycles > 107 - 40 && cycles < 107 + 40);
}

/* ---- arenas --------------------------------------------------------------------------------- */

static void bursts_outside_of_every_arena_are_answered_with_errors(void)
{
    static const struct {
        uint64_t addr;
        unsigned beats;
    } cases[] = {{BASE - 64, 1}, {BASE + ARENA, 1},       {BASE + ARENA - 64, 2},  {BASE - 64, 2},
                 {0, 4},         {UINT64_MAX - 4095, 64}, {BASE + (1ull << 32), 1}};
    struct sl_sim_options o = options(SL_SIM_HBM, -1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench *b = bench_open(&o);
        uint8_t before[4 * PAGE];
        uint64_t when[64];
        unsigned errors = 0;
        memcpy(before, b->memory, sizeof before);
        b->arena[0].base = i == 2 || i == 3 ? BASE + 128 : BASE; /* no page border in the way */
        uint64_t addr = cases[i].addr + (i == 2 || i == 3 ? 128 : 0);
        read_all(b, addr, 1, cases[i].beats, when, &errors);
        CU_ASSERT_EQUAL(errors, cases[i].beats);
        CU_ASSERT_EQUAL(b->read.rresp, SL_AXI_DECERR);
        errors = 0;
        CU_ASSERT_EQUAL(write_all(b, addr, 1, cases[i].beats, 0xFF, when, &errors), 1);
        CU_ASSERT_EQUAL(errors, 1);
        CU_ASSERT_EQUAL(b->write.bresp, SL_AXI_DECERR);
        CU_ASSERT_EQUAL(memcmp(before, b->memory, sizeof before), 0);
        CU_ASSERT_STRING_EQUAL(b->world.message, "");
        bench_close(b);
    }
}

static void a_port_reaches_its_own_arenas_only(void)
{
    struct sl_sim_options o = options(SL_SIM_IDEAL, 5);
    for (int port = SL_SIM_CTL; port <= 2; port++) {
        struct bench *b = bench_open(&o);
        uint64_t when[4];
        unsigned errors = 0;
        b->arena[0].ports = 1u << 2; /* weight port 1 */
        b->read.port = port;
        read_all(b, BASE, 1, 4, when, &errors);
        CU_ASSERT_EQUAL(errors, port == 1 ? 0 : 4);
        bench_close(b);
    }
}

/* ---- faults --------------------------------------------------------------------------------- */

static struct bench *fault_bench(enum sl_sim_fault_kind kind, uint64_t at, uint64_t cycles)
{
    struct sl_sim_options o = options(SL_SIM_IDEAL, 20);
    o.n_fault = 2;
    o.fault[0] = (struct sl_sim_fault){kind, SL_SIM_CTL, at, cycles};
    o.fault[1] = (struct sl_sim_fault){SL_SIM_READ_ERROR, 3, 1, 0}; /* another port's */
    return bench_open(&o);
}

static void read_faults_happen_at_their_beat(void)
{
    uint64_t when[64] = {0};
    unsigned errors = 0;
    struct bench *b = fault_bench(SL_SIM_READ_ERROR, 13, 0);
    CU_ASSERT_EQUAL(read_all(b, BASE, 8, 8, when, &errors), 63);
    CU_ASSERT_EQUAL(errors, 1);
    CU_ASSERT_EQUAL(b->read.rresp, SL_AXI_OKAY); /* it was not the last one */
    bench_close(b);

    b = fault_bench(SL_SIM_LATE, 13, 500);
    errors = 0;
    CU_ASSERT_EQUAL(read_all(b, BASE, 8, 8, when, &errors), 64);
    for (unsigned i = 1; i < 64; i++)
        CU_ASSERT_EQUAL(when[i] - when[i - 1], i == 12 ? 501 : 1);
    bench_close(b);

    b = fault_bench(SL_SIM_DEAD, 13, 0);
    CU_ASSERT_EQUAL(read_all(b, BASE, 8, 8, when, &errors), 12);
    CU_ASSERT_EQUAL(b->world.now, CYCLES);
    CU_ASSERT(!sl_axi_read_idle(&b->read));
    CU_ASSERT_STRING_EQUAL(b->world.message, "");
    bench_close(b);
    CU_ASSERT_EQUAL(errors, 0);
}

static void write_faults_happen_at_their_burst(void)
{
    uint64_t when[8] = {0};
    unsigned errors = 0;
    struct bench *b = fault_bench(SL_SIM_WRITE_ERROR, 3, 0);
    const uint8_t *burst = b->memory + PAGE; /* of 4 beats each */
    uint8_t before[256];
    memcpy(before, burst + 2 * 256, sizeof before);
    CU_ASSERT_EQUAL(write_all(b, BASE, 8, 4, 1, when, &errors), 8);
    CU_ASSERT_EQUAL(errors, 1);
    CU_ASSERT(burst[0] == 1 && burst[2 * 256 - 1] == 1 && burst[3 * 256] == 1);
    CU_ASSERT_EQUAL(memcmp(before, burst + 2 * 256, sizeof before), 0); /* refused */
    CU_ASSERT_FALSE(b->write.overdue);
    bench_close(b);

    errors = 0;
    b = fault_bench(SL_SIM_WRITE_LATE, 3, 500);
    CU_ASSERT_EQUAL(write_all(b, BASE, 8, 4, 1, when, &errors), 8);
    CU_ASSERT(when[1] - when[0] == 4 && when[2] - when[1] > 400);
    CU_ASSERT(b->write.overdue);
    bench_close(b);

    b = fault_bench(SL_SIM_WRITE_DEAD, 3, 0);
    burst = b->memory + PAGE;
    CU_ASSERT_EQUAL(write_all(b, BASE, 8, 4, 1, when, &errors), 2);
    CU_ASSERT(!sl_axi_write_idle(&b->write) && b->write.overdue);
    CU_ASSERT_EQUAL(b->traffic.write_beats, 3 * 4); /* and none behind */
    CU_ASSERT_EQUAL(burst[2 * 256 - 1], 1);
    CU_ASSERT_EQUAL(memcmp(before, burst + 2 * 256, sizeof before), 0);
    bench_close(b);
    CU_ASSERT_EQUAL(errors, 0);
}

/* ---- protocol ------------------------------------------------------------------------------- */

/* Drives signals by hand until something is violated, and returns what. */
static void expect_violation(void (*drive)(struct bench *b, unsigned cycle), unsigned stall,
                             const char *text)
{
    struct sl_sim_options o = options(SL_SIM_IDEAL, 30);
    o.stall_pct = stall;
    struct bench *b = bench_open(&o);
    for (unsigned i = 0; i < 400 && !b->world.violated; i++) {
        b->ar.valid = b->aw.valid = b->data.valid = false;
        b->data.strb = UINT64_MAX;
        drive(b, i);
        bench_cycle(b);
    }
    if (!strstr(b->world.message, text)) {
        printf("\n  expected '%s', got '%s'\n", text, b->world.message);
        CU_FAIL("wrong message");
    }
    CU_ASSERT(b->world.violated);
    bench_close(b);
}

static void ar_falls(struct bench *b, unsigned cycle)
{
    b->ar = (struct sl_axi_address){cycle % 2 == 0, 0, BASE};
}
static void ar_changes(struct bench *b, unsigned cycle)
{
    b->ar = (struct sl_axi_address){true, 0, BASE + 64 * (cycle % 16)};
}
static void ar_unaligned(struct bench *b, unsigned cycle)
{
    b->ar = (struct sl_axi_address){cycle == 3, 0, BASE + 32};
}
static void ar_crosses(struct bench *b, unsigned cycle)
{
    b->ar = (struct sl_axi_address){cycle == 3, 1, BASE + PAGE - 64};
}
static void ar_too_long(struct bench *b, unsigned cycle)
{
    b->ar = (struct sl_axi_address){cycle == 3, 64, BASE};
}
static void too_many_reads(struct bench *b, unsigned cycle)
{
    (void)cycle;
    b->rready = false;
    b->ar = (struct sl_axi_address){true, 0, BASE};
}
static void aw_falls(struct bench *b, unsigned cycle)
{
    b->aw = (struct sl_axi_address){cycle % 2 == 0, 0, BASE};
}
static void write_burst(struct bench *b, unsigned cycle)
{
    b->aw = (struct sl_axi_address){cycle == 0, 1, BASE};
    b->data.valid = cycle > 0;
}
static void wlast_early(struct bench *b, unsigned cycle)
{
    write_burst(b, cycle);
    b->data.last = true;
}
static void wlast_missing(struct bench *b, unsigned cycle)
{
    write_burst(b, cycle);
    b->data.last = false;
}
static void w_falls(struct bench *b, unsigned cycle)
{
    b->data.valid = cycle % 2 == 0; /* no address: nobody takes it */
}
static void w_changes(struct bench *b, unsigned cycle)
{
    b->data.valid = true;
    b->wdata[63] = (uint8_t)cycle;
}
static void read_overtakes_write(struct bench *b, unsigned cycle)
{
    b->aw = (struct sl_axi_address){cycle == 0, 1, BASE};
    b->ar = (struct sl_axi_address){cycle == 2, 3, BASE + PAGE / 2};
    if (cycle == 4)
        b->ar = (struct sl_axi_address){true, 0, BASE + 64};
}

static void broken_rules_are_found(void)
{
    expect_violation(ar_falls, 90, "ARVALID fell");
    expect_violation(ar_changes, 90, "AR changed");
    expect_violation(ar_unaligned, 0, "multiple of 64");
    expect_violation(ar_crosses, 0, "crosses 4 KiB");
    expect_violation(ar_too_long, 0, "crosses 4 KiB");
    expect_violation(too_many_reads, 0, "outstanding");
    expect_violation(aw_falls, 90, "AWVALID fell");
    expect_violation(wlast_early, 0, "WLAST");
    expect_violation(wlast_missing, 0, "WLAST");
    expect_violation(w_falls, 0, "WVALID fell");
    expect_violation(w_changes, 0, "W changed");
    expect_violation(read_overtakes_write, 0, "no response yet");
}

/* ---- GTKWave -------------------------------------------------------------------------------- */

static void save_files_name_the_signals_of_every_port(void)
{
    char path[512], line[512];
    bool data = false, file = false;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(path, sizeof path), 0);
    strcat(path, "/x.fst");
    CU_ASSERT(sl_gtkw_write(path, 4, 4444, 8888));
    strcat(path, ".gtkw");
    FILE *f = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while (fgets(line, sizeof line, f)) {
        data = data || !strcmp(line, "TOP.sl_core.m_axi_w_rdata[2047:0]\n");
        file = file || (!strncmp(line, "[dumpfile]", 10) && strstr(line, "/x.fst\""));
    }
    fclose(f);
    CU_ASSERT(data && file);
    CU_ASSERT(!sl_gtkw_write("/no/such/folder/x", 1, 0, 1));
}

static const struct sl_case cases[] = {
    {"hbm_reaches_425_of_460_gigabytes", hbm_reaches_425_of_460_gigabytes},
    {"idle_reads_take_the_published_times", idle_reads_take_the_published_times},
    {"ddr_is_bound_by_the_port", ddr_is_bound_by_the_port},
    {"ideal_memory_has_its_latency", ideal_memory_has_its_latency},
    {"random_single_beats_are_clearly_slower", random_single_beats_are_clearly_slower},
    {"refresh_comes_every_3900_ns", refresh_comes_every_3900_ns},
    {"time_restarts_with_a_launch", time_restarts_with_a_launch},
    {"turning_the_bus_costs_time", turning_the_bus_costs_time},
    {"reads_bring_what_memory_holds", reads_bring_what_memory_holds},
    {"beats_wait_for_rready_unchanged", beats_wait_for_rready_unchanged},
    {"writes_obey_their_strobes", writes_obey_their_strobes},
    {"stalls_follow_their_seed", stalls_follow_their_seed},
    {"bursts_outside_of_every_arena_are_answered_with_errors",
     bursts_outside_of_every_arena_are_answered_with_errors},
    {"a_port_reaches_its_own_arenas_only", a_port_reaches_its_own_arenas_only},
    {"read_faults_happen_at_their_beat", read_faults_happen_at_their_beat},
    {"write_faults_happen_at_their_burst", write_faults_happen_at_their_burst},
    {"broken_rules_are_found", broken_rules_are_found},
    {"save_files_name_the_signals_of_every_port", save_files_name_the_signals_of_every_port},
    {0},
};
const struct sl_suite suite_sim_memory = {"sim_memory", cases};
