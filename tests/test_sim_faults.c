/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RTL behind memories that fail. One launch of a job of every kind is run on a sound device and
 * found right; then every beat that it read and every write fails once, in every way, each time on
 * a new device:
 *
 *   error      the job whose beat it was ends as BUS_ERROR
 *   late       within the deadline: nothing; behind it: that job ends as TIMEOUT
 *   dead       reads: that job ends as TIMEOUT, those that need the port later as PORT_DEAD;
 *              writes: the launch ends, and that job and those behind it have no record
 *
 * All other jobs are OK and left the right words, nothing else was written, and the same launch
 * once more is right, or, behind a dead port, says so. Needs the core of `make sim P=1 T=1` (and
 * looks at P=4 T=1); what is not built is skipped, unless SL_NEED_SIM=1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_scene.h"

enum {
    MAX_JOB = 12,
    CTL_BEATS = 1024,
    W_BEATS = 4096,
    TIMEOUT = 2000, /* cycles */
    PATIENCE = 10,  /* deadlines that a launch with one fault may take longer */
    DEADLINE_MS = 60000,
    POISON = 0xCD
};
#define SOUND "mem=ideal,timeout=2000"

enum {
    OK = SL_STATUS_OK,
    LATE = SL_STATUS_TIMEOUT,
    DEAD = SL_STATUS_PORT_DEAD,
    BUS = SL_STATUS_BUS_ERROR,
    ABSENT = POISON << 8 | POISON /* no record was written */
};

/* ---- launches ------------------------------------------------------------------------------- */

/* The list in the rig, its right results in rig.ref, and what a sound device did meanwhile. */
struct scene {
    struct core_rig rig;
    uint32_t limit;        /* of control memory, beats */
    uint8_t *got, *poison; /* owned */
    unsigned n_port;
    int router, indirect; /* jobs, or -1: the second reads the first one's record */
    struct sl_device_counters before, after;
};

/* One launch and what it left. */
struct trial {
    const char *device;
    int err;
    unsigned status[MAX_JOB];
    struct sl_device_counters before, after;
};

static bool is_built(const char *device)
{
    struct sl_device *dev = NULL;
    const char *need = getenv("SL_NEED_SIM");
    bool is = sl_device_open(&dev, device) == 0;
    sl_device_close(&dev);
    if (!is) {
        printf("\nSKIPPED faults of %s: %s; %s\n", device, sl_error_message(), sl_error_hint());
        CU_ASSERT_FALSE(need && *need == '1');
        CU_PASS("");
    }
    return is;
}

static uint32_t records(const struct scene *s)
{
    return s->rig.job_off + s->rig.n_job;
}

static struct sl_record record_in(const struct scene *s, const uint8_t *ctl, unsigned j)
{
    struct sl_record rec;
    memcpy(&rec, ctl + (size_t)(records(s) + j) * SL_BEAT_BYTES, sizeof rec);
    return rec;
}

/* y of a job: n items of len beats. */
struct items {
    uint64_t n, len, stride;
};

static struct items y_of(const struct sl_job *job)
{
    const bool one = job->op == SL_OP_ROUTER || job->op == SL_OP_QUERY;
    const bool kv = job->op == SL_OP_KV_PACK || job->op == SL_OP_KV_UNPACK;
    return (struct items){one  ? 1
                          : kv ? (uint64_t)job->n_tokens * job->rows
                               : job->n_tokens,
                          ref_y_beats(job), job->y_stride};
}

/* Copies y between two control memories. */
static void copy_y(const struct sl_job *job, uint8_t *to, const uint8_t *from)
{
    const struct items y = y_of(job);
    for (uint64_t i = 0; i < y.n; i++) {
        const size_t at = (job->y_off + i * y.stride) * SL_BEAT_BYTES;
        memcpy(to + at, from + at, y.len * SL_BEAT_BYTES);
    }
}

static uint64_t counter_beats(const struct scene *s, unsigned j)
{
    const bool wants = s->rig.job[j].flags & SL_FLAG_PORT_COUNTERS;
    return wants ? ref_ceil_div(16 * s->n_port, SL_BEAT_BYTES) : 0;
}

/* Beats that a job writes: y, record, counters. */
static uint64_t n_write(const struct scene *s, unsigned j)
{
    const struct items y = y_of(&s->rig.job[j]);
    return y.n * y.len + 1 + counter_beats(s, j);
}

/* Beats of control memory that a job reads, itself included. */
static uint64_t n_read(const struct scene *s, unsigned j)
{
    const struct sl_job *job = &s->rig.job[j];
    uint64_t n = job->n_tokens * ref_x_beats(job);
    switch (job->op) {
    case SL_OP_QUERY: n = 0; break;
    case SL_OP_REDUCE: n *= job->n_part; break;
    case SL_OP_KV_PACK: n *= 2 * job->rows; break; /* it looks for forbidden codes first */
    case SL_OP_KV_UNPACK: n *= job->rows; break;
    default: break;
    }
    n += job->flags & SL_FLAG_LIST ? ref_ceil_div(job->n_tokens, 16) : 0;
    n += job->flags & SL_FLAG_INDIRECT ? 2 : 0;
    return n + (j > 0); /* the first job is known from the search for counters */
}

/* Beats of weight memory that a job reads on all ports, header and tables included. */
static uint64_t n_weight(const struct scene *s, unsigned j)
{
    const struct sl_job *job = &s->rig.job[j];
    uint64_t n = rig_record(&s->rig, j).beats;
    if (job->op == SL_OP_ROUTER)
        n += ref_ceil_div(job->rows, 64) + ref_ceil_div(job->rows, 16); /* exponents, biases */
    return n ? n + 1 : 0;
}

/* Poisons what a launch is to write. */
static void poison(const struct scene *s, uint8_t *ctl)
{
    const uint32_t n = s->rig.n_job;
    memset(ctl + (size_t)records(s) * SL_BEAT_BYTES, POISON, (size_t)n * SL_BEAT_BYTES);
    for (unsigned j = 0; j < n; j++)
        copy_y(&s->rig.job[j], ctl, s->poison);
}

/* Puts what nobody can foretell at what the reference has: the time in records, and all that jobs
 * that failed, or read what such a job wrote, left of y and counters. */
static void forget(const struct scene *s, const unsigned *status, uint8_t *got)
{
    const struct core_rig *rig = &s->rig;
    const uint8_t *ref = rig->ref.ctl;
    const size_t per_job = ref_ceil_div(16 * s->n_port, SL_BEAT_BYTES) * SL_BEAT_BYTES;
    const bool blind = s->router >= 0 && status[s->router] != OK;
    for (unsigned j = 0; j < rig->n_job; j++) {
        const bool loose = status[j] != OK || (blind && (int)j == s->indirect);
        const size_t rec = (size_t)(records(s) + j) * SL_BEAT_BYTES;
        const size_t counters = (size_t)(records(s) + rig->n_job) * SL_BEAT_BYTES + j * per_job;
        memcpy(got + rec + SL_AT_record_cycles, ref + rec + SL_AT_record_cycles, 8);
        memcpy(got + rec + SL_AT_record_stall_read, ref + rec + SL_AT_record_stall_read, 12);
        for (unsigned p = 0; p < s->n_port && counter_beats(s, j); p++)
            memcpy(got + counters + 16 * p + 4, ref + counters + 16 * p + 4, 8);
        if (!loose)
            continue;
        copy_y(&rig->job[j], got, ref);
        memcpy(got + rec, ref + rec, SL_BEAT_BYTES);
        memcpy(got + counters, ref + counters, counter_beats(s, j) * SL_BEAT_BYTES);
    }
}

/* A record of a job that failed names the job, if that was read, and nothing that it did not do. */
static void check_failed(const struct scene *s, const struct sl_record *rec, unsigned j)
{
    if (rec->status == ABSENT)
        return;
    CU_ASSERT(rec->cookie == s->rig.job[j].cookie || rec->cookie == 0);
    CU_ASSERT_EQUAL(rec->abi_version, SL_ABI_VERSION);
    CU_ASSERT(rec->macs == 0 && rec->beats == 0 && rec->sat_gu == 0 && rec->saturations == 0 &&
              rec->clamps == 0 && rec->reserved == 0);
}

/* The launch on an open device. */
static void launch(struct scene *s, struct sl_device *dev, struct trial *t)
{
    struct core_rig *rig = &s->rig;
    memcpy(s->got, rig->ref.ctl, (size_t)s->limit * SL_BEAT_BYTES);
    poison(s, s->got);
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, 0, s->got, s->limit), 0);
    sl_device_counters(dev, &t->before);
    t->err = sl_device_launch(dev, rig->job_off, rig->n_job, DEADLINE_MS);
    sl_device_counters(dev, &t->after);
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, 0, s->got, s->limit), 0);
    for (unsigned j = 0; j < rig->n_job; j++) {
        struct sl_record rec = record_in(s, s->got, j);
        t->status[j] = rec.status;
        if (rec.status != OK)
            check_failed(s, &rec, j);
    }
    CU_ASSERT_EQUAL(t->err, 0);
    if (t->err) {
        printf("\n  %s: %s\n", t->device, sl_error_message());
        return;
    }
    forget(s, t->status, s->got);
    const bool right = !memcmp(s->got, rig->ref.ctl, (size_t)s->limit * SL_BEAT_BYTES);
    if (!right)
        printf("\n  %s: a job that is OK is wrong, or another place was written\n", t->device);
    CU_ASSERT(right);
}

/* The launch, and once more, on a new device. */
static void try_on(struct scene *s, const char *device, struct trial *first, struct trial *second)
{
    struct sl_device *dev = NULL;
    *first = *second = (struct trial){.device = device};
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, device), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, s->limit, W_BEATS), 0);
    for (unsigned p = 0; p < s->n_port; p++)
        sl_device_write(dev, (int)p, 0, s->rig.ref.weights.w[p], s->rig.w_top);
    launch(s, dev, first);
    if (!first->err)
        launch(s, dev, second);
    sl_device_close(&dev);
}

/* ---- scenes --------------------------------------------------------------------------------- */

/* Runs the rig's list where nothing fails: by the rig, and as the trials do it. */
static void scene_sound(struct scene *s, const char *device)
{
    struct trial first, second;
    CU_ASSERT_TRUE_FATAL(rig_run(&s->rig));
    s->limit = (uint32_t)s->rig.ref.ctl_limit;
    s->n_port = s->rig.dev->n_port;
    s->got = malloc((size_t)s->limit * SL_BEAT_BYTES);
    s->poison = malloc((size_t)s->limit * SL_BEAT_BYTES);
    CU_ASSERT_FATAL(s->got && s->poison);
    memset(s->poison, POISON, (size_t)s->limit * SL_BEAT_BYTES);
    try_on(s, device, &first, &second);
    for (unsigned j = 0; j < s->rig.n_job; j++)
        CU_ASSERT(first.status[j] == OK && second.status[j] == OK);
    s->before = first.before;
    s->after = first.after;
}

static void scene_end(struct scene *s)
{
    rig_close(&s->rig);
    free(s->got);
    free(s->poison);
}

/* Plain jobs of `rows` x 256 on one slab. */
static bool plain_scene(struct scene *s, unsigned rows, const unsigned *n_tokens, unsigned n_job)
{
    enum { K = 256 };
    static const char device[] = "sim:1," SOUND;
    struct core_rig *rig = &s->rig;
    struct ref_matrix m = {0};
    if (!is_built(device))
        return false;
    *s = (struct scene){.router = -1, .indirect = -1};
    CU_ASSERT_EQUAL_FATAL(rig_open(rig, device, 4 * CTL_BEATS, W_BEATS), 0);
    rig_reset(rig, 7, "plain jobs");
    CU_ASSERT_FATAL(ref_matrix_alloc(&m, SL_FORMAT_Q8, rows, K));
    gen_matrix(&rig->rng, 0, &m);
    struct sl_slab head = ref_plain_header(m.format, m.k, m.rows);
    uint32_t w_off = rig_put_plain(rig, &head, &m);
    for (unsigned i = 0; i < n_job; i++) {
        struct sl_job *job = rig_job(rig, SL_OP_PLAIN);
        job->format = SL_FORMAT_Q8;
        job->k = K;
        job->rows = rows;
        job->n_tokens = (uint16_t)n_tokens[i];
        rig_place(rig, job, 0);
        rig_fill_x(rig, job, 0, n_tokens[i], 100);
        job->w_off = w_off;
    }
    ref_matrix_free(&m);
    scene_sound(s, device);
    return true;
}

/* The jobs of the scene of all kinds with places of their own; the router's choice is the expert of
 * the job behind it, and one job asks for counters. */
static void add_all_kinds(struct scene *s, const struct core_scene *all)
{
    static const enum scene_job order[] = {SCENE_ROUTER, SCENE_LIST,   SCENE_INDIRECT,
                                           SCENE_PACK,   SCENE_PLAIN,  SCENE_REDUCE,
                                           SCENE_EXPERT, SCENE_UNPACK, SCENE_QUERY};
    enum { N = sizeof order / sizeof order[0] };
    struct core_rig *rig = &s->rig;
    uint32_t slots = rig_ctl(rig, 1);
    for (unsigned i = 0; i < 16; i++)
        ref_put32(rig_at(rig, slots) + 4 * i, all->job[SCENE_EXPERT].w_off);
    for (unsigned i = 0; i < N; i++) {
        struct sl_job *job = rig_job(rig, all->job[order[i]].op);
        uint32_t cookie = job->cookie;
        *job = all->job[order[i]];
        job->cookie = cookie;
        const struct items y = y_of(job);
        job->y_off = rig_ctl(rig, (y.n - 1) * y.stride + y.len);
    }
    s->router = 0;
    s->indirect = 2;
    rig->job[2].route_off = rig->job[0].y_off;
    rig->job[2].route_token = 1;
    rig->job[2].slot_off = slots;
    rig->job[4].flags |= SL_FLAG_PORT_COUNTERS;
}

static bool full_scene(struct scene *s, const char *device)
{
    struct core_scene all;
    struct sl_device *dev = NULL;
    if (!is_built(device))
        return false;
    *s = (struct scene){0};
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, device), 0);
    CU_ASSERT_EQUAL_FATAL(scene_open_on(&all, dev), 0);
    s->rig = all.rig;
    s->rig.ctl_top = all.job[0].y_off;
    add_all_kinds(s, &all);
    free(all.saved);
    scene_sound(s, device);
    return true;
}

/* ---- sweeps --------------------------------------------------------------------------------- */

enum { NONE = MAX_JOB };

/* Whether the job reads the record of a router that failed. */
static bool is_blind(const struct scene *s, const struct trial *t, unsigned j)
{
    return s->router >= 0 && (int)j == s->indirect && t->status[s->router] != OK;
}

/* The one job that ended with this status while all others are OK; NONE; or -1, which is said. The
 * job that reads a failed router's record is not asked. */
static int the_one(const struct scene *s, const struct trial *t, unsigned status)
{
    int one = NONE;
    for (unsigned j = 0; j < s->rig.n_job; j++) {
        if (t->status[j] == OK || is_blind(s, t, j))
            continue;
        if (t->status[j] != status || one != NONE) {
            one = -1;
            break;
        }
        one = (int)j;
    }
    return one;
}

static void print_trial(const struct scene *s, const struct trial *t, const char *what)
{
    printf("\n  %s: %s:", t->device, what);
    for (unsigned j = 0; j < s->rig.n_job; j++)
        printf(t->status[j] == ABSENT ? " -" : " %u", t->status[j]);
    printf("\n");
}

static void expect(const struct scene *s, const struct trial *t, bool is, const char *what)
{
    if (!is)
        print_trial(s, t, what);
    CU_ASSERT(is);
}

/* One fault, or a pause, in a launch and none in the one behind it. Returns the job that was hit.
 */
static int transient(struct scene *s, const char *device, unsigned status)
{
    struct trial first, second;
    try_on(s, device, &first, &second);
    int hit = the_one(s, &first, status);
    expect(s, &first, hit >= 0, "one job at most should be hit");
    expect(s, &second, the_one(s, &second, OK) == NONE, "the second launch should be right");
    const uint64_t sound = s->after.cycles - s->before.cycles;
    expect(s, &first, first.after.cycles - first.before.cycles < sound + PATIENCE * TIMEOUT,
           "waited for longer than it had to");
    return hit;
}

struct fault {
    const char *kind;
    unsigned cycles; /* that it waits; 0: it does not */
    unsigned status; /* of the job that it hits; OK: none */
};

static void name_device(char *out, const char *base, const struct fault *f, uint64_t at, int port)
{
    char wait[16] = "", where[16] = ":ctl";
    if (f->cycles)
        snprintf(wait, sizeof wait, "+%u", f->cycles);
    if (port >= 0)
        snprintf(where, sizeof where, ":%d", port);
    snprintf(out, SL_DEVICE_NAME, "%s,fault=%s@%llu%s%s", base, f->kind, (unsigned long long)at,
             wait, where);
}

/* The fault at each of `n` beats or writes behind the first `from`; counts the jobs that are hit.
 */
static void sweep(struct scene *s, const char *base, const struct fault *f, int port, uint64_t from,
                  uint64_t n, uint64_t *hits)
{
    for (uint64_t i = from + 1; i <= from + n; i++) {
        char device[SL_DEVICE_NAME];
        name_device(device, base, f, i, port);
        int hit = transient(s, device, f->status);
        if (hit >= 0)
            hits[hit]++;
    }
}

static void expect_hits(const struct scene *s, const char *what, const uint64_t *hits,
                        const uint64_t *want)
{
    for (unsigned j = 0; j <= NONE; j++) {
        if (hits[j] != want[j])
            printf("\n  %s: job %u of %u was hit %llu times, expected %llu\n", what, j,
                   s->rig.n_job, (unsigned long long)hits[j], (unsigned long long)want[j]);
        CU_ASSERT_EQUAL(hits[j], want[j]);
    }
}

static uint64_t read_beats(const struct scene *s)
{
    return s->after.ctl.read_beats - s->before.ctl.read_beats;
}

/* A launch first reads all jobs, in search of those that ask for counters. An error there spoils
 * the one that does; a late beat too, wherever it is, because the search is then given up. */
static void read_faults_of(const char *base)
{
    static const struct fault faults[] = {
        {"read-error", 0, BUS}, {"late", TIMEOUT - 500, OK}, {"late", TIMEOUT + 1000, LATE}};
    struct scene s;
    if (!full_scene(&s, base))
        return;
    for (unsigned k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        const struct fault *f = &faults[k];
        uint64_t hits[MAX_JOB + 1] = {0}, want[MAX_JOB + 1] = {0};
        const unsigned scan = f->status == LATE ? s.rig.n_job : 1;
        for (unsigned j = 0; j < s.rig.n_job && f->status != OK; j++)
            want[j] = n_read(&s, j) + (counter_beats(&s, j) ? scan : 0);
        want[NONE] = f->status == OK ? read_beats(&s) : s.rig.n_job - scan;
        sweep(&s, base, f, SL_ARENA_CTL, s.before.ctl.read_beats, read_beats(&s), hits);
        expect_hits(&s, f->kind, hits, want);
    }
    scene_end(&s);
}

static void write_faults_of(const char *base)
{
    static const struct fault faults[] = {{"write-error", 0, BUS},
                                          {"write-late", TIMEOUT - 500, OK},
                                          {"write-late", TIMEOUT + 1000, LATE}};
    struct scene s;
    if (!full_scene(&s, base))
        return;
    const uint64_t n = s.after.ctl.write_bursts - s.before.ctl.write_bursts;
    for (unsigned k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        const struct fault *f = &faults[k];
        uint64_t hits[MAX_JOB + 1] = {0}, want[MAX_JOB + 1] = {0};
        for (unsigned j = 0; j < s.rig.n_job && f->status != OK; j++)
            want[j] = n_write(&s, j);
        want[NONE] = f->status == OK ? n : 0;
        sweep(&s, base, f, SL_ARENA_CTL, s.before.ctl.write_bursts, n, hits);
        expect_hits(&s, f->kind, hits, want);
    }
    scene_end(&s);
}

/* What reads nothing of a dead port goes on; jobs behind the list's last readable one do not exist.
 */
static void check_dead(const struct scene *s, const struct trial *t, int hit)
{
    for (unsigned j = 0; j < s->rig.n_job; j++) {
        const int op = s->rig.job[j].op;
        const bool unit = op == SL_OP_REDUCE || op == SL_OP_KV_PACK || op == SL_OP_KV_UNPACK;
        expect(s, t, t->status[j] == OK || t->status[j] == DEAD || (int)j == hit,
               "behind a dead port a job is OK or PORT_DEAD");
        if ((int)j < hit && !unit)
            expect(s, t, t->status[j] == OK, "this job had all that it reads");
    }
    expect(s, t, t->status[s->rig.n_job - 1] != OK, "the last job cannot be OK");
}

static int find_status(const struct scene *s, const struct trial *t, unsigned status)
{
    for (unsigned j = 0; j < s->rig.n_job; j++)
        if (t->status[j] == status)
            return (int)j;
    return NONE;
}

static void dead_reads_of(const char *base)
{
    static const struct fault f = {"dead", 0, LATE};
    uint64_t hits[MAX_JOB + 1] = {0}, want[MAX_JOB + 1] = {0};
    struct scene s;
    if (!full_scene(&s, base))
        return;
    for (uint64_t i = 1; i <= read_beats(&s); i++) {
        char device[SL_DEVICE_NAME];
        struct trial first, second;
        name_device(device, base, &f, s.before.ctl.read_beats + i, SL_ARENA_CTL);
        try_on(&s, device, &first, &second);
        int hit = find_status(&s, &first, LATE);
        hits[hit]++;
        if (hit == NONE)
            for (unsigned j = 0; j < s.rig.n_job; j++)
                expect(&s, &first, first.status[j] == DEAD, "no job could be read");
        else
            check_dead(&s, &first, hit);
        for (unsigned j = 0; j < s.rig.n_job; j++)
            expect(&s, &second, second.status[j] == DEAD, "the port stays dead");
    }
    for (unsigned j = 0; j < s.rig.n_job; j++)
        want[j] = n_read(&s, j);
    want[NONE] = s.rig.n_job; /* the search for counters */
    expect_hits(&s, f.kind, hits, want);
    scene_end(&s);
}

/* Nothing can be told any more: the jobs from the one that is hit on, or from one before it whose
 * record was to follow, have no record. */
static void dead_writes_of(const char *base)
{
    static const struct fault error = {"write-error", 0, BUS}, dead = {"write-dead", 0, ABSENT};
    struct scene s;
    if (!full_scene(&s, base))
        return;
    const uint64_t n = s.after.ctl.write_bursts - s.before.ctl.write_bursts;
    for (uint64_t i = 1; i <= n; i++) {
        char device[SL_DEVICE_NAME];
        struct trial first, second;
        name_device(device, base, &error, s.before.ctl.write_bursts + i, SL_ARENA_CTL);
        const int owner = transient(&s, device, BUS);
        name_device(device, base, &dead, s.before.ctl.write_bursts + i, SL_ARENA_CTL);
        try_on(&s, device, &first, &second);
        const int absent = find_status(&s, &first, ABSENT);
        expect(&s, &first, absent <= owner, "the record should be absent");
        for (unsigned j = 0; j < s.rig.n_job; j++) {
            expect(&s, &first, first.status[j] == ((int)j < absent ? OK : ABSENT),
                   "records end where the port died");
            expect(&s, &second, second.status[j] == ABSENT, "the port stays dead");
        }
        const uint64_t taken = first.after.ctl.write_bursts - first.before.ctl.write_bursts;
        CU_ASSERT(taken == i || taken == i + 1);
    }
    scene_end(&s);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* A dead weight port ends the jobs that starve as TIMEOUT: the one in the array, and perhaps one in
 * preparation. What was complete before is OK. */
static void dead_weights(struct scene *s, const char *device, int owner)
{
    struct trial first, second;
    unsigned late = 0;
    try_on(s, device, &first, &second);
    for (unsigned j = 0; j < s->rig.n_job; j++) {
        const unsigned status = first.status[j];
        late += status == LATE;
        expect(s, &first,
               status == OK || status == LATE || status == DEAD || is_blind(s, &first, j),
               "behind a dead port a job is OK, TIMEOUT or PORT_DEAD");
        if ((int)j < owner)
            expect(s, &first, first.status[j] == OK, "this job had all that it reads");
        expect(s, &second, second.status[j] == DEAD, "the port stays dead");
    }
    expect(s, &first, first.status[owner] == LATE || first.status[owner] == DEAD,
           "this job cannot be OK");
    expect(s, &first, late == 1 || late == 2, "one or two jobs should starve");
}

/* Faults of every step-th beat of each weight port. */
static void weight_faults_of(const char *base, unsigned step)
{
    static const struct fault error = {"read-error", 0, BUS}, soon = {"late", TIMEOUT - 500, OK},
                              late = {"late", TIMEOUT + 1000, LATE}, dead = {"dead", 0, LATE};
    uint64_t hits[MAX_JOB + 1] = {0}, want[MAX_JOB + 1] = {0};
    char device[SL_DEVICE_NAME];
    struct scene s;
    if (!full_scene(&s, base))
        return;
    for (int p = 0; p < (int)s.n_port; p++)
        for (uint64_t i = s.before.w[p].read_beats + 1; i <= s.after.w[p].read_beats; i += step) {
            name_device(device, base, &error, i, p);
            const int owner = transient(&s, device, BUS);
            CU_ASSERT_FATAL(owner >= 0 && owner < (int)s.rig.n_job);
            hits[owner]++;
            name_device(device, base, &soon, i, p);
            CU_ASSERT_EQUAL(transient(&s, device, OK), NONE);
            name_device(device, base, &late, i, p);
            CU_ASSERT_EQUAL(transient(&s, device, LATE), owner);
            name_device(device, base, &dead, i, p);
            dead_weights(&s, device, owner);
        }
    for (unsigned j = 0; j < s.rig.n_job; j++)
        want[j] = n_weight(&s, j);
    if (step == 1)
        expect_hits(&s, error.kind, hits, want);
    scene_end(&s);
}

/* The array works on what it has for longer than a deadline while the port owes the next job's
 * header: a job in preparation is late, the one at work is not. */
static void a_late_header_leaves_the_job_at_work_alone(void)
{
    static const struct fault error = {"read-error", 0, BUS}, late = {"late", TIMEOUT + 1000, LATE};
    static const unsigned n_tokens[] = {64, 64, 2};
    static const char base[] = "sim:1," SOUND;
    uint64_t hits[MAX_JOB + 1] = {0}, want[MAX_JOB + 1] = {0}, n_late[MAX_JOB + 1] = {0};
    struct scene s;
    if (!plain_scene(&s, 10, n_tokens, 3))
        return;
    for (unsigned j = 0; j < s.rig.n_job; j++)
        want[j] = n_weight(&s, j);
    const uint64_t from = s.before.w[0].read_beats, n = s.after.w[0].read_beats - from;
    sweep(&s, base, &error, 0, from, n, hits);
    expect_hits(&s, error.kind, hits, want);
    sweep(&s, base, &late, 0, from, n, n_late);
    CU_ASSERT_EQUAL(n_late[NONE], 0);
    CU_ASSERT(n_late[0] < hits[0]);
    scene_end(&s);
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* Longer latencies put more on its way at the same time. */
static void for_all(void (*check)(const char *base))
{
    static const char *const bases[] = {
        "sim:1," SOUND, "sim:1,mem=hbm,timeout=2000", "sim:1,mem=ideal,latency=400,timeout=2000",
        "sim:1,mem=ideal,latency=9,stall=40,seed=5,timeout=2000", "sim:1,dpi," SOUND};
    for (unsigned i = 0; i < (rig_long() ? sizeof bases / sizeof bases[0] : 1); i++)
        check(bases[i]);
}

static void a_read_fault_hits_the_job_that_reads(void)
{
    for_all(read_faults_of);
}

static void a_write_fault_hits_the_job_that_writes(void)
{
    for_all(write_faults_of);
}

static void a_dead_read_port_ends_the_launch(void)
{
    for_all(dead_reads_of);
}

static void a_dead_write_port_ends_the_launch(void)
{
    for_all(dead_writes_of);
}

static void a_weight_fault_hits_the_job_that_reads(void)
{
    weight_faults_of("sim:1," SOUND, rig_long() ? 1 : 11);
}

static void weight_faults_of_four_ports(void)
{
    weight_faults_of("sim:4," SOUND, rig_long() ? 1 : 11);
}

static const struct sl_case cases[] = {
    {"a_read_fault_hits_the_job_that_reads", a_read_fault_hits_the_job_that_reads},
    {"a_write_fault_hits_the_job_that_writes", a_write_fault_hits_the_job_that_writes},
    {"a_dead_read_port_ends_the_launch", a_dead_read_port_ends_the_launch},
    {"a_dead_write_port_ends_the_launch", a_dead_write_port_ends_the_launch},
    {"a_weight_fault_hits_the_job_that_reads", a_weight_fault_hits_the_job_that_reads},
    {"weight_faults_of_four_ports", weight_faults_of_four_ports},
    {"a_late_header_leaves_the_job_at_work_alone", a_late_header_leaves_the_job_at_work_alone},
    {0},
};
const struct sl_suite suite_sim_faults = {"sim_faults", cases};
