/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked jobs on the CPU's threads. A group takes two passes over its weights: plain rows and gate
 * and up of all experts, then down of all experts; each is cut into parts of rows. No bit depends
 * on the cut: sums are exact, and whole blocks of h are in one part.
 */
#include <string.h>

#include "accel/cpu_device_state.h"
#include "accel/cpu_kernels.h"

enum {
    PART_UNITS = SL_BLOCK,                /* parts are multiples of it: a block of h is whole */
    MAX_UNITS = SL_CPU_MAX_PART_ROWS / 2, /* taken together */
    PARTS_PER_THREAD = 16,                /* so that threads finish together */
    ALONE_BYTES = 128 << 10,              /* less than waking a thread is worth */
    N_PASS = 2
};

static unsigned threads_of(const struct sl_cpu_device *cpu)
{
    return cpu->pool ? cpu->n_thread : 1;
}

void sl_cpu_parallel(struct sl_cpu_device *cpu, sl_pool_fn fn, void *user, size_t n, uint64_t bytes)
{
    if (cpu->pool && n > 1 && bytes >= ALONE_BYTES) {
        sl_pool_run(cpu->pool, fn, user, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        fn(user, i, 0);
}

/* ---- members --------------------------------------------------------------------------------- */

/* The first member whose x is the same, so that a thread need not load it again. */
static unsigned find_x(const struct sl_cpu_device *cpu, const struct sl_cpu_member *m)
{
    for (unsigned i = 0; i < cpu->n_member; i++) {
        const struct sl_cpu_member *o = &cpu->member[i];
        if (o->step.record.status == SL_STATUS_OK && o->step.job.format == m->step.job.format &&
            o->x.n_tok == m->x.n_tok && o->x.n_col == m->x.n_col &&
            !memcmp(o->step.x, m->step.x, m->x.n_tok * sizeof m->step.x[0]))
            return o->x_of;
    }
    return cpu->n_member;
}

bool sl_cpu_member_plan(struct sl_cpu_device *cpu, struct sl_cpu_member *m)
{
    const struct sl_job *job = &m->step.job;
    m->slab = (const void *)(m->w + (size_t)job->w_off * SL_BEAT_BYTES);
    if (!cpu->ops->sums)
        return true;
    m->x_of = find_x(cpu, m);
    atomic_init(&m->sat_gu, 0);
    atomic_init(&m->saturations, 0);
    atomic_init(&m->clamps, 0);
    if (job->op == SL_OP_PLAIN) {
        m->rows = sl_cpu_rows_plain(m->slab);
        return true;
    }
    m->rows = sl_cpu_rows_gate_up(m->slab);
    m->down = sl_cpu_rows_down(m->slab, job->slice_first, job->slice_count);
    m->h_stride = sl_cpu_round64(job->slice_count);
    m->he_stride = sl_cpu_round64(job->slice_count / SL_BLOCK);
    const size_t bytes = job->n_tokens * (m->h_stride + m->he_stride);
    if (cpu->h_used + bytes > SL_CPU_H_BYTES)
        return false;
    m->h = (int8_t *)cpu->h + cpu->h_used;
    m->he = (uint8_t *)m->h + job->n_tokens * m->h_stride;
    cpu->h_used += bytes;
    return true;
}

/* ---- a part ---------------------------------------------------------------------------------- */

/* Rows row .. row + n - 1 of y of every token; zeros behind the last one up to its beat's end. */
static void put_y(const struct sl_cpu_device *cpu, const struct sl_cpu_member *m,
                  const struct sl_cpu_work *work, uint32_t row, uint32_t n, uint16_t mant, int exp)
{
    const struct sl_job *job = &m->step.job;
    const bool expert = job->op == SL_OP_EXPERT, partial = job->flags & SL_FLAG_PARTIAL;
    const uint32_t rows = expert ? job->k : job->rows, size = partial ? 8 : 4;
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        uint8_t *item = sl_cpu_ctl(cpu, job->y_off + (uint64_t)t * job->y_stride);
        uint8_t *y = item + (size_t)row * size;
        if (partial)
            memcpy(y, work->sum[t], n * sizeof work->sum[t][0]);
        else
            cpu->ops->round(work->sum[t], n, mant, exp + (expert ? 0 : m->base[t]),
                            (float *)(void *)y);
        if (row + n == rows)
            memset(y + n * size, 0, sl_cpu_round64(rows * size) - rows * size);
    }
}

static void load(struct sl_cpu_device *cpu, unsigned thread, const struct sl_cpu_x *x, int format,
                 uint64_t what)
{
    struct sl_cpu_thread *t = &cpu->thread[thread];
    const uint64_t key = (cpu->n_group * SL_CPU_MAX_MEMBER * N_PASS) + what + 1;
    if (t->loaded == key)
        return;
    cpu->ops->load(x, format, t->work);
    t->loaded = key;
}

static void make_h(const struct sl_cpu_device *cpu, struct sl_cpu_member *m,
                   const struct sl_cpu_work *work, uint32_t unit, uint32_t n)
{
    const struct sl_slab *slab = m->slab;
    struct sl_cpu_counts counts = {0, 0, 0};
    for (uint32_t t = 0; t < m->x.n_tok; t++) {
        const struct sl_cpu_swiglu s = {.mant0 = slab->mant0,
                                        .mant1 = slab->mant1,
                                        .exp0 = slab->exp0 + m->base[t] + 16,
                                        .exp1 = slab->exp1 + m->base[t] + 16,
                                        .u = slab->u_h - m->step.job.u_h_drop};
        cpu->ops->swiglu(&s, work->sum[t], n, m->h + t * m->h_stride + unit,
                         m->he + t * m->he_stride + unit / SL_BLOCK, &counts);
    }
    atomic_fetch_add_explicit(&m->sat_gu, counts.sat_gu, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->saturations, counts.saturations, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->clamps, counts.clamps, memory_order_relaxed);
}

/* Units unit .. unit + n - 1 of the job: of the slice, or of the matrix. */
static void first_pass(struct sl_cpu_device *cpu, struct sl_cpu_member *m, unsigned thread,
                       uint32_t unit, uint32_t n)
{
    const struct sl_job *job = &m->step.job;
    void *work = cpu->thread[thread].work;
    load(cpu, thread, &m->x, job->format, m->x_of);
    if (job->op == SL_OP_EXPERT) {
        cpu->ops->sums(&m->rows, job->slice_first + unit, n, work);
        make_h(cpu, m, work, unit, n);
        return;
    }
    const uint32_t left = job->rows - 2 * unit;
    cpu->ops->sums(&m->rows, unit, n, work);
    put_y(cpu, m, work, 2 * unit, left < 2 * n ? left : 2 * n, m->slab->mant0, m->slab->exp0);
}

static void second_pass(struct sl_cpu_device *cpu, struct sl_cpu_member *m, unsigned thread,
                        uint32_t unit, uint32_t n)
{
    const struct sl_job *job = &m->step.job;
    void *work = cpu->thread[thread].work;
    struct sl_cpu_x h = {.n_tok = job->n_tokens, .n_col = job->slice_count};
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        h.code[t] = m->h + t * m->h_stride;
        h.xe[t] = m->he + t * m->he_stride;
    }
    load(cpu, thread, &h, job->format, SL_CPU_MAX_MEMBER + (uint64_t)(m - cpu->member));
    cpu->ops->sums(&m->down, unit, n, work);
    put_y(cpu, m, work, 2 * unit, 2 * n, m->slab->mant2,
          m->slab->exp2 - (m->slab->u_h - job->u_h_drop));
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* Parts of all members in one pass. */
struct pass {
    struct sl_cpu_device *cpu;
    int number; /* 0, 1 */
    uint32_t part_units;
    uint32_t first[SL_CPU_MAX_MEMBER + 1]; /* part of each member */
    uint64_t bytes;                        /* of weights, times tokens where they are many */
};

static uint32_t units_of(const struct sl_cpu_member *m, int pass)
{
    const struct sl_job *job = &m->step.job;
    if (m->step.record.status != SL_STATUS_OK)
        return 0;
    if (job->op == SL_OP_PLAIN)
        return pass == 0 ? (job->rows + 1) / 2 : 0;
    return pass == 0 ? job->slice_count : job->k / 2u;
}

static void plan_pass(struct pass *p)
{
    const struct sl_cpu_device *cpu = p->cpu;
    uint64_t all = 0;
    for (unsigned i = 0; i < cpu->n_member; i++) {
        const struct sl_cpu_member *m = &cpu->member[i];
        const uint32_t n = units_of(m, p->number);
        const struct sl_cpu_rows *rows = p->number == 0 ? &m->rows : &m->down;
        all += n;
        p->bytes += n ? n * (uint64_t)rows->unit_bytes * (3 + m->x.n_tok) / 4 : 0;
    }
    const uint32_t part = sl_ceil_div(all, threads_of(cpu) * PARTS_PER_THREAD);
    p->part_units = (part + PART_UNITS - 1) / PART_UNITS * PART_UNITS;
    for (unsigned i = 0; all && i < cpu->n_member; i++)
        p->first[i + 1] =
            p->first[i] + sl_ceil_div(units_of(&cpu->member[i], p->number), p->part_units);
}

static void run_part(void *user, size_t i, unsigned thread)
{
    const struct pass *p = user;
    unsigned at = 0;
    while (i >= p->first[at + 1])
        at++;
    struct sl_cpu_member *m = &p->cpu->member[at];
    const uint32_t first = (uint32_t)(i - p->first[at]) * p->part_units;
    const uint32_t left = units_of(m, p->number) - first;
    const uint32_t end = first + (left < p->part_units ? left : p->part_units);
    for (uint32_t unit = first, n; unit < end; unit += n) {
        n = end - unit < MAX_UNITS ? end - unit : MAX_UNITS;
        (p->number == 0 ? first_pass : second_pass)(p->cpu, m, thread, unit, n);
    }
}

/* A whole job by the core. */
static void run_member(void *user, size_t i, unsigned thread)
{
    struct sl_cpu_device *cpu = user;
    struct sl_cpu_member *m = &cpu->member[i];
    if (m->step.record.status == SL_STATUS_OK)
        sl_step_compute_p1(cpu->base.ctl_host, cpu->base.ctl_beats, m->w, m->w_limit,
                           cpu->thread[thread].core, &m->step);
}

void sl_cpu_group_run(struct sl_cpu_device *cpu)
{
    if (!cpu->ops->sums) {
        sl_cpu_parallel(cpu, run_member, cpu, cpu->n_member, ALONE_BYTES);
        return;
    }
    cpu->n_group++;
    for (int number = 0; number < N_PASS; number++) {
        struct pass p = {.cpu = cpu, .number = number};
        plan_pass(&p);
        if (p.bytes)
            sl_cpu_parallel(cpu, run_part, &p, p.first[cpu->n_member], p.bytes);
    }
    for (unsigned i = 0; i < cpu->n_member; i++) {
        struct sl_cpu_member *m = &cpu->member[i];
        if (m->step.record.status != SL_STATUS_OK)
            continue;
        m->step.record.sat_gu = atomic_load(&m->sat_gu);
        m->step.record.saturations = atomic_load(&m->saturations);
        m->step.record.clamps = atomic_load(&m->clamps);
    }
}
