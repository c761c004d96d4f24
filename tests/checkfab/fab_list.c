/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches of several jobs that depend on each other. A core that fetches, checks or loads a job
 * while the one before still runs must not show it: what an earlier job writes is what a later one
 * reads, and what a later one writes an earlier one has not seen.
 */
#include <string.h>

#include "fab.h"

enum { BEAT_WORDS = SL_BEAT_BYTES / 4, MAX_POKE = 4 * BEAT_WORDS };

/* Beats from the first to behind the last item of y. */
static uint64_t y_extent(const struct sl_job *job)
{
    const uint64_t item = ref_y_beats(job);
    const bool kv = job->op == SL_OP_KV_PACK || job->op == SL_OP_KV_UNPACK;
    if (job->op == SL_OP_ROUTER || job->op == SL_OP_QUERY)
        return item;
    return (kv ? job->rows : 1) * (uint64_t)job->n_tokens *
           (job->y_stride > item ? job->y_stride : item);
}

/* A job like another with y of its own. */
static struct sl_job *again(struct fab *f, const struct sl_job *of)
{
    const struct sl_job copy = *of;
    struct sl_job *job = rig_job(f->rig, copy.op);
    const uint32_t cookie = job->cookie;
    *job = copy;
    job->cookie = cookie;
    job->y_off = rig_ctl(f->rig, y_extent(job));
    return job;
}

static void add_query(struct fab *f)
{
    rig_job(f->rig, SL_OP_QUERY)->y_off = rig_ctl(f->rig, 1);
}

/* Sometimes a short job in between, so that the distance varies. */
static void maybe_query(struct fab *f)
{
    if (sl_rng_range(&f->rig->rng, 0, 3) == 0)
        add_query(f);
}

/* Words that a poke can write, made of what lies there. */
static unsigned take_words(struct fab *f, uint32_t beat, unsigned n_beat, uint32_t *word)
{
    const unsigned n = n_beat * BEAT_WORDS;
    for (unsigned i = 0; i < n; i++)
        word[i] = ref_get32(rig_at(f->rig, beat) + 4 * (size_t)i) & 0xFFFFFF;
    return n;
}

/*
 * The last job reads these beats: replaces it by six: beats made good, the job, beats spoilt, the
 * job, beats made good, the job. Before the launch they hold bytes that every check refuses.
 */
static void make_hazard(struct fab *f, uint32_t beat, unsigned n_beat)
{
    uint32_t good[MAX_POKE], bad[MAX_POKE];
    struct core_rig *rig = f->rig;
    const struct sl_job job = rig->job[--rig->n_job];
    const unsigned n = take_words(f, beat, n_beat, good);
    for (unsigned i = 0; i < n; i++)
        bad[i] = 0xFFFFFF;
    memset(rig_at(rig, beat), 0x80, (size_t)n_beat * SL_BEAT_BYTES);
    fab_add_poke(f, beat, good, n);
    maybe_query(f);
    again(f, &job);
    maybe_query(f);
    fab_add_poke(f, beat, bad, n);
    maybe_query(f);
    again(f, &job);
    fab_add_poke(f, beat, good, n);
    again(f, &job);
}

static const struct fab_plain small_plain = {.k = 96, .rows = 21, .n_tokens = 2};
static const struct fab_expert small_expert = {.k = 96, .d_ff = 64, .n_tokens = 2};
static const struct fab_input ordinary = {GEN_RANDOM, GEN_RANDOM, 0};

/* ---- what earlier jobs write into the inputs of later ones ----------------------------------- */

static bool x_of_plain(struct fab *f, int format)
{
    const struct sl_job *job = fab_add_plain(f, &small_plain, format, ordinary);
    make_hazard(f, job->x_off, 4); /* base, exponents, codes */
    return false;
}

static bool x_of_expert(struct fab *f, int format)
{
    const struct sl_job *job = fab_add_expert(f, &small_expert, format, ordinary);
    const uint32_t second = job->x_off + job->x_stride;
    make_hazard(f, second, 1);
    return false;
}

static bool list_of_plain(struct fab *f, int format)
{
    struct sl_job *job = fab_add_plain(f, &small_plain, format, ordinary);
    job->n_tokens = 20;
    fab_add_list(f, job, 2);
    make_hazard(f, job->list_off, 2);
    return false;
}

static bool list_of_expert(struct fab *f, int format)
{
    struct sl_job *job = fab_add_expert(f, &small_expert, format, ordinary);
    fab_add_list(f, job, 2);
    make_hazard(f, job->list_off, 1);
    return false;
}

/* One expert, chosen by entry 3 of a record and found by entry 9 of the slot table. */
static struct sl_job *add_indirect(struct fab *f, int format)
{
    const struct fab_expert s = {.k = 96, .d_ff = 64, .n_tokens = 1};
    struct core_rig *rig = f->rig;
    struct sl_job *job = fab_add_expert(f, &s, format, ordinary);
    job->flags = SL_FLAG_INDIRECT;
    job->route_off = rig_ctl(rig, 1);
    job->route_choice = 3;
    job->slot_off = rig_ctl(rig, 1);
    job->n_expert = 16;
    memset(rig_at(rig, job->route_off), 0, SL_BEAT_BYTES);
    ref_put16(rig_at(rig, job->route_off) + SL_AT_route_expert0 + 6, 9);
    ref_put32(rig_at(rig, job->route_off) + SL_AT_route_weight0 + 12, 1234567);
    ref_put32(rig_at(rig, job->slot_off) + 4 * 9, job->w_off);
    job->w_off = 0xFFFFFFFF;
    return job;
}

static bool route_of_expert(struct fab *f, int format)
{
    make_hazard(f, add_indirect(f, format)->route_off, 1);
    return false;
}

static bool slots_of_expert(struct fab *f, int format)
{
    make_hazard(f, add_indirect(f, format)->slot_off, 1);
    return false;
}

static bool x_of_router(struct fab *f, int format)
{
    const struct fab_router s = {.n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 2, .bias = true};
    const struct sl_job *job = fab_add_router(f, &s, format % 3, FAB_RANDOM, 0);
    ref_put32(rig_at(f->rig, job->x_off), 2);
    make_hazard(f, job->x_off, 4);
    return false;
}

static bool x_of_pack(struct fab *f, int format)
{
    const struct fab_kv s = {.d = 64, .n_tokens = 1, .rows = 3};
    const struct sl_job *job = fab_add_pack(f, &s, format % 2, FAB_RANDOM);
    ref_put32(rig_at(f->rig, job->x_off), 5);
    make_hazard(f, job->x_off, 3);
    return false;
}

static bool x_of_unpack(struct fab *f, int format)
{
    const struct fab_kv s = {.d = 96, .n_tokens = 1, .rows = 2};
    const struct sl_job *job = fab_add_unpack(f, &s, format % 2, FAB_RANDOM);
    make_hazard(f, job->x_off, 2);
    return false;
}

static bool x_of_reduce(struct fab *f, int format)
{
    const struct fab_reduce s = {.rows = 16 + (unsigned)format, .n_tokens = 1, .n_part = 3};
    const struct sl_job *job = fab_add_reduce(f, &s, FAB_RANDOM);
    make_hazard(f, job->x_off, 2);
    return false;
}

/* ---- results as inputs ----------------------------------------------------------------------- */

/* The layer of a decode step: router, shared expert, the chosen ones, of which one is absent. */
static bool router_then_experts(struct fab *f, int format)
{
    enum { N_EXPERT = 8, TOP = 4 };
    const struct fab_router r = {
        .n_expert = N_EXPERT, .k = 64, .top_k = TOP, .n_tokens = 2, .flags = SL_FLAG_RENORM};
    const struct fab_expert s = {.k = 64, .d_ff = 64, .n_tokens = 1};
    struct core_rig *rig = f->rig;
    const struct sl_job *router = fab_add_router(f, &r, format % 3, FAB_RANDOM, 0);
    const uint32_t slots = rig_ctl(rig, 1), absent = (uint32_t)sl_rng_range(&rig->rng, 0, 7);
    for (uint32_t e = 0; e < N_EXPERT; e++) {
        const struct sl_job *slab = fab_add_expert(f, &s, format, ordinary);
        ref_put32(rig_at(rig, slots) + 4 * e, e == absent ? SL_SLOT_ABSENT : slab->w_off);
        if (e)
            rig->n_job--; /* the first one is the shared expert */
    }
    for (unsigned i = 0; i < 2 * TOP; i++) {
        struct sl_job *job = again(f, &rig->job[1]);
        job->flags = SL_FLAG_INDIRECT | (i == 2 ? SL_FLAG_PARTIAL : 0);
        job->y_off = rig_ctl(rig, ref_y_beats(job));
        job->route_off = router->y_off;
        job->route_token = (uint16_t)(i / TOP);
        job->route_choice = (uint8_t)(i % TOP);
        job->slot_off = slots;
        job->n_expert = N_EXPERT;
        if (i == 1)
            job->slice_first = job->slice_count = 32;
    }
    return false;
}

/* The router's own token lists, all experts behind each other, as a job's list. */
static bool router_then_list(struct fab *f, int format)
{
    const struct fab_router r = {.n_expert = 5, .k = 96, .top_k = 2, .n_tokens = 9};
    const struct fab_expert s = {.k = 96, .d_ff = 32, .n_tokens = 9};
    struct core_rig *rig = f->rig;
    const struct sl_job *router = fab_add_router(f, &r, format % 3, FAB_RANDOM, 0);
    struct sl_job *job = fab_add_expert(f, &s, format, ordinary);
    job->flags = SL_FLAG_LIST;
    job->n_tokens = 18;
    job->list_off = router->y_off + 9 + 1;
    job->y_off = rig_ctl(rig, 18u * job->y_stride);
    return true;
}

static bool parts_then_sum(struct fab *f, int format)
{
    const struct fab_plain s = {.k = 64, .rows = 19, .n_tokens = 3, .flags = SL_FLAG_PARTIAL};
    struct core_rig *rig = f->rig;
    const struct sl_job *first = fab_add_plain(f, &s, format, ordinary);
    const struct sl_job *second = again(f, first);
    for (int i = 0; i < 2; i++) {
        struct sl_job *sum = rig_job(rig, SL_OP_REDUCE);
        sum->n_tokens = 3;
        sum->rows = 19;
        sum->n_part = 2;
        sum->x_off = first->y_off;
        sum->x_stride = first->y_stride;
        sum->part_stride = second->y_off - first->y_off;
        sum->y_stride = 2;
        sum->y_off = rig_ctl(rig, 6);
        sum->scale_mant = 40000;
        sum->scale_exp = -70;
    }
    return true;
}

/* The codes of a packed head vector are those of x. */
static bool packed_codes_as_x(struct fab *f, int format)
{
    const struct fab_kv kv = {.d = 64, .n_tokens = 1, .rows = 1};
    const struct fab_plain s = {.k = 64, .rows = 33, .n_tokens = 1};
    struct sl_job *pack = fab_add_pack(f, &kv, SL_KVREC_INT8, FAB_RANDOM);
    struct sl_job *job = fab_add_plain(f, &s, format, ordinary);
    const uint32_t spare = rig_ctl(f->rig, 4);
    memcpy(rig_at(f->rig, spare), rig_at(f->rig, job->x_off), (size_t)2 * SL_BEAT_BYTES);
    job->x_off = spare;
    pack->y_off = spare + 2;
    return true;
}

static bool packed_then_restored(struct fab *f, int format)
{
    const struct fab_kv s = {.d = 80 + 16 * (unsigned)format, .n_tokens = 2, .rows = 3};
    for (int kind = SL_KVREC_INT8; kind <= SL_KVREC_INT4; kind++) {
        const struct sl_job *pack = fab_add_pack(f, &s, kind, FAB_RANDOM);
        struct sl_job *unpack = fab_add_unpack(f, &s, kind, FAB_RANDOM);
        unpack->x_off = pack->y_off;
        unpack->x_stride = pack->y_stride;
    }
    return true;
}

/* fp32 words of one product as codes of the next; a byte of 0x80 among them is refused. */
static bool products_as_x(struct fab *f, int format)
{
    const struct fab_plain s = {.k = 64, .rows = 16, .n_tokens = 1};
    for (int i = 0; i < 4; i++) {
        const struct sl_job *job = fab_add_plain(f, &s, format, ordinary);
        if (i)
            f->rig->job[i - 1].y_off = job->x_off + 2;
    }
    return false;
}

/* ---- writes over writes, and over the launch's own beats ------------------------------------- */

static bool same_y_by_turns(struct fab *f, int format)
{
    const struct fab_plain s = {.k = 64, .rows = 100, .n_tokens = 1};
    const struct fab_reduce r = {.rows = 40, .n_tokens = 1, .n_part = 2};
    const struct sl_job *first = fab_add_plain(f, &s, format, ordinary);
    fab_add_reduce(f, &r, FAB_RANDOM)->y_off = first->y_off + 1;
    struct sl_job *third = again(f, first);
    third->y_off = first->y_off + 3;
    fab_add_expert(f, &small_expert, format, ordinary)->y_off = first->y_off + 2;
    again(f, first)->y_off = first->y_off + 8;
    return true;
}

/* y over records of other jobs: the later write stays. The list will begin behind the last beat. */
static bool y_over_records(struct fab *f, int format)
{
    const struct fab_plain s = {.k = 64, .rows = 16, .n_tokens = 1};
    enum { N = 5 };
    for (int i = 0; i < N; i++) {
        fab_add_plain(f, &s, format, ordinary);
        f->rig->job[i].flags &= (uint16_t)~SL_FLAG_PORT_COUNTERS;
    }
    const uint32_t records = f->rig->ctl_top + 1 + N;
    f->rig->job[0].y_off = records + 3; /* the record wins */
    f->rig->job[3].y_off = records + 1; /* y wins */
    f->rig->job[4].y_off = records + 4; /* its own: the record comes last */
    return false;
}

static bool bad_jobs_between(struct fab *f, int format)
{
    for (int i = 0; i < 6; i++) {
        struct sl_job *job = i % 2 ? fab_add_expert(f, &small_expert, format, ordinary)
                                   : fab_add_plain(f, &small_plain, format, ordinary);
        struct sl_job *bad = again(f, job);
        switch ((i + format) % 6) {
        case 0: bad->op = 99; break;
        case 1: bad->w_off++; break;
        case 2: bad->k += 32; break;
        case 3: bad->x_off = 0xFFFFFFF0; break;
        case 4: bad->n_tokens = 65; break;
        default: rig_at(f->rig, bad->x_off)[64] = 22; /* both of them */
        }
    }
    return false;
}

/* All formats by turns, so that the array changes its mind after every job. */
static bool formats_by_turns(struct fab *f, int format)
{
    for (int i = 0; i < 10; i++) {
        const struct fab_expert e = {.k = 32 + 32u * (i % 3), .d_ff = 32, .n_tokens = 1 + i % 4};
        const struct fab_plain p = {.k = 96, .rows = 3 + (unsigned)i, .n_tokens = 1};
        if (i % 3 == 2)
            fab_add_plain(f, &p, (format + i) % 5, ordinary);
        else
            fab_add_expert(f, &e, (format + i) % 5, ordinary);
    }
    return true;
}

static bool one_slab_many_times(struct fab *f, int format)
{
    const struct fab_expert s = {.k = 64, .d_ff = 32, .n_tokens = 1};
    const struct sl_job *job = fab_add_expert(f, &s, format, ordinary);
    for (int i = 0; i < 20; i++)
        again(f, job);
    return true;
}

/* More jobs than one burst of the list. */
static bool many_jobs(struct fab *f, int format)
{
    const struct fab_plain s = {.k = 32, .rows = 2, .n_tokens = 1};
    const struct sl_job *job = fab_add_plain(f, &s, format, ordinary);
    for (int i = 0; i < 140; i++)
        if (i % 4)
            add_query(f);
        else
            again(f, job);
    return true;
}

static const struct scenario {
    const char *what;
    bool (*make)(struct fab *f, int format); /* true: every job must end OK */
} scenarios[] = {
    {"x of PLAIN", x_of_plain},
    {"x of EXPERT", x_of_expert},
    {"list of PLAIN", list_of_plain},
    {"list of EXPERT", list_of_expert},
    {"route of EXPERT", route_of_expert},
    {"slot table of EXPERT", slots_of_expert},
    {"x of ROUTER", x_of_router},
    {"x of KV_PACK", x_of_pack},
    {"x of KV_UNPACK", x_of_unpack},
    {"x of REDUCE", x_of_reduce},
    {"ROUTER then EXPERTs", router_then_experts},
    {"ROUTER then LIST", router_then_list},
    {"PARTIAL then REDUCE", parts_then_sum},
    {"KV_PACK then PLAIN", packed_codes_as_x},
    {"KV_PACK then KV_UNPACK", packed_then_restored},
    {"PLAIN then PLAIN", products_as_x},
    {"y over y", same_y_by_turns},
    {"y over records", y_over_records},
    {"bad jobs between good ones", bad_jobs_between},
    {"formats by turns", formats_by_turns},
    {"one slab many times", one_slab_many_times},
    {"many jobs", many_jobs},
};
enum { N_SCENARIO = sizeof scenarios / sizeof scenarios[0] };

static void say(struct fab *f, const char *what)
{
    strncat(f->rig->what, ": ", sizeof f->rig->what - strlen(f->rig->what) - 1);
    strncat(f->rig->what, what, sizeof f->rig->what - strlen(f->rig->what) - 1);
}

static enum fab_result run_chain(struct fab *f, const struct fab_case *c)
{
    const struct scenario *s = &scenarios[c->shape];
    fab_reset(f, c, "list", "chain");
    say(f, s->what);
    return fab_launch(f, s->make(f, c->format));
}

/* ---- random lists ---------------------------------------------------------------------------- */

static void add_any(struct fab *f, int format)
{
    struct sl_rng *rng = &f->rig->rng;
    const unsigned n = (unsigned)sl_rng_range(rng, 1, 3), odd = (unsigned)sl_rng_range(rng, 1, 40);
    const struct fab_expert e = {
        .k = 32u * (1 + odd % 4), .d_ff = 32 + 32 * (odd % 3), .n_tokens = n};
    const struct fab_plain p = {.k = 32u * (1 + odd % 6), .rows = odd, .n_tokens = n};
    const struct fab_reduce r = {.rows = odd, .n_tokens = n, .n_part = 1 + odd % 4};
    const struct fab_router t = {
        .n_expert = 3 + odd % 9, .k = 32 + 32 * (odd % 2), .top_k = 1 + odd % 3, .n_tokens = n};
    const struct fab_kv kv = {.d = 2 * odd, .n_tokens = n, .rows = 1 + odd % 3};
    const struct fab_input in = {GEN_RANDOM, GEN_RANDOM, 4};
    switch (sl_rng_range(rng, 0, 9)) {
    case 0: fab_add_reduce(f, &r, FAB_RANDOM); break;
    case 1: fab_add_router(f, &t, (int)(odd % 3), FAB_RANDOM, odd); break;
    case 2: fab_add_pack(f, &kv, (int)(odd % 2), FAB_RANDOM); break;
    case 3: fab_add_unpack(f, &kv, (int)(odd % 2), FAB_RANDOM); break;
    case 4: add_query(f); break;
    case 5: add_indirect(f, format); break;
    case 6:
    case 7: fab_add_plain(f, &p, format, in); break;
    default: fab_add_expert(f, &e, format, in);
    }
}

/* Ties the last job to one before it. */
static void link_last(struct fab *f)
{
    struct core_rig *rig = f->rig;
    struct sl_job *job = &rig->job[rig->n_job - 1];
    const struct sl_job *before = &rig->job[sl_rng_range(&rig->rng, 0, rig->n_job - 2)];
    const uint32_t y_off = job->y_off;
    switch (sl_rng_range(&rig->rng, 0, 7)) {
    case 0: job->y_off = before->y_off; break;
    case 1: job->y_off = before->y_off + 1; break;
    case 2: job->y_off = before->x_off; break;
    case 3: job->x_off = before->y_off; break;
    case 4: job->list_off = before->y_off; break;
    case 5: job->route_off = before->y_off; break;
    case 6: again(f, before); break;
    default: break;
    }
    /* What it reads lies behind everything before: a long y would reach it. */
    if (job->y_off < y_off && job->y_off + y_extent(job) > job->x_off)
        job->y_off = y_off;
}

static enum fab_result run_mix(struct fab *f, const struct fab_case *c)
{
    fab_reset(f, c, "list", "mix");
    const int64_t n = sl_rng_range(&f->rig->rng, 2, 12);
    add_any(f, c->format);
    for (int64_t i = 1; i < n; i++) {
        add_any(f, c->format);
        link_last(f);
    }
    rig_ctl(f->rig, 200); /* a y that was moved does not reach the list */
    return fab_launch(f, false);
}

/* A job overwrites the list that it stands in: nobody can tell what comes of it, but the launch
 * ends, the guard beats stand, and the next launch is right. */
static enum fab_result run_own_list(struct fab *f, const struct fab_case *c)
{
    const struct fab_plain s = {.k = 64, .rows = 16 * (2 + c->shape), .n_tokens = 1};
    fab_reset(f, c, "list", "overwritten");
    for (int i = 0; i < 4; i++)
        fab_add_plain(f, &s, c->format, ordinary);
    const uint32_t list = f->rig->ctl_top + 1;
    f->rig->job[0].y_off = list + c->shape;
    const enum fab_result r = fab_launch(f, false);
    if (r != FAB_OK || f->rig->lost)
        return r;
    fab_reset(f, c, "list", "overwritten, the next launch");
    fab_add_plain(f, &s, c->format, ordinary);
    return fab_launch(f, true);
}

static enum fab_result run_query(struct fab *f, const struct fab_case *c)
{
    fab_reset(f, c, "query", "tiny");
    for (unsigned i = 0; i <= c->shape; i++)
        add_query(f);
    return fab_launch(f, true);
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

const struct fab_set fab_list_sets[] = {
    {"query", "tiny", 3, false, 256, 16, run_query, false},
    {"list", "chain", N_SCENARIO, false, 2048, 8192, run_chain, false},
    {"list", "mix", 12, false, 4096, 16384, run_mix, false},
    {"list", "overwritten", 3, false, 512, 1024, run_own_list, false},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
