/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core_scene.h"

enum { CTL_BEATS = 4096, W_BEATS = 4096, DEADLINE_MS = 60000, POISON = 0xCD, OK = SL_STATUS_OK };

bool fault_built(const char *device)
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

static uint32_t records(const struct fault_scene *s)
{
    return s->rig.job_off + s->rig.n_job;
}

static struct sl_record record_in(const struct fault_scene *s, const uint8_t *ctl, unsigned j)
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

uint64_t fault_counters(const struct fault_scene *s, unsigned j)
{
    const bool wants = s->rig.job[j].flags & SL_FLAG_PORT_COUNTERS;
    return wants ? ref_ceil_div(16 * s->n_port, SL_BEAT_BYTES) : 0;
}

/* Beats that a job writes: y, record, counters. */
uint64_t fault_writes(const struct fault_scene *s, unsigned j)
{
    const struct items y = y_of(&s->rig.job[j]);
    return y.n * y.len + 1 + fault_counters(s, j);
}

/* Beats of control memory that a job reads. */
uint64_t fault_reads(const struct fault_scene *s, unsigned j)
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
uint64_t fault_weights(const struct fault_scene *s, unsigned j)
{
    const struct sl_job *job = &s->rig.job[j];
    uint64_t n = rig_record(&s->rig, j).beats;
    if (job->op == SL_OP_ROUTER)
        n += ref_ceil_div(job->rows, 64) + ref_ceil_div(job->rows, 16); /* exponents, biases */
    return n ? n + 1 : 0;
}

/* Poisons what a launch is to write. */
static void poison(const struct fault_scene *s, uint8_t *ctl)
{
    const uint32_t n = s->rig.n_job;
    memset(ctl + (size_t)records(s) * SL_BEAT_BYTES, POISON, (size_t)n * SL_BEAT_BYTES);
    for (unsigned j = 0; j < n; j++)
        copy_y(&s->rig.job[j], ctl, s->poison);
}

/* Puts what nobody can foretell at what the reference has: the time in records, and all that jobs
 * that failed, or read what such a job wrote, left of y and counters. */
static void forget(const struct fault_scene *s, const unsigned *status, uint8_t *got)
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
        for (unsigned p = 0; p < s->n_port && fault_counters(s, j); p++)
            memcpy(got + counters + 16 * p + 4, ref + counters + 16 * p + 4, 8);
        if (!loose)
            continue;
        copy_y(&rig->job[j], got, ref);
        memcpy(got + rec, ref + rec, SL_BEAT_BYTES);
        memcpy(got + counters, ref + counters, fault_counters(s, j) * SL_BEAT_BYTES);
    }
}

/* A record of a job that failed names the job, if that was read, and nothing that it did not do. */
static void check_failed(const struct fault_scene *s, const struct sl_record *rec, unsigned j)
{
    if (rec->status == FAULT_ABSENT)
        return;
    CU_ASSERT(rec->cookie == s->rig.job[j].cookie || rec->cookie == 0);
    CU_ASSERT_EQUAL(rec->abi_version, SL_ABI_VERSION);
    CU_ASSERT(rec->macs == 0 && rec->beats == 0 && rec->sat_gu == 0 && rec->saturations == 0 &&
              rec->clamps == 0 && rec->overflows == 0);
}

/* The launch on an open device. */
static void launch(struct fault_scene *s, struct sl_device *dev, struct fault_trial *t)
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
    s->hung = s->hung || t->err == SL_ERR_TIMEOUT;
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
void fault_try(struct fault_scene *s, const char *device, struct fault_trial *first,
               struct fault_trial *second)
{
    struct sl_device *dev = NULL;
    char name[SL_DEVICE_NAME];
    const char *more = getenv("SL_FAULT_MORE");
    snprintf(name, sizeof name, "%s%s", device, more ? more : "");
    *first = *second = (struct fault_trial){.device = device};
    CU_ASSERT_FALSE(s->hung);
    if (s->hung)
        return;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, name), 0);
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
static void scene_sound(struct fault_scene *s, const char *device)
{
    struct fault_trial first, second;
    CU_ASSERT_TRUE_FATAL(rig_run(&s->rig));
    s->limit = (uint32_t)s->rig.ref.ctl_limit;
    s->n_port = s->rig.dev->n_port;
    s->got = malloc((size_t)s->limit * SL_BEAT_BYTES);
    s->poison = malloc((size_t)s->limit * SL_BEAT_BYTES);
    CU_ASSERT_FATAL(s->got && s->poison);
    memset(s->poison, POISON, (size_t)s->limit * SL_BEAT_BYTES);
    fault_try(s, device, &first, &second);
    for (unsigned j = 0; j < s->rig.n_job; j++)
        CU_ASSERT(first.status[j] == OK && second.status[j] == OK);
    s->before = first.before;
    s->after = first.after;
}

void fault_close(struct fault_scene *s)
{
    rig_close(&s->rig);
    free(s->got);
    free(s->poison);
}

/* Plain jobs of `rows` x 256 on one slab. */
bool fault_plain_scene(struct fault_scene *s, const char *device, unsigned rows,
                       const unsigned *n_tokens, unsigned n_job)
{
    enum { K = 256 };
    struct core_rig *rig = &s->rig;
    if (!fault_built(device))
        return false;
    *s = (struct fault_scene){.router = -1, .indirect = -1};
    CU_ASSERT_EQUAL_FATAL(rig_open(rig, device, CTL_BEATS, W_BEATS), 0);
    rig_reset(rig, 7, "plain jobs");
    const uint32_t w_off = rig_put_random(rig, SL_FORMAT_Q8, K, rows);
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
    scene_sound(s, device);
    return true;
}

/* Jobs of the scene of all kinds, with places of their own. */
static void add_kinds(struct fault_scene *s, const struct core_scene *all,
                      const enum scene_job *order, unsigned n)
{
    struct core_rig *rig = &s->rig;
    for (unsigned i = 0; i < n; i++) {
        struct sl_job *job = rig_job(rig, all->job[order[i]].op);
        uint32_t cookie = job->cookie;
        *job = all->job[order[i]];
        job->cookie = cookie;
        const struct items y = y_of(job);
        job->y_off = rig_ctl(rig, (y.n - 1) * y.stride + y.len);
    }
}

/* One of each; the router's choice is the expert of the job behind it, and one job asks for
 * counters. */
static void add_all_kinds(struct fault_scene *s, const struct core_scene *all)
{
    static const enum scene_job order[] = {SCENE_ROUTER, SCENE_LIST,   SCENE_INDIRECT,
                                           SCENE_PACK,   SCENE_PLAIN,  SCENE_REDUCE,
                                           SCENE_EXPERT, SCENE_UNPACK, SCENE_QUERY};
    struct core_rig *rig = &s->rig;
    uint32_t slots = rig_ctl(rig, 1);
    for (unsigned i = 0; i < 16; i++)
        ref_put32(rig_at(rig, slots) + 4 * i, all->job[SCENE_EXPERT].w_off);
    add_kinds(s, all, order, sizeof order / sizeof order[0]);
    s->router = 0;
    s->indirect = 2;
    rig->job[2].route_off = rig->job[0].y_off;
    rig->job[2].route_token = 1;
    rig->job[2].slot_off = slots;
    rig->job[4].flags |= SL_FLAG_PORT_COUNTERS;
}

/* Jobs of matrices and, behind them, a router that nobody asks. */
static void add_matrices(struct fault_scene *s, const struct core_scene *all)
{
    static const enum scene_job order[] = {SCENE_EXPERT, SCENE_PLAIN, SCENE_ROUTER};
    add_kinds(s, all, order, sizeof order / sizeof order[0]);
    s->router = s->indirect = -1;
}

static bool kinds_scene(struct fault_scene *s, const char *device,
                        void (*add)(struct fault_scene *s, const struct core_scene *all))
{
    struct core_scene all;
    struct sl_device *dev = NULL;
    if (!fault_built(device))
        return false;
    *s = (struct fault_scene){0};
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, device), 0);
    CU_ASSERT_EQUAL_FATAL(scene_open_on(&all, dev), 0);
    s->rig = all.rig;
    s->rig.ctl_top = all.job[0].y_off;
    add(s, &all);
    free(all.saved);
    scene_sound(s, device);
    return true;
}

bool fault_full_scene(struct fault_scene *s, const char *device)
{
    return kinds_scene(s, device, add_all_kinds);
}

bool fault_matrix_scene(struct fault_scene *s, const char *device)
{
    return kinds_scene(s, device, add_matrices);
}

void fault_same_records(const char *first, const char *second, const char *options)
{
    static struct fault_scene a, b;
    char name[2][SL_DEVICE_NAME];
    snprintf(name[0], sizeof name[0], "%s%s", first, options);
    snprintf(name[1], sizeof name[1], "%s%s", second, options);
    if (!fault_full_scene(&a, name[0]))
        return;
    CU_ASSERT_FATAL(fault_full_scene(&b, name[1]));
    CU_ASSERT_EQUAL(a.rig.n_job, b.rig.n_job);
    CU_ASSERT_EQUAL(memcmp(a.rig.timed, b.rig.timed, a.rig.n_job * sizeof a.rig.timed[0]), 0);
    CU_ASSERT(a.rig.timed[0].cycles > 0 && a.after.cycles > 0);
    CU_ASSERT_EQUAL(a.after.cycles, b.after.cycles);
    CU_ASSERT_EQUAL(a.after.w[0].read_bytes, b.after.w[0].read_bytes);
    CU_ASSERT_EQUAL(a.after.ctl.write_bytes, b.after.ctl.write_bytes);
    fault_close(&a);
    fault_close(&b);
}
