/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cycles, bytes and utilisation of launches by the device's own counters, as a markdown table.
 * Every launch is compared with the reference too. Cycles are simulated cycles from the start to
 * the interrupt; they say nothing about a card's seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fab.h"

enum { MAX_TOKEN_COUNTS = 12, BENCH_DEADLINE_MS = 7200000 };

/* One operation in one shape; tokens end with 0. For EXPERT rows is d_ff. */
struct bench {
    const char *op, *what;
    uint32_t k, rows;
    unsigned formats; /* bit i: format i */
    unsigned n_job;   /* the same job so many times in one launch */
    unsigned tokens[MAX_TOKEN_COUNTS];
};

enum {
    F_FP8 = 1 << SL_FORMAT_FP8,
    F_Q8 = 1 << SL_FORMAT_Q8,
    F_NF4 = 1 << SL_FORMAT_NF4,
    F_THREE = F_FP8 | F_Q8 | F_NF4,
    F_ALL = 31
};

static const struct bench small[] = {
    {"query", "", 0, 0, 1, 1, {1}},
    {"expert", "demo", 256, 512, F_ALL, 1, {1, 4, 16}},
    {"expert", "", 1024, 1024, F_FP8 | F_NF4, 1, {1, 2, 3, 8, 16}},
    {"expert", "demo", 256, 512, F_FP8 | F_NF4, 8, {1}},
    {"expert", "", 1024, 1024, F_FP8 | F_NF4, 4, {1}},
    {"expert", "smallest", 32, 32, F_FP8 | F_NF4, 16, {1}},
    {"plain", "", 256, 256, F_THREE, 1, {1, 4}},
    {"plain", "", 2048, 512, F_THREE, 1, {1, 16}},
    {"plain", "odd", 2080, 111, F_FP8 | F_NF4, 1, {1, 3, 17}},
    {"plain", "long", 32768, 16, F_FP8 | F_NF4, 1, {1, 2}},
    {"router", "Yuan", 2048, 32, 7, 1, {1, 4, 16}},
    {"router", "Hunyuan-Large", 6400, 16, 3, 1, {1, 4, 16}},
    {"reduce", "", 0, 6400, 1, 1, {1, 4}},
    {"kv_pack", "", 128, 16, 3, 1, {1, 8}},
    {"kv_pack", "", 80, 16, 3, 1, {1, 8}},
    {"kv_unpack", "", 128, 16, 3, 1, {1, 8}},
    {NULL, NULL, 0, 0, 0, 0, {0}},
};

/* Whole experts of Yuan 2.0-M32 and Hunyuan-Large for one token; four of them show what a change of
 * expert costs. */
static const struct bench decode[] = {
    {"expert", "Yuan", 2048, 8192, F_ALL, 1, {1}},
    {"expert", "Yuan", 2048, 8192, F_ALL, 4, {1}},
    {"expert", "Hunyuan-Large", 6400, 18304, F_ALL, 1, {1}},
    {"expert", "Hunyuan-Large", 6400, 18304, F_FP8 | F_NF4, 4, {1}},
    {NULL, NULL, 0, 0, 0, 0, {0}},
};

static const struct bench prefill[] = {
    {"expert", "Yuan", 2048, 8192, F_THREE, 1, {2, 3, 4, 8, 16, 17, 32, 48, 64}},
    {"plain", "Yuan gate", 2048, 8192, F_THREE, 1, {1, 16, 64}},
    {"plain", "Yuan down", 8192, 2048, F_THREE, 1, {1, 16, 64}},
    {"expert", "Hunyuan-Large", 6400, 18304, F_FP8 | F_NF4, 1, {2, 4, 16, 64}},
    {"plain", "Hunyuan-Large gate", 6400, 18304, F_FP8 | F_NF4, 1, {1, 64}},
    {"plain", "Hunyuan-Large down", 18304, 6400, F_FP8 | F_NF4, 1, {1, 64}},
    {NULL, NULL, 0, 0, 0, 0, {0}},
};

static const struct {
    const char *shape;
    const struct bench *table[2];
} tables[] = {{"small", {small, NULL}},
              {"decode", {decode, NULL}},
              {"prefill", {prefill, NULL}},
              {"real", {decode, prefill}}};
enum { N_TABLE = sizeof tables / sizeof tables[0] };

/* ---- one row --------------------------------------------------------------------------------- */

struct row {
    uint64_t cycles, job_cycles, beats, macs, stall_read, stall_core, stall_ctl;
    double ceiling, cpu_s;
    bool equal;
};

static bool read_counters(const struct fab *f, struct sl_device_counters *c)
{
    return sl_device_counters(f->rig->dev, c) == 0;
}

static struct row measure(struct fab *f)
{
    struct row row = {0};
    struct sl_device_counters before, after;
    if (!read_counters(f, &before))
        return row;
    row.equal = rig_run(f->rig) && read_counters(f, &after);
    if (!row.equal)
        return row;
    row.cycles = after.cycles - before.cycles;
    row.ceiling = after.ceiling;
    row.cpu_s = after.cpu_s - before.cpu_s;
    for (uint32_t i = 0; i < f->rig->n_job; i++) {
        const struct sl_record *rec = &f->rig->timed[i];
        row.equal = row.equal && rec->status == SL_STATUS_OK;
        row.job_cycles += rec->cycles;
        row.beats += rec->beats;
        row.macs += rec->macs;
        row.stall_read += rec->stall_read;
        row.stall_core += rec->stall_core;
        row.stall_ctl += rec->stall_ctl;
    }
    return row;
}

static void print_head(const struct fab *f)
{
    printf("\nDevice `%s`: P = %u, T = %u. Cycles: simulated, from start to interrupt. Weight "
           "bytes: used by the operation.\nShares: of 64 bytes per cycle and port; of the memory "
           "model's own ceiling; of the multiply-accumulate slots\n(64 P T a cycle, 128 P T for "
           "4-bit formats). Waits in cycles, summed over the jobs. Speed: million cycles in a\n"
           "second of processor time.\n\n",
           f->rig->dev->name, f->rig->dev->n_port, f->n_column);
    printf("| op | format | shape | jobs | tokens | cycles | weight MB | of 64 B | of ceiling | "
           "MAC slots | wait read | wait array | wait ctl | outside jobs | speed | equal |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
}

static void print_share(double part, double whole)
{
    if (part > 0 && whole > 0)
        printf(" %.2f %% |", 100 * part / whole);
    else
        printf(" |");
}

static void print_row(const struct fab *f, const struct bench *b, int format, unsigned n,
                      const struct row *r)
{
    const double cycles = (double)r->cycles, bytes = (double)r->beats * SL_BEAT_BYTES;
    const double port_cycles = cycles * f->rig->dev->n_port;
    const double slots = port_cycles * f->n_column * (ref_is_4bit(format) ? 128 : 64);
    const bool array = !strcmp(b->op, "expert") || !strcmp(b->op, "plain");
    printf("| %s | %s | %s%s%u x %u | %u | %u | %llu | %.3f |", b->op, fab_formats(b->op)[format],
           b->what, *b->what ? " " : "", b->k, b->rows, b->n_job, n, (unsigned long long)r->cycles,
           bytes / 1e6);
    print_share(bytes, port_cycles * SL_BEAT_BYTES);
    print_share(bytes, port_cycles * r->ceiling);
    print_share(array ? (double)r->macs : 0, slots);
    printf(" %llu | %llu | %llu | %lld | %.2f | %s |\n", (unsigned long long)r->stall_read,
           (unsigned long long)r->stall_core, (unsigned long long)r->stall_ctl,
           (long long)(r->cycles - r->job_cycles), r->cpu_s > 0 ? cycles / r->cpu_s / 1e6 : 0,
           r->equal ? "yes" : "NO");
    fflush(stdout);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static uint64_t slab_beats(const struct bench *b, int format, unsigned n_port)
{
    struct ref_region region[2];
    if (!strcmp(b->op, "expert"))
        return ref_expert_regions(format, b->k, b->rows, n_port, region);
    if (!strcmp(b->op, "plain"))
        return ref_plain_region(format, b->k, b->rows, n_port, region);
    return ref_router_region(b->k ? b->k : 32, 3 * (uint64_t)b->rows, 0, n_port, region);
}

static struct sl_job *add_job(struct fab *f, const struct bench *b, int format, unsigned n)
{
    const struct fab_input in = {GEN_TYPICAL, GEN_TYPICAL, 0};
    const struct fab_expert e = {.k = b->k, .d_ff = b->rows, .n_tokens = n};
    const struct fab_plain p = {.k = b->k, .rows = b->rows, .n_tokens = n};
    const struct fab_reduce r = {.rows = b->rows, .n_tokens = n, .n_part = 4};
    const struct fab_router t = {.n_expert = b->rows, .k = b->k, .top_k = 2, .n_tokens = n};
    const struct fab_kv kv = {.d = b->k, .n_tokens = n, .rows = b->rows};
    struct sl_job *job;
    if (!strcmp(b->op, "expert"))
        job = fab_add_expert(f, &e, format, in);
    else if (!strcmp(b->op, "plain"))
        job = fab_add_plain(f, &p, format, in);
    else if (!strcmp(b->op, "reduce"))
        job = fab_add_reduce(f, &r, FAB_RANDOM);
    else if (!strcmp(b->op, "router"))
        job = fab_add_router(f, &t, format, FAB_RANDOM, 0);
    else if (!strcmp(b->op, "kv_pack"))
        job = fab_add_pack(f, &kv, format, FAB_RANDOM);
    else if (!strcmp(b->op, "kv_unpack"))
        job = fab_add_unpack(f, &kv, format, FAB_RANDOM);
    else {
        job = rig_job(f->rig, SL_OP_QUERY);
        job->y_off = rig_ctl(f->rig, 1);
    }
    job->flags &= (uint16_t)~SL_FLAG_PORT_COUNTERS;
    job->u_h_drop = 0;
    return job;
}

static unsigned most_tokens(const struct bench *b)
{
    unsigned most = 1;
    for (int i = 0; i < MAX_TOKEN_COUNTS; i++)
        most = b->tokens[i] > most ? b->tokens[i] : most;
    return most;
}

/* Makes the weights once and runs every number of tokens on them. */
static void run_tokens(struct fab *f, const struct bench *b, int format, struct fab_totals *totals)
{
    const struct fab_case c = {.format = format, .seed = 1};
    fab_reset(f, &c, b->op, "bench");
    const struct sl_job *job = add_job(f, b, format, most_tokens(b));
    for (unsigned i = 1; i < b->n_job; i++) {
        struct sl_job *next = rig_job(f->rig, job->op);
        *next = *job;
        next->cookie += i;
        next->y_off = rig_ctl(f->rig, (uint64_t)job->n_tokens * job->y_stride);
    }
    const uint32_t ctl_top = f->rig->ctl_top;
    for (int i = 0; i < MAX_TOKEN_COUNTS && b->tokens[i]; i++) {
        for (uint32_t j = 0; j < f->rig->n_job; j++)
            f->rig->job[j].n_tokens = (uint16_t)b->tokens[i];
        f->rig->ctl_top = ctl_top;
        const struct row row = measure(f);
        print_row(f, b, format, b->tokens[i], &row);
        totals->passed += row.equal;
        totals->failed += !row.equal;
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int open_for(struct fab *f, const char *name, const struct bench *b, int format)
{
    const uint64_t item =
        256 + b->k / 4 + b->rows + (strcmp(b->op, "expert") ? 24 * (b->rows % 64) : 0);
    const uint64_t n = most_tokens(b) * (uint64_t)b->n_job;
    struct fab_set set = {.op = b->op, .shape = "bench", .n_shape = 1};
    set.ctl_beats = (uint32_t)(8192 + n * (item < 20000 ? item : 20000));
    set.w_beats_1 = (uint32_t)slab_beats(b, format, 1) + 4096;
    const int err = fab_open(f, name, &set);
    if (!err)
        f->rig->deadline_ms = BENCH_DEADLINE_MS;
    return err;
}

static bool counts(const char *name, int *err)
{
    struct fab f;
    struct sl_device_counters c;
    *err = fab_open(&f, name, fab_set_at(0));
    const bool yes = !*err && read_counters(&f, &c);
    if (yes)
        print_head(&f);
    fab_close(&f);
    return yes;
}

static void run_table(const struct fab_options *o, const char *name, const struct bench *table,
                      struct fab_totals *totals)
{
    for (const struct bench *b = table; b && b->op; b++)
        for (int format = 0; fab_formats(b->op)[format]; format++) {
            struct fab f;
            const struct fab_set set = {.op = b->op};
            if ((fab_set_ops(&set) & ~fab_family_of(name)->ops) != 0)
                continue;
            if (!fab_chosen(o->op, b->op) || !(b->formats >> format & 1) ||
                !fab_chosen(o->format, fab_formats(b->op)[format]))
                continue;
            const int err = open_for(&f, name, b, format);
            if (!err)
                run_tokens(&f, b, format, totals);
            else
                printf("FAIL %s: %s\n", name, sl_error_message());
            fab_close(&f);
            totals->failed += err != 0;
        }
}

bool fab_bench_has(const char *shape)
{
    for (int i = 0; i < N_TABLE; i++)
        if (fab_chosen(shape, tables[i].shape))
            return true;
    return false;
}

void fab_bench(const struct fab_options *o, const char *name, struct fab_totals *totals)
{
    int err;
    if (!counts(name, &err)) {
        if (err)
            fab_say_skipped(name, err, totals);
        else
            printf("%s counts no cycles\n", name);
        return;
    }
    for (int i = 0; i < N_TABLE; i++)
        if (!strcmp(tables[i].shape, o->shape ? o->shape : "small")) {
            run_table(o, name, tables[i].table[0], totals);
            run_table(o, name, tables[i].table[1], totals);
        }
}
