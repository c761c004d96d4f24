/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "store/gptq.h"
#include "store/slab.h"

enum { E4M3_ONE = 9 /* fp8 codes are integers times 2^-9 */ };

void sl_pack_for(const struct sl_pack_run *run, sl_pool_fn fn, void *user, size_t n)
{
    if (run->pool) {
        sl_pool_run(run->pool, fn, user, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        fn(user, i, 0);
}

unsigned sl_pack_threads(const struct sl_pack_run *run)
{
    return run->pool ? sl_pool_threads(run->pool) : 1;
}

/* n rows, one behind the other. */
static void read_rows(const struct sl_pack_matrix *m, uint64_t row, uint32_t n, float *dst)
{
    uint64_t columns = m->tensor->dim[1], k64 = sl_k64(m->k);
    for (uint32_t done = 0; done < n;) {
        uint64_t at = row + done, run = m->block ? m->block - at % m->block : n;
        uint32_t some = run < n - done ? (uint32_t)run : n - done;
        sl_tensor_read_rows(m->tensor, sl_pack_tensor_row(m, at), some, dst + done * k64, k64);
        done += some;
    }
    for (uint32_t i = 0; i < n; i++)
        memset(dst + i * k64 + columns, 0, (k64 - columns) * sizeof *dst);
}

void sl_pack_read_row(const struct sl_pack_matrix *m, uint64_t row, float *dst)
{
    read_rows(m, row, 1, dst);
}

/* ---- scan ----------------------------------------------------------------------------------- */

struct scan_job {
    const struct sl_pack_matrix *m;
    const float *norm;
    uint32_t block; /* rows of an item */
    float *row;     /* scratch: `block` rows of K64 floats per thread */
    float *absmax;  /* [n_row]; infinity or NaN marks a bad row */
    double *energy; /* [n_row] */
};

static float find_absmax(const float *w, uint64_t n)
{
    uint32_t top = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, w + i, sizeof bits);
        bits &= 0x7FFFFFFFu; /* magnitudes compare like integers, NaN above all */
        top = bits > top ? bits : top;
    }
    float r;
    memcpy(&r, &top, sizeof r);
    return r;
}

static double find_energy(const float *w, const float *norm, uint64_t n)
{
    double sum[4] = {0};
    for (uint64_t i = 0; i < n; i++) {
        double v = (double)w[i] * (norm ? (double)norm[i] : 1.0);
        sum[i % 4] += v * v;
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static void scan_rows(void *user, size_t item, unsigned thread)
{
    const struct scan_job *job = user;
    uint64_t k64 = sl_k64(job->m->k), columns = job->m->tensor->dim[1];
    uint64_t first = item * job->block, left = job->m->n_row - first;
    uint32_t n = left < job->block ? (uint32_t)left : job->block;
    float *row = job->row + thread * job->block * k64;
    read_rows(job->m, first, n, row);
    for (uint32_t i = 0; i < n; i++, row += k64) {
        job->absmax[first + i] = find_absmax(row, columns);
        job->energy[first + i] = find_energy(row, job->norm, columns);
    }
}

static int check_matrix(const struct sl_pack_matrix *m)
{
    const struct sl_tensor *t = m->tensor;
    if (t->n_dim == 2 && t->dim[1] > 0 && t->dim[1] <= m->k && m->n_row > 0 &&
        m->n_row <= m->rows && sl_pack_tensor_row(m, m->n_row - 1) < t->dim[0] &&
        m->k % SL_BLOCK == 0)
        return 0;
    return sl_fail(SL_ERR_SHAPE, "the checkpoint does not fit its config.json",
                   "tensor %s: cannot be a matrix of %llu rows in %u columns", t->name,
                   (unsigned long long)m->n_row, m->k);
}

static int report_bad_row(const struct sl_pack_matrix *m, uint64_t row, float *scratch)
{
    sl_pack_read_row(m, row, scratch);
    uint64_t c = 0;
    while (isfinite(scratch[c]))
        c++;
    return sl_fail(SL_ERR_RANGE, "the checkpoint is damaged; download it again",
                   "tensor %s: element [%llu, %llu] is %s", m->tensor->name,
                   (unsigned long long)sl_pack_tensor_row(m, row), (unsigned long long)c,
                   isnan(scratch[c]) ? "NaN" : "infinite");
}

int sl_pack_scan_matrix(const struct sl_pack_matrix *m, const float *norm, struct sl_pack_run *run,
                        struct sl_pack_scan *out)
{
    int err = check_matrix(m);
    if (err)
        return err;
    struct scan_job job = {
        .m = m, .norm = norm, .block = sl_tensor_row_block(m->tensor), .absmax = out->row_absmax};
    float *own = NULL;
    err = SL_ERR_NOMEM;
    job.row =
        sl_alloc_aligned(64, sl_pack_threads(run) * job.block * sl_k64(m->k) * sizeof *job.row);
    if (!job.absmax)
        job.absmax = own = sl_alloc(m->n_row, sizeof *own);
    job.energy = sl_alloc(m->n_row, sizeof *job.energy);
    if (!job.row || !job.absmax || !job.energy)
        goto done;
    if (m->tensor->gptq) /* its rows are read across all of it */
        sl_mapping_touch(m->tensor->data, m->tensor->n_bytes);
    sl_pack_for(run, scan_rows, &job, (m->n_row + job.block - 1) / job.block);

    /* In ascending order, so that the same element is named and the same sum is formed on any
     * number of threads. */
    float absmax = 0;
    double energy = 0;
    for (uint64_t i = 0; i < m->n_row; i++) {
        if (!isfinite(job.absmax[i])) {
            err = report_bad_row(m, i, job.row);
            goto done;
        }
        absmax = job.absmax[i] > absmax ? job.absmax[i] : absmax;
        energy += job.energy[i];
    }
    out->absmax = absmax;
    out->energy = energy / (double)m->n_row;
    err = 0;
done:
    free(job.energy);
    free(own);
    free(job.row);
    return err;
}

/* ---- plan ----------------------------------------------------------------------------------- */

/* int4 that keeps the codes: the window of scales must reach the largest that is stored, and what
 * the groups that cannot be kept need. */
static void set_kept_scale(struct sl_pack_plan *plan, unsigned i, float absmax)
{
    const struct sl_pack_matrix *m = &plan->matrix[i];
    const struct sl_tensor *t = m->tensor;
    float top = 0;
    for (uint64_t c = 0; c < t->dim[1]; c += t->gptq->group)
        for (uint64_t row = 0; row < m->n_row; row++) {
            float s = sl_gptq_scale(t, sl_pack_tensor_row(m, row), c);
            top = s > top && isfinite(7 * s) ? s : top;
        }
    plan->scale[i] = sl_choose_scale(SL_FORMAT_INT4, fmaxf(absmax, 7 * top));
}

int sl_pack_set_scale(struct sl_pack_plan *plan, unsigned i, int format, float absmax)
{
    const struct sl_tensor *t = plan->matrix[i].tensor;
    if (format == SL_FORMAT_INT4 && t->gptq && t->gptq->bits == 4) {
        plan->keep_codes[i] = true;
        set_kept_scale(plan, i, absmax);
        return 0;
    }
    plan->keep_codes[i] = format == SL_FORMAT_FP8 && t->dtype == SL_DTYPE_F8_E4M3;
    if (!plan->keep_codes[i]) {
        plan->scale[i] = sl_choose_scale(format, absmax);
        return 0;
    }
    if (!(t->scale > 0) || !isfinite(t->scale))
        return sl_fail(SL_ERR_RANGE, "the checkpoint is damaged; download it again",
                       "tensor %s: its weight_scale %g is not positive", t->name, (double)t->scale);
    plan->scale[i] = sl_round_scale(t->scale);
    plan->scale[i].exp = (int16_t)(plan->scale[i].exp - E4M3_ONE);
    return 0;
}

int sl_pack_plan_plain(struct sl_pack_plan *plan, const struct sl_pack_matrix *m, int format,
                       struct sl_pack_run *run)
{
    struct sl_pack_scan scan = {0};
    int err = sl_pack_scan_matrix(m, NULL, run, &scan);
    if (err)
        return err;
    *plan = (struct sl_pack_plan){.n_matrix = 1, .matrix = {*m}};
    err = sl_pack_set_scale(plan, 0, format, scan.absmax);
    if (err)
        return err;
    plan->header = (struct sl_slab){.magic = SL_SLAB_MAGIC,
                                    .kind = SL_KIND_PLAIN,
                                    .format = (uint8_t)format,
                                    .k = m->k,
                                    .rows = m->rows,
                                    .mant0 = plan->scale[0].mant,
                                    .exp0 = plan->scale[0].exp};
    return sl_slab_check(&plan->header);
}

void sl_pack_release(const struct sl_pack_plan *plan)
{
    for (unsigned i = 0; i < plan->n_matrix; i++)
        sl_tensor_release(plan->matrix[i].tensor);
}

/* ---- emit ----------------------------------------------------------------------------------- */

/* Rows of one matrix that were read together. */
struct rows {
    float *w; /* [block][K64] */
    uint64_t first;
    uint32_t n; /* 0: none yet */
};

/* Room of one thread. */
struct row_work {
    struct rows rows[2]; /* of gate and up; of others the first */
    uint8_t *code[2];    /* [K64] each: the rows of a pair */
    uint8_t *scale[2];   /* [K64 / 32] each */
    float *known;        /* [K64 / 32] */
};

struct emit_job {
    const struct sl_pack_plan *plan;
    unsigned region;
    uint64_t first, count, unit_bytes, k;
    uint32_t block; /* rows that are read together, units of an item */
    uint8_t *dst;
    uint8_t *arena; /* arena_bytes per thread, a row_work each */
    uint64_t arena_bytes;
    uint64_t *raised; /* per thread, 8 apart: one cache line each */
};

enum { RAISED_STEP = 8 };

static struct row_work get_work(const struct emit_job *job, unsigned thread)
{
    uint64_t k64 = sl_k64(job->k);
    uint8_t *p = job->arena + thread * job->arena_bytes;
    struct row_work w = {.known = (float *)(void *)p};
    p += k64 * sizeof *w.known;
    for (unsigned i = 0; i < 2; i++) {
        w.rows[i].w = (float *)(void *)p;
        p += job->block * k64 * sizeof *w.rows[i].w;
    }
    for (unsigned i = 0; i < 2; i++) {
        w.code[i] = p;
        w.scale[i] = p + k64;
        p += 2 * k64;
    }
    return w;
}

static uint64_t arena_bytes(const struct emit_job *job)
{
    return sl_k64(job->k) * ((1 + 2 * job->block) * sizeof(float) + 4);
}

static const float *read_row(const struct emit_job *job, const struct sl_pack_matrix *m,
                             uint64_t row, struct rows *rows)
{
    if (row < rows->first || row - rows->first >= rows->n) {
        rows->first = row - row % job->block;
        uint64_t left = m->n_row - rows->first;
        rows->n = left < job->block ? (uint32_t)left : job->block;
        read_rows(m, rows->first, rows->n, rows->w);
    }
    return rows->w + (row - rows->first) * sl_k64(m->k);
}

/* The source's scale of each 32 columns, 0 behind its columns. */
static void read_known(const struct sl_pack_matrix *m, uint64_t row, float *known)
{
    const struct sl_tensor *t = m->tensor;
    for (uint64_t g = 0; g < m->k / SL_BLOCK; g++)
        known[g] = g * SL_BLOCK < t->dim[1]
                       ? sl_gptq_scale(t, sl_pack_tensor_row(m, row), g * SL_BLOCK)
                       : 0;
}

/* Codes and scale bytes of one row into code[0..k) and scale[0..k / 32). Rows past the tensor's are
 * zero rows. */
static uint64_t encode_row(const struct emit_job *job, unsigned matrix, uint64_t row, unsigned half,
                           struct row_work *work)
{
    const struct sl_pack_matrix *m = &job->plan->matrix[matrix];
    int format = job->plan->header.format;
    if (row >= m->n_row) {
        memset(work->code[half], sl_zero_byte(format) & 15, job->k);
        memset(work->scale[half], 0, job->k / SL_BLOCK);
        return 0;
    }
    bool keep = job->plan->keep_codes[matrix];
    if (keep && format == SL_FORMAT_FP8) {
        uint64_t columns = m->tensor->dim[1];
        memcpy(work->code[half], m->tensor->data + sl_pack_tensor_row(m, row) * columns, columns);
        memset(work->code[half] + columns, 0, job->k - columns);
        return 0;
    }
    const struct sl_matrix_scale scale = job->plan->scale[matrix];
    const float *w = read_row(job, m, row, &work->rows[matrix == 1]);
    if (!keep)
        return sl_encode_row(format, scale, w, job->k, work->code[half], work->scale[half]);
    read_known(m, row, work->known);
    return sl_encode_kept_row(scale, w, job->k, work->known, work->code[half], work->scale[half]);
}

static void write_pair(int format, uint64_t k, const struct row_work *work, uint8_t *dst)
{
    uint64_t n_group = k / SL_BLOCK, scale_bytes = sl_scale_beats(format, k) * SL_BEAT_BYTES;
    memset(dst, 0, scale_bytes);
    for (uint64_t g = 0; g < n_group; g++) {
        dst[2 * g] = work->scale[0][g];
        dst[2 * g + 1] = work->scale[1][g];
    }
    dst += scale_bytes;
    for (uint64_t i = 0; i < k; i++)
        dst[i] = (uint8_t)(work->code[0][i] | work->code[1][i] << 4);
    memset(dst + k, sl_zero_byte(format), sl_k64(k) - k);
}

static void write_row(int format, uint64_t k, const struct row_work *work, unsigned half,
                      uint8_t *dst)
{
    uint64_t n_group = format == SL_FORMAT_FP8 ? 0 : k / SL_BLOCK;
    uint64_t scale_bytes = sl_scale_beats(format, k) * SL_BEAT_BYTES;
    memcpy(dst, work->scale[half], n_group);
    memset(dst + n_group, 0, scale_bytes - n_group);
    memcpy(dst + scale_bytes, work->code[half], k);
    memset(dst + scale_bytes + k, sl_zero_byte(format), sl_k64(k) - k);
}

static void emit_unit(const struct emit_job *job, uint64_t i, unsigned thread,
                      struct row_work *work)
{
    const struct sl_pack_plan *plan = job->plan;
    uint64_t unit = job->first + i;
    uint8_t *dst = job->dst + i * job->unit_bytes;
    if (plan->header.kind == SL_KIND_ROUTER) {
        uint64_t rows = plan->matrix[0].rows;
        sl_pack_router_row(&plan->matrix[unit / rows], unit % rows, plan->row_exp[unit],
                           work->rows[0].w, dst);
        return;
    }
    bool gate_up = plan->header.kind == SL_KIND_EXPERT && job->region == 0;
    int format = plan->header.format;
    for (unsigned half = 0; half < 2; half++) {
        unsigned matrix = gate_up ? half : job->region ? 2 : 0;
        uint64_t row = gate_up ? unit : 2 * unit + half;
        job->raised[thread * RAISED_STEP] += encode_row(job, matrix, row, half, work);
        if (!sl_format_is_4bit(format))
            write_row(format, job->k, work, half, dst + half * (job->unit_bytes / 2));
    }
    if (sl_format_is_4bit(format))
        write_pair(format, job->k, work, dst);
}

static void emit_units(void *user, size_t item, unsigned thread)
{
    const struct emit_job *job = user;
    struct row_work work = get_work(job, thread);
    uint64_t end = (item + 1) * job->block;
    for (uint64_t i = item * job->block; i < end && i < job->count; i++)
        emit_unit(job, i, thread, &work);
}

/* The most that a matrix of the plan asks for. */
static uint32_t find_block(const struct sl_pack_plan *plan)
{
    uint32_t block = 1;
    for (unsigned i = 0; i < plan->n_matrix; i++) {
        uint32_t b = sl_tensor_row_block(plan->matrix[i].tensor);
        block = b > block ? b : block;
    }
    return block;
}

/* Groups in the tensors' own rows of `count` units: zero rows have none. */
static uint64_t count_groups(const struct emit_job *job, uint64_t count)
{
    const struct sl_pack_plan *plan = job->plan;
    if (plan->header.kind == SL_KIND_ROUTER || plan->header.format == SL_FORMAT_FP8)
        return 0;
    bool gate_up = plan->header.kind == SL_KIND_EXPERT && job->region == 0;
    uint64_t have =
        gate_up ? plan->matrix[0].n_row : (plan->matrix[job->region ? 2 : 0].n_row + 1) / 2;
    uint64_t end = job->first + count < have ? job->first + count : have;
    uint64_t units = end > job->first ? end - job->first : 0;
    uint64_t odd = !gate_up && end == have && units && plan->matrix[job->region ? 2 : 0].n_row % 2;
    return (2 * units - odd) * (job->k / SL_BLOCK);
}

int sl_pack_units(const struct sl_pack_plan *plan, unsigned region, uint64_t first, uint64_t count,
                  uint8_t *dst, struct sl_pack_run *run)
{
    struct sl_slab_shape shape = sl_slab_get_shape(&plan->header);
    struct emit_job job = {.plan = plan,
                           .region = region,
                           .first = first,
                           .count = count,
                           .block = find_block(plan),
                           .dst = dst,
                           .unit_bytes = shape.unit_beats[region] * SL_BEAT_BYTES,
                           .k = region ? plan->header.rows : plan->header.k};
    unsigned n_thread = sl_pack_threads(run);
    job.arena_bytes = arena_bytes(&job);
    job.arena = sl_alloc_aligned(64, n_thread * job.arena_bytes);
    job.raised = sl_alloc(n_thread * RAISED_STEP, sizeof *job.raised);
    int err = job.arena && job.raised ? 0 : SL_ERR_NOMEM;
    if (!err) {
        sl_pack_for(run, emit_units, &job, (count + job.block - 1) / job.block);
        run->n_group += count_groups(&job, count);
        for (unsigned i = 0; i < n_thread; i++)
            run->n_group_raised += job.raised[i * RAISED_STEP];
    }
    free(job.raised);
    free(job.arena);
    return err;
}

void sl_pack_head(const struct sl_pack_plan *plan, uint8_t *dst)
{
    struct sl_slab_shape shape = sl_slab_get_shape(&plan->header);
    memset(dst, 0, shape.head_beats * SL_BEAT_BYTES);
    memcpy(dst, &plan->header, SL_BEAT_BYTES);
    if (plan->header.kind == SL_KIND_ROUTER)
        memcpy(dst + SL_BEAT_BYTES, plan->row_exp, plan->header.rows);
}

int sl_pack_slab(const struct sl_pack_plan *plan, uint8_t *dst, struct sl_pack_run *run)
{
    struct sl_slab_shape shape = sl_slab_get_shape(&plan->header);
    sl_pack_head(plan, dst);
    dst += shape.head_beats * SL_BEAT_BYTES;
    for (unsigned r = 0; r < shape.n_region; r++) {
        int err = sl_pack_units(plan, r, 0, shape.units[r], dst, run);
        if (err)
            return err;
        dst += shape.units[r] * shape.unit_beats[r] * SL_BEAT_BYTES;
    }
    return 0;
}
