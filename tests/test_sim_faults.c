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
 * once more is right, or, behind a dead port, says so. Needs the cores of `make sim P=1 T=1` and
 * `make sim P=4 T=1` (SL_LONG=1: DPI=1 too); what is not built is skipped, unless SL_NEED_SIM=1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabric/joblist.h"
#include "fault_rig.h"

#define ONE_PORT "sim:1," FAULT_SOUND
#define FOUR_PORTS "sim:4," FAULT_SOUND

enum {
    OK = SL_STATUS_OK,
    LATE = SL_STATUS_TIMEOUT,
    DEAD = SL_STATUS_PORT_DEAD,
    BUS = SL_STATUS_BUS_ERROR,
    ABSENT = FAULT_ABSENT,
    TIMEOUT = FAULT_TIMEOUT,
    PATIENCE = 10 /* deadlines that a launch with one fault may take longer */
};

/* ---- sweeps --------------------------------------------------------------------------------- */

enum { NONE = FAULT_MAX_JOB };

/* Whether the job reads the record of a router that failed. */
static bool is_blind(const struct fault_scene *s, const struct fault_trial *t, unsigned j)
{
    return s->router >= 0 && (int)j == s->indirect && t->status[s->router] != OK;
}

/* The one job that ended with this status while all others are OK; NONE; or -1, which is said. The
 * job that reads a failed router's record is not asked. */
static int the_one(const struct fault_scene *s, const struct fault_trial *t, unsigned status)
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

static void print_trial(const struct fault_scene *s, const struct fault_trial *t, const char *what)
{
    printf("\n  %s: %s:", t->device, what);
    for (unsigned j = 0; j < s->rig.n_job; j++)
        printf(t->status[j] == ABSENT ? " -" : " %u", t->status[j]);
    printf("\n");
}

static void expect(const struct fault_scene *s, const struct fault_trial *t, bool is,
                   const char *what)
{
    if (!is)
        print_trial(s, t, what);
    CU_ASSERT(is);
}

/* One fault, or a pause, in a launch and none in the one behind it. Returns the job that was hit.
 */
static int transient(struct fault_scene *s, const char *device, unsigned status)
{
    struct fault_trial first, second;
    fault_try(s, device, &first, &second);
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
static void sweep(struct fault_scene *s, const char *base, const struct fault *f, int port,
                  uint64_t from, uint64_t n, uint64_t *hits)
{
    for (uint64_t i = from + 1; i <= from + n; i++) {
        char device[SL_DEVICE_NAME];
        name_device(device, base, f, i, port);
        int hit = transient(s, device, f->status);
        if (hit >= 0)
            hits[hit]++;
    }
}

static void expect_hits(const struct fault_scene *s, const char *what, const uint64_t *hits,
                        const uint64_t *want)
{
    for (unsigned j = 0; j <= NONE; j++) {
        if (hits[j] != want[j])
            printf("\n  %s: job %u of %u was hit %llu times, expected %llu\n", what, j,
                   s->rig.n_job, (unsigned long long)hits[j], (unsigned long long)want[j]);
        CU_ASSERT_EQUAL(hits[j], want[j]);
    }
}

static uint64_t read_beats(const struct fault_scene *s)
{
    return s->after.ctl.read_beats - s->before.ctl.read_beats;
}

/* A launch first reads all jobs, in search of those that ask for counters. An error there spoils
 * the one that does; a late beat too, wherever it is, because the search is then given up. */
static void read_faults_of(const char *base)
{
    static const struct fault faults[] = {
        {"read-error", 0, BUS}, {"late", TIMEOUT - 500, OK}, {"late", TIMEOUT + 1000, LATE}};
    struct fault_scene s;
    if (!fault_full_scene(&s, base))
        return;
    for (unsigned k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        const struct fault *f = &faults[k];
        uint64_t hits[FAULT_MAX_JOB + 1] = {0}, want[FAULT_MAX_JOB + 1] = {0};
        const unsigned scan = f->status == LATE ? s.rig.n_job : 1;
        for (unsigned j = 0; j < s.rig.n_job && f->status != OK; j++)
            want[j] = fault_reads(&s, j) + (fault_counters(&s, j) ? scan : 0);
        want[NONE] = f->status == OK ? read_beats(&s) : s.rig.n_job - scan;
        sweep(&s, base, f, SL_ARENA_CTL, s.before.ctl.read_beats, read_beats(&s), hits);
        expect_hits(&s, f->kind, hits, want);
    }
    fault_close(&s);
}

static void write_faults_of(const char *base)
{
    static const struct fault faults[] = {{"write-error", 0, BUS},
                                          {"write-late", TIMEOUT - 500, OK},
                                          {"write-late", TIMEOUT + 1000, LATE}};
    struct fault_scene s;
    if (!fault_full_scene(&s, base))
        return;
    const uint64_t n = s.after.ctl.write_bursts - s.before.ctl.write_bursts;
    for (unsigned k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        const struct fault *f = &faults[k];
        uint64_t hits[FAULT_MAX_JOB + 1] = {0}, want[FAULT_MAX_JOB + 1] = {0};
        for (unsigned j = 0; j < s.rig.n_job && f->status != OK; j++)
            want[j] = fault_writes(&s, j);
        want[NONE] = f->status == OK ? n : 0;
        sweep(&s, base, f, SL_ARENA_CTL, s.before.ctl.write_bursts, n, hits);
        expect_hits(&s, f->kind, hits, want);
    }
    fault_close(&s);
}

/* What reads nothing of a dead port goes on; jobs behind the list's last readable one do not exist.
 */
static void check_dead(const struct fault_scene *s, const struct fault_trial *t, int hit)
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

static int find_status(const struct fault_scene *s, const struct fault_trial *t, unsigned status)
{
    for (unsigned j = 0; j < s->rig.n_job; j++)
        if (t->status[j] == status)
            return (int)j;
    return NONE;
}

static void dead_reads_of(const char *base)
{
    static const struct fault f = {"dead", 0, LATE};
    uint64_t hits[FAULT_MAX_JOB + 1] = {0}, want[FAULT_MAX_JOB + 1] = {0};
    struct fault_scene s;
    if (!fault_full_scene(&s, base))
        return;
    for (uint64_t i = 1; i <= read_beats(&s); i++) {
        char device[SL_DEVICE_NAME];
        struct fault_trial first, second;
        name_device(device, base, &f, s.before.ctl.read_beats + i, SL_ARENA_CTL);
        fault_try(&s, device, &first, &second);
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
        want[j] = fault_reads(&s, j);
    want[NONE] = s.rig.n_job; /* the search for counters */
    expect_hits(&s, f.kind, hits, want);
    fault_close(&s);
}

/* Nothing can be told any more: the jobs from the one that is hit on, or from one before it whose
 * record was to follow, have no record. */
static void dead_writes_of(const char *base)
{
    static const struct fault error = {"write-error", 0, BUS}, dead = {"write-dead", 0, ABSENT};
    struct fault_scene s;
    if (!fault_full_scene(&s, base))
        return;
    const uint64_t n = s.after.ctl.write_bursts - s.before.ctl.write_bursts;
    for (uint64_t i = 1; i <= n; i++) {
        char device[SL_DEVICE_NAME];
        struct fault_trial first, second;
        name_device(device, base, &error, s.before.ctl.write_bursts + i, SL_ARENA_CTL);
        const int owner = transient(&s, device, BUS);
        name_device(device, base, &dead, s.before.ctl.write_bursts + i, SL_ARENA_CTL);
        fault_try(&s, device, &first, &second);
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
    fault_close(&s);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* A dead weight port ends the jobs that starve as TIMEOUT: the one in the array, and perhaps one in
 * preparation. What was complete before is OK. */
static void dead_weights(struct fault_scene *s, const char *device, int owner)
{
    struct fault_trial first, second;
    unsigned late = 0;
    fault_try(s, device, &first, &second);
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

/* An error in every beat of each weight port; the other faults in the first, which are the header
 * and tables of the router, and in every step-th. */
static void weight_faults_of(const char *base, unsigned step)
{
    static const struct fault error = {"read-error", 0, BUS}, soon = {"late", TIMEOUT - 500, OK},
                              late = {"late", TIMEOUT + 1000, LATE}, dead = {"dead", 0, LATE};
    enum { HEAD = 3 };
    uint64_t hits[FAULT_MAX_JOB + 1] = {0}, want[FAULT_MAX_JOB + 1] = {0};
    char device[SL_DEVICE_NAME];
    struct fault_scene s;
    if (!fault_full_scene(&s, base))
        return;
    for (int p = 0; p < (int)s.n_port; p++)
        for (uint64_t i = s.before.w[p].read_beats + 1; i <= s.after.w[p].read_beats; i++) {
            name_device(device, base, &error, i, p);
            const int owner = transient(&s, device, BUS);
            CU_ASSERT_FATAL(owner >= 0 && owner < (int)s.rig.n_job);
            hits[owner]++;
            const uint64_t nth = i - s.before.w[p].read_beats;
            if (nth > HEAD && (nth - 1) % step)
                continue;
            name_device(device, base, &soon, i, p);
            CU_ASSERT_EQUAL(transient(&s, device, OK), NONE);
            name_device(device, base, &late, i, p);
            CU_ASSERT_EQUAL(transient(&s, device, LATE), owner);
            name_device(device, base, &dead, i, p);
            dead_weights(&s, device, owner);
        }
    for (unsigned j = 0; j < s.rig.n_job; j++)
        want[j] = fault_weights(&s, j);
    expect_hits(&s, error.kind, hits, want);
    fault_close(&s);
}

/* The array works on what it has for longer than a deadline while the port owes the next job's
 * header: a job in preparation is late, the one at work is not. */
static void a_late_header_leaves_the_job_at_work_alone(void)
{
    static const struct fault error = {"read-error", 0, BUS}, late = {"late", TIMEOUT + 1000, LATE};
    static const unsigned n_tokens[] = {64, 64, 2};
    static const char base[] = ONE_PORT;
    uint64_t hits[FAULT_MAX_JOB + 1] = {0}, want[FAULT_MAX_JOB + 1] = {0},
                                  n_late[FAULT_MAX_JOB + 1] = {0};
    struct fault_scene s;
    if (!fault_plain_scene(&s, base, 10, n_tokens, 3))
        return;
    for (unsigned j = 0; j < s.rig.n_job; j++)
        want[j] = fault_weights(&s, j);
    const uint64_t from = s.before.w[0].read_beats, n = s.after.w[0].read_beats - from;
    sweep(&s, base, &error, 0, from, n, hits);
    expect_hits(&s, error.kind, hits, want);
    sweep(&s, base, &late, 0, from, n, n_late);
    CU_ASSERT_EQUAL(n_late[NONE], 0);
    CU_ASSERT(n_late[0] < hits[0]);
    fault_close(&s);
}

/* The last port dies under the first job when the others are prepared, by the beats of the first
 * port: the array refuses the second, and the router reads no tables. */
static void jobs_that_are_ready_find_the_port_dead(void)
{
    static const struct fault dead = {"dead", 0, LATE};
    struct fault_scene s;
    char device[SL_DEVICE_NAME];
    if (!fault_matrix_scene(&s, FOUR_PORTS))
        return;
    CU_ASSERT_EQUAL(s.rig.n_job, 3);
    const int last = (int)s.n_port - 1;
    for (uint64_t i = 1; i <= 12; i++) {
        struct fault_trial first, second;
        name_device(device, FOUR_PORTS, &dead, s.before.w[last].read_beats + i, last);
        fault_try(&s, device, &first, &second);
        expect(&s, &first, first.status[0] == LATE, "the first job starves");
        for (unsigned j = 0; j < 3; j++) {
            expect(&s, &first, j == 0 || first.status[j] == DEAD, "it finds the port dead");
            expect(&s, &second, second.status[j] == DEAD, "the port stays dead");
        }
    }
    fault_close(&s);
}

/* ---- several faults ------------------------------------------------------------------------- */

static uint64_t below(struct sl_rng *rng, uint64_t n)
{
    return sl_rng_next(rng) % n;
}

/* Appends up to six faults somewhere in two launches. */
static void add_faults(const struct fault_scene *s, struct sl_rng *rng, char *device)
{
    static const char *const kinds[] = {"read-error",  "late",       "late",       "dead",
                                        "write-error", "write-late", "write-late", "write-dead"};
    for (uint64_t n = 1 + below(rng, 6); n > 0; n--) {
        const uint64_t k = below(rng, sizeof kinds / sizeof kinds[0]);
        const bool write = !strncmp(kinds[k], "write", 5), waits = strstr(kinds[k], "late");
        const int port = write ? SL_ARENA_CTL : (int)below(rng, s->n_port + 1) - 1;
        const uint64_t beats = write      ? s->after.ctl.write_bursts
                               : port < 0 ? s->after.ctl.read_beats
                                          : s->after.w[port].read_beats;
        const uint64_t first = port < 0 ? 3 : 1; /* behind the query of the start */
        const struct fault f = {kinds[k], waits ? 1 + (unsigned)below(rng, 5 * TIMEOUT) : 0, 0};
        char more[SL_DEVICE_NAME];
        if (strstr(kinds[k], "dead") && below(rng, 4))
            continue; /* seldom: nothing comes behind it */
        name_device(more, "", &f, first + below(rng, 2 * beats), port);
        strncat(device, more, SL_DEVICE_NAME - 1 - strlen(device));
    }
}

/* Whatever comes together: both launches end in time, and a job that is OK is right. */
static void several_faults_in(struct fault_scene *s, const char *base, uint64_t seed)
{
    struct sl_rng rng = {seed};
    const unsigned n_case = rig_long() ? 500 : 50;
    const uint64_t sound = s->after.cycles - s->before.cycles;
    for (unsigned i = 0; i < n_case; i++) {
        char device[SL_DEVICE_NAME];
        struct fault_trial t[2];
        snprintf(device, sizeof device, "%s", base);
        add_faults(s, &rng, device);
        fault_try(s, device, &t[0], &t[1]);
        for (unsigned l = 0; l < 2; l++) {
            for (unsigned j = 0; j < s->rig.n_job; j++) {
                const unsigned st = t[l].status[j];
                expect(s, &t[l],
                       st == OK || st == BUS || st == LATE || st == DEAD || st == ABSENT ||
                           is_blind(s, &t[l], j),
                       "this is no status of a fault");
            }
            expect(s, &t[l],
                   t[l].after.cycles - t[l].before.cycles < sound + 6 * PATIENCE * TIMEOUT,
                   "waited for longer than it had to");
        }
    }
}

static void several_faults_together(void)
{
    static const char *const bases[] = {ONE_PORT,
                                        "sim:1,mem=ideal,latency=300,stall=30,seed=3,timeout=2000",
                                        "sim:4,mem=hbm,timeout=2000"};
    static const unsigned n_tokens[] = {64, 2, 64, 1, 1, 1};
    struct fault_scene s;
    for (unsigned i = 0; i < 3; i++)
        if (fault_full_scene(&s, bases[i])) {
            several_faults_in(&s, bases[i], 11 + i);
            fault_close(&s);
        }
    for (unsigned i = 0; i < 3; i += 2)
        if (fault_plain_scene(&s, bases[i], i ? 40 : 10, n_tokens, 6)) {
            several_faults_in(&s, bases[i], 22 + i);
            fault_close(&s);
        }
}

/* ---- the host ------------------------------------------------------------------------------- */

/* Two QUERY jobs through the host's job list on a device that fails behind its own QUERY. */
static void host_sees(const char *fault, int err, const char *message)
{
    char name[SL_DEVICE_NAME];
    struct sl_device *dev = NULL;
    struct sl_joblist list;
    struct sl_caps caps;
    uint32_t y;
    snprintf(name, sizeof name, ONE_PORT ",fault=%s:ctl", fault);
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, name), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, 64, 16), 0);
    CU_ASSERT_EQUAL_FATAL(sl_joblist_open(&list, dev, 3, 4), 0);
    CU_ASSERT_EQUAL(sl_joblist_alloc(&list, 1, &y), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct sl_job *job = sl_joblist_add(&list);
        job->op = SL_OP_QUERY;
        job->y_off = y;
    }
    int got = sl_joblist_launch(&list);
    CU_ASSERT_EQUAL(got, err);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), message));
    if (!strncmp(fault, "write-dead", 10))
        CU_ASSERT_EQUAL(sl_device_query(dev, &caps), SL_ERR_DEVICE);
    sl_joblist_close(&list);
    sl_device_close(&dev);
}

/* Read beat 1 and writes 1 and 2 are the query of the start; beats 2 and 3 the search for counters,
 * beat 4 is the second job. */
static void the_host_says_what_failed(void)
{
    if (!fault_built(ONE_PORT))
        return;
    host_sees("read-error@4", SL_ERR_DEVICE, "job 1 (operation 1) ended as BUS_ERROR");
    host_sees("late@4+3000", SL_ERR_TIMEOUT, "memory did not answer job 1");
    host_sees("dead@2", SL_ERR_DEVICE, "job 0 (operation 1) ended as PORT_DEAD");
    host_sees("dead@4", SL_ERR_TIMEOUT, "memory did not answer job 1");
    host_sees("write-error@3", SL_ERR_DEVICE, "job 0 (operation 1) ended as BUS_ERROR");
    host_sees("write-error@6", SL_ERR_DEVICE, "job 1 (operation 1) ended as BUS_ERROR");
    host_sees("write-late@5+3000", SL_ERR_TIMEOUT, "memory did not answer job 1");
    host_sees("write-dead@4", SL_ERR_DEVICE, "left no record of job 0");
    host_sees("write-dead@5", SL_ERR_DEVICE, "left no record of job 1");
}

/* The search for jobs that ask for counters meets an error; what came with it asks for them, and
 * there is no room. */
static void a_beat_with_an_error_asks_for_no_counters(void)
{
    enum { BEATS = 8 };
    struct sl_device *dev = NULL;
    const struct sl_job job = {.op = SL_OP_QUERY, .cookie = 9, .y_off = 1};
    struct sl_record rec;
    if (!fault_built(ONE_PORT))
        return;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, ONE_PORT ",fault=read-error@2:ctl"), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, BEATS, 16), 0);
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, BEATS - 2, &job, 1), 0);
    CU_ASSERT_EQUAL(sl_device_launch(dev, BEATS - 2, 1, 10000), 0);
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, BEATS - 1, &rec, 1), 0);
    CU_ASSERT(rec.cookie == 9 && rec.status == OK && rec.abi_version == SL_ABI_VERSION);
    sl_device_close(&dev);
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* Longer latencies put more on its way at the same time. */
static void for_all(void (*check)(const char *base))
{
    static const char *const bases[] = {ONE_PORT, "sim:1,mem=hbm,timeout=2000",
                                        "sim:1,mem=ideal,latency=400,timeout=2000",
                                        "sim:1,mem=ideal,latency=9,stall=40,seed=5,timeout=2000",
                                        "sim:1,dpi,mem=ideal,timeout=2000"};
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
    weight_faults_of(ONE_PORT, rig_long() ? 1 : 11);
}

static void weight_faults_of_four_ports(void)
{
    weight_faults_of(FOUR_PORTS, rig_long() ? 1 : 11);
}

static const struct sl_case cases[] = {
    {"a_read_fault_hits_the_job_that_reads", a_read_fault_hits_the_job_that_reads},
    {"a_write_fault_hits_the_job_that_writes", a_write_fault_hits_the_job_that_writes},
    {"a_dead_read_port_ends_the_launch", a_dead_read_port_ends_the_launch},
    {"a_dead_write_port_ends_the_launch", a_dead_write_port_ends_the_launch},
    {"a_weight_fault_hits_the_job_that_reads", a_weight_fault_hits_the_job_that_reads},
    {"weight_faults_of_four_ports", weight_faults_of_four_ports},
    {"a_late_header_leaves_the_job_at_work_alone", a_late_header_leaves_the_job_at_work_alone},
    {"jobs_that_are_ready_find_the_port_dead", jobs_that_are_ready_find_the_port_dead},
    {"several_faults_together", several_faults_together},
    {"the_host_says_what_failed", the_host_says_what_failed},
    {"a_beat_with_an_error_asks_for_no_counters", a_beat_with_an_error_asks_for_no_counters},
    {0},
};
const struct sl_suite suite_sim_faults = {"sim_faults", cases};
