/* SPDX-License-Identifier: Apache-2.0 */
#include "validate/validate_data.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "base/err.h"
#include "base/number.h"
#include "store/pack.h"
#include "store/slab.h"

enum {
    HEAP = 2 * SL_VALIDATE_MAX_JOB, /* jobs and records lie in front */
    GAP = 1,                        /* beats between items that nobody may write */
    N_TOKENS = 5,
    N_EXPERT = 24,
    TOP_K = 4,
    CHOSEN = 5, /* INDIRECT: the expert of choice 0; that of choice 1 is absent */
    MISSING = 2,
    N_SLOT = 8
};

const char *sl_validate_format_name(int format)
{
    static const char *const names[] = {"fp8", "q8", "nf4", "int4", "mxfp4"};
    return names[format];
}

int sl_validate_set_open(struct sl_validate_set *s)
{
    const size_t bytes = (size_t)SL_VALIDATE_SETUP_BEATS * SL_BEAT_BYTES;
    *s = (struct sl_validate_set){.top = HEAP};
    s->ctl = sl_alloc_aligned(SL_BEAT_BYTES, bytes);
    s->got = sl_alloc_aligned(SL_BEAT_BYTES, bytes);
    s->ref = sl_alloc_aligned(SL_BEAT_BYTES, bytes);
    if (s->ctl)
        memset(s->ctl, 0, HEAP * SL_BEAT_BYTES);
    return s->ctl && s->got && s->ref ? 0 : SL_ERR_NOMEM;
}

void sl_validate_set_close(struct sl_validate_set *s)
{
    for (unsigned i = 0; i < s->n_job; i++)
        free(s->job[i].slab);
    free(s->ctl);
    free(s->got);
    free(s->ref);
    *s = (struct sl_validate_set){0};
}

/* ---- places --------------------------------------------------------------------------------- */

static void fill(struct sl_validate *v, uint8_t *dst, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t word = sl_validate_random(v);
        memcpy(dst + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

static uint8_t *at(const struct sl_validate_set *s, uint32_t beat)
{
    return s->ctl + (size_t)beat * SL_BEAT_BYTES;
}

/* Beats of the control arena with noise in them, behind a gap. */
static uint32_t take(struct sl_validate *v, struct sl_validate_set *s, uint32_t beats)
{
    const uint32_t off = s->top + GAP;
    assert(off + beats <= SL_VALIDATE_SETUP_BEATS);
    fill(v, at(s, s->top), (size_t)(GAP + beats) * SL_BEAT_BYTES);
    s->top = off + beats;
    return off;
}

static struct sl_validate_job *add(struct sl_validate *v, struct sl_validate_set *s, int op,
                                   int format)
{
    assert(s->n_job < SL_VALIDATE_MAX_JOB);
    struct sl_validate_job *j = &s->job[s->n_job++];
    *j = (struct sl_validate_job){.job = {.op = (uint8_t)op,
                                          .format = (uint8_t)format,
                                          .cookie = (uint32_t)sl_validate_random(v) | 1,
                                          .n_tokens = N_TOKENS}};
    return j;
}

/* Room for n items of x and of y, of so many beats each. */
static void place(struct sl_validate *v, struct sl_validate_set *s, struct sl_validate_job *j,
                  uint32_t n, const uint32_t beats[2])
{
    j->job.x_stride = (uint16_t)(beats[0] + GAP);
    j->job.y_stride = (uint16_t)(beats[1] + GAP);
    j->job.x_off = take(v, s, n * j->job.x_stride);
    j->job.y_off = take(v, s, n * j->job.y_stride);
    j->y_beats = n * j->job.y_stride;
}

/* About normal, of a size that changes from block to block. */
static void fill_floats(struct sl_validate *v, float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t r = sl_validate_random(v);
        const float sum = (float)(r & 0xFFFF) + (float)(r >> 16 & 0xFFFF) +
                          (float)(r >> 32 & 0xFFFF) + (float)(r >> 48);
        x[i] = (sum - 131070.0f) * (1.0f / 37837.0f) * (i / SL_BLOCK % 5 ? 1.0f : 0.125f);
    }
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Codes of one row of k columns, padded to K64; none that a packer would not emit. */
static void fill_codes(struct sl_validate *v, int format, uint32_t k, uint8_t *dst)
{
    fill(v, dst, k);
    for (uint32_t i = 0; i < k && !sl_format_is_4bit(format); i++)
        if (format == SL_FORMAT_FP8 ? (dst[i] & 0x7F) == 0x7F : dst[i] == 0x80)
            dst[i] ^= 1;
    memset(dst + k, sl_zero_byte(format), sl_k64(k) - k);
}

/* Units of rows of k columns. */
static uint8_t *fill_units(struct sl_validate *v, int format, uint32_t k, uint64_t units,
                           uint8_t *dst)
{
    const uint64_t scale = sl_scale_beats(format, k) * SL_BEAT_BYTES;
    const unsigned rows = sl_format_is_4bit(format) ? 1 : 2;
    for (uint64_t i = 0; i < units * rows; i++) {
        fill(v, dst, scale);
        fill_codes(v, format, k, dst + scale);
        dst += scale + sl_k64(k);
    }
    return dst;
}

/* Exponent with which sums of k products with x of about 1 are about 1. */
static int16_t exponent(int format, uint32_t k)
{
    static const int code[] = {16, 6, 6, 2, 2}; /* log2 of the rms of random codes */
    const int scale = format == SL_FORMAT_FP8 ? 15 : 11;
    return (int16_t) - (code[format] + scale + ilogb(sqrt(k)));
}

static uint16_t mantissa(struct sl_validate *v, int format)
{
    return format == SL_FORMAT_FP8 ? (uint16_t)(0x8000 | sl_validate_random(v) >> 49) : 1;
}

static struct sl_slab header(struct sl_validate *v, int kind, const struct sl_job *job)
{
    const int format = job->format;
    struct sl_slab h = {.magic = SL_SLAB_MAGIC,
                        .kind = (uint8_t)kind,
                        .format = (uint8_t)format,
                        .k = job->k,
                        .rows = job->rows,
                        .mant0 = mantissa(v, format),
                        .exp0 = exponent(format, job->k)};
    if (kind != SL_KIND_EXPERT)
        return h;
    h.mant1 = mantissa(v, format);
    h.mant2 = mantissa(v, format);
    h.exp1 = h.exp0;
    h.exp2 = exponent(format, job->rows);
    h.u_h = (int16_t)sl_pack_u_h(1, 1);
    return h;
}

static bool put_matrices(struct sl_validate *v, struct sl_validate_job *j, int kind)
{
    const struct sl_slab h = header(v, kind, &j->job);
    const struct sl_slab_shape shape = sl_slab_get_shape(&h);
    j->slab = sl_alloc_aligned(SL_BEAT_BYTES, sl_slab_beats(&h) * SL_BEAT_BYTES);
    if (!j->slab)
        return false;
    memcpy(j->slab, &h, sizeof h);
    uint8_t *end = fill_units(v, h.format, h.k, shape.units[0], j->slab + SL_BEAT_BYTES);
    if (kind == SL_KIND_EXPERT)
        fill_units(v, h.format, h.rows, shape.units[1], end);
    return true;
}

static bool put_router(struct sl_validate *v, struct sl_validate_job *j, uint32_t rows)
{
    const bool bias = j->job.format == SL_MODE_SIGMOID;
    const struct sl_slab h = {.magic = SL_SLAB_MAGIC,
                              .kind = SL_KIND_ROUTER,
                              .flags = bias ? SL_SLAB_HAS_BIAS : 0,
                              .k = j->job.k,
                              .rows = rows};
    const struct sl_slab_shape shape = sl_slab_get_shape(&h);
    j->slab = sl_alloc_aligned(SL_BEAT_BYTES, sl_slab_beats(&h) * SL_BEAT_BYTES);
    if (!j->slab)
        return false;
    memset(j->slab, 0, shape.head_beats * SL_BEAT_BYTES);
    memcpy(j->slab, &h, sizeof h);
    uint8_t *exp = j->slab + SL_BEAT_BYTES;
    for (uint32_t r = 0; r < rows; r++)
        exp[r] = (uint8_t)(int8_t)(-18 + (int)(sl_validate_random(v) >> 60) % 3);
    for (uint32_t r = 0; r < rows && bias; r++) {
        const int32_t b = (int32_t)(sl_validate_random(v) >> 32) / 512;
        memcpy(exp + sl_ceil_div(rows, SL_BEAT_BYTES) * SL_BEAT_BYTES + 4 * r, &b, sizeof b);
    }
    uint8_t *row = j->slab + shape.head_beats * SL_BEAT_BYTES;
    for (uint32_t r = 0; r < rows; r++, row += shape.unit_beats[0] * SL_BEAT_BYTES) {
        fill(v, row, 2 * (size_t)h.k);
        memset(row + 2 * (size_t)h.k, 0, 2 * (sl_k64(h.k) - h.k));
    }
    return true;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

struct sl_validate_job *sl_validate_add_query(struct sl_validate *v, struct sl_validate_set *s)
{
    struct sl_validate_job *j = add(v, s, SL_OP_QUERY, 0);
    snprintf(j->name, sizeof j->name, "QUERY");
    j->job.n_tokens = 1;
    j->job.y_off = take(v, s, 1);
    j->y_beats = 1;
    return j;
}

/* x of every token; 8 or 16 bits. */
static bool put_x(struct sl_validate *v, struct sl_validate_set *s, struct sl_validate_job *j,
                  int (*pack)(const float *x, uint32_t n, uint32_t k, uint8_t *dst))
{
    const uint32_t k = j->job.k;
    float *x = sl_alloc(k, sizeof *x);
    for (uint32_t t = 0; x && t < j->job.n_tokens; t++) {
        fill_floats(v, x, k);
        pack(x, k, k, at(s, j->job.x_off + t * j->job.x_stride));
    }
    free(x);
    return x;
}

struct sl_validate_job *sl_validate_add_plain(struct sl_validate *v, struct sl_validate_set *s,
                                              int format, uint32_t k, uint32_t rows)
{
    struct sl_validate_job *j = add(v, s, SL_OP_PLAIN, format);
    const uint32_t beats[] = {sl_act8_beats(k), sl_ceil_div(4 * rows, SL_BEAT_BYTES)};
    snprintf(j->name, sizeof j->name, "PLAIN %s", sl_validate_format_name(format));
    j->job.k = (uint16_t)k;
    j->job.rows = rows;
    place(v, s, j, N_TOKENS, beats);
    return put_matrices(v, j, SL_KIND_PLAIN) && put_x(v, s, j, sl_act8_pack) ? j : NULL;
}

struct sl_validate_job *sl_validate_add_expert(struct sl_validate *v, struct sl_validate_set *s,
                                               int format, uint32_t d_model, uint32_t d_ff)
{
    struct sl_validate_job *j = add(v, s, SL_OP_EXPERT, format);
    const uint32_t beats[] = {sl_act8_beats(d_model), sl_ceil_div(8 * d_model, SL_BEAT_BYTES)};
    static const uint16_t chosen[SL_MAX_TOPK] = {CHOSEN, MISSING};
    snprintf(j->name, sizeof j->name, "EXPERT %s", sl_validate_format_name(format));
    j->job.k = (uint16_t)d_model;
    j->job.rows = d_ff;
    j->job.slice_count = (uint16_t)d_ff;
    place(v, s, j, N_TOKENS, beats); /* y: room for PARTIAL */
    j->job.n_expert = N_SLOT;
    j->job.route_off = take(v, s, 1);
    j->job.slot_off = take(v, s, 1);
    memcpy(at(s, j->job.route_off), chosen, sizeof chosen);
    return put_matrices(v, j, SL_KIND_EXPERT) && put_x(v, s, j, sl_act8_pack) ? j : NULL;
}

struct sl_validate_job *sl_validate_add_reduce(struct sl_validate *v, struct sl_validate_set *s)
{
    enum { ROWS = 70, PARTS = 3, TOKENS = 2 };
    struct sl_validate_job *j = add(v, s, SL_OP_REDUCE, 0);
    const uint32_t beats[] = {sl_ceil_div(8 * ROWS, SL_BEAT_BYTES),
                              sl_ceil_div(4 * ROWS, SL_BEAT_BYTES)};
    snprintf(j->name, sizeof j->name, "REDUCE");
    j->job.n_tokens = TOKENS;
    j->job.rows = ROWS;
    j->job.n_part = PARTS;
    j->job.scale_mant = 40000;
    j->job.scale_exp = -70;
    place(v, s, j, TOKENS * PARTS, beats); /* x: noise is what it adds */
    j->job.part_stride = TOKENS * j->job.x_stride;
    return j;
}

struct sl_validate_job *sl_validate_add_router(struct sl_validate *v, struct sl_validate_set *s,
                                               int mode, unsigned flags)
{
    enum { K = 352 };
    static const char *const names[] = {"SOFTMAX", "SIGMOID", "ATTENTION"};
    struct sl_validate_job *j = add(v, s, SL_OP_ROUTER, mode);
    const uint32_t scores = sl_ceil_div(4 * N_EXPERT, SL_BEAT_BYTES);
    snprintf(j->name, sizeof j->name, "ROUTER %s%s", names[mode],
             flags & SL_FLAG_RENORM ? " RENORM" : "");
    j->job.flags = (uint16_t)flags;
    j->job.k = K;
    j->job.rows = N_EXPERT;
    j->job.top_k = TOP_K;
    j->job.x_stride = (uint16_t)(sl_act16_beats(K) + GAP);
    j->job.x_off = take(v, s, N_TOKENS * j->job.x_stride);
    j->y_beats = N_TOKENS + scores + sl_ceil_div(4 * N_TOKENS * TOP_K, SL_BEAT_BYTES) +
                 (flags & SL_FLAG_SCORES ? N_TOKENS * scores : 0);
    j->job.y_off = take(v, s, j->y_beats);
    const uint32_t rows = mode == SL_MODE_ATTENTION ? 3 * N_EXPERT : N_EXPERT;
    return put_router(v, j, rows) && put_x(v, s, j, sl_act16_pack) ? j : NULL;
}

/* A packed vector with scales and zero points of ordinary size. */
static void put_packed(struct sl_validate *v, uint8_t *last_beat)
{
    for (unsigned g = 0; g < SL_BEAT_BYTES / 4; g++) {
        const uint64_t r = sl_validate_random(v);
        const uint16_t scale = (uint16_t)((110 + (r & 7)) << 7 | (r >> 8 & 127));
        memcpy(last_beat + 2 * g, &scale, sizeof scale);
        last_beat[SL_BEAT_BYTES / 2 + g] = (uint8_t)(r >> 20 & 15);
    }
}

struct sl_validate_job *sl_validate_add_kv(struct sl_validate *v, struct sl_validate_set *s, int op,
                                           int format)
{
    enum { HEAD_DIM = 96, ROWS = 3, TOKENS = 2 };
    struct sl_validate_job *j = add(v, s, op, format);
    const bool pack = op == SL_OP_KV_PACK;
    const uint32_t packed = 1 + sl_ceil_div(HEAD_DIM, format == SL_KVREC_INT8 ? 64 : 128);
    const uint32_t beats[] = {pack ? sl_act_head_beats(HEAD_DIM) : packed,
                              pack ? packed : sl_ceil_div(4 * HEAD_DIM, SL_BEAT_BYTES)};
    float x[HEAD_DIM];
    snprintf(j->name, sizeof j->name, "%s %s", pack ? "KV_PACK" : "KV_UNPACK",
             format == SL_KVREC_INT8 ? "int8" : "int4");
    j->job.n_tokens = TOKENS;
    j->job.k = HEAD_DIM;
    j->job.rows = ROWS;
    place(v, s, j, TOKENS * ROWS, beats);
    for (uint32_t i = 0; i < TOKENS * ROWS; i++) {
        uint8_t *item = at(s, j->job.x_off + i * j->job.x_stride);
        fill_floats(v, x, HEAD_DIM);
        if (pack)
            sl_act_head_pack(x, HEAD_DIM, item);
        else
            put_packed(v, item + (size_t)(packed - 1) * SL_BEAT_BYTES);
    }
    return j;
}

/* ---- launches ------------------------------------------------------------------------------- */

static int upload(struct sl_device *dev, const uint8_t *slab, uint32_t off, uint32_t *beats)
{
    const struct sl_slab *head = (const void *)slab;
    const uint64_t n = sl_slab_port_beats(head, dev->n_port);
    uint8_t *image = sl_alloc_aligned(SL_BEAT_BYTES, n * SL_BEAT_BYTES);
    int err = image ? 0 : SL_ERR_NOMEM;
    for (unsigned p = 0; p < dev->n_port && !err; p++) {
        sl_slab_port_image(head, p, dev->n_port, image);
        err = sl_device_write(dev, (int)p, off, image, (uint32_t)n);
    }
    free(image);
    *beats = (uint32_t)n + SL_SLACK_BEATS;
    return err;
}

/* The image as this device needs it: jobs and slot tables name places in its own weight arenas. */
static int prepare(struct sl_validate *v, const struct sl_validate_set *s, struct sl_device *dev,
                   uint8_t *image)
{
    uint32_t w_top = 0, beats;
    int err = 0;
    memcpy(image, s->ctl, (size_t)s->top * SL_BEAT_BYTES);
    for (unsigned i = 0; i < s->n_job && !err; i++) {
        const struct sl_validate_job *j = &s->job[i];
        struct sl_job job = j->job;
        if (j->slab) {
            job.w_off += w_top;
            err = upload(dev, j->slab, w_top, &beats);
            for (uint32_t e = 0; e < N_SLOT && job.slot_off; e++) {
                const uint32_t slot = e == CHOSEN ? w_top : SL_SLOT_ABSENT;
                memcpy(image + (size_t)job.slot_off * SL_BEAT_BYTES + 4 * e, &slot, sizeof slot);
            }
            w_top += beats;
        }
        if (!(job.flags & SL_FLAG_INDIRECT))
            job.route_off = job.slot_off = job.n_expert = 0;
        memcpy(image + (size_t)i * SL_BEAT_BYTES, &job, sizeof job);
        err = err ? err : sl_validate_go_on(v);
    }
    return err;
}

static int run_on(struct sl_validate *v, const struct sl_validate_set *s, struct sl_device *dev,
                  uint8_t *image, double *seconds)
{
    int err = prepare(v, s, dev, image);
    err = err ? err : sl_device_write(dev, SL_ARENA_CTL, 0, image, s->top);
    const double begin = sl_validate_seconds();
    err = err ? err : sl_device_launch(dev, 0, s->n_job, sl_validate_deadline(v));
    *seconds = sl_validate_seconds() - begin;
    return err ? err : sl_device_read(dev, SL_ARENA_CTL, 0, image, s->top);
}

static int open_reference(struct sl_validate *v)
{
    if (v->ref)
        return 0;
    int err = sl_device_open(&v->ref, "csim");
    return err ? err
               : sl_device_alloc(v->ref, SL_VALIDATE_CTL_BEATS,
                                 v->caps.n_port * (uint32_t)SL_VALIDATE_W_BEATS);
}

int sl_validate_set_run(struct sl_validate *v, struct sl_validate_set *s)
{
    double unused;
    int err = open_reference(v);
    err = err ? err : run_on(v, s, v->ref, s->ref, &unused);
    return err ? err : run_on(v, s, v->dev, s->got, &s->launch_s);
}

/* ---- comparison ----------------------------------------------------------------------------- */

struct sl_record sl_validate_set_record(const struct sl_validate_set *s, unsigned job)
{
    struct sl_record rec;
    memcpy(&rec, s->got + (size_t)(s->n_job + job) * SL_BEAT_BYTES, sizeof rec);
    return rec;
}

/* The status that was to be expected; behind some others only a reload helps. */
static int check_status(struct sl_validate *v, const struct sl_validate_set *s, unsigned i)
{
    const struct sl_record rec = sl_validate_set_record(s, i);
    const struct sl_validate_job *j = &s->job[i];
    if (rec.abi_version == 0)
        return sl_fail(SL_ERR_DEVICE, "reload the device", "job %u, %s: there is no record", i + 1,
                       j->name);
    if (rec.status == SL_STATUS_TIMEOUT || rec.status == SL_STATUS_PORT_DEAD)
        return sl_fail(SL_ERR_TIMEOUT, "reload the device",
                       "job %u, %s: memory did not answer (%s)", i + 1, j->name,
                       sl_status_name(rec.status));
    if (rec.status != j->want_status)
        return sl_validate_wrong(v, "job %u, %s: ended as %s, expected %s", i + 1, j->name,
                                 sl_status_name(rec.status), sl_status_name(j->want_status));
    return 0;
}

/* The field of a record, other than time, in which it differs; NULL: none. */
static const char *record_differs(const struct sl_record *a, const struct sl_record *b)
{
    return a->cookie != b->cookie             ? "cookie"
           : a->status != b->status           ? "status"
           : a->expert != b->expert           ? "expert"
           : a->abi_version != b->abi_version ? "abi_version"
           : a->weight != b->weight           ? "weight"
           : a->macs != b->macs               ? "macs"
           : a->beats != b->beats             ? "beats"
           : a->sat_gu != b->sat_gu           ? "sat_gu"
           : a->saturations != b->saturations ? "saturations"
           : a->clamps != b->clamps           ? "clamps"
           : a->overflows != b->overflows     ? "overflows"
                                              : NULL;
}

static void check_words(struct sl_validate *v, const struct sl_validate_set *s, unsigned i)
{
    const struct sl_validate_job *j = &s->job[i];
    const size_t from = (size_t)j->job.y_off * SL_BEAT_BYTES;
    const size_t bytes = (size_t)j->y_beats * SL_BEAT_BYTES;
    struct sl_caps caps = v->caps;
    const uint8_t *want = j->job.op == SL_OP_QUERY && j->want_status == SL_STATUS_OK
                              ? (const uint8_t *)&caps
                              : s->ref + from;
    for (size_t at_byte = 0; at_byte < bytes; at_byte += 4) {
        uint32_t a, b;
        memcpy(&a, s->got + from + at_byte, sizeof a);
        memcpy(&b, want + at_byte, sizeof b);
        if (a != b) {
            sl_validate_wrong(v, "job %u, %s: word %zu of y is %08x, the core in C has %08x", i + 1,
                              j->name, at_byte / 4, a, b);
            return;
        }
    }
}

/* Whether some job writes the beat, or the devices' images may differ there. */
static bool is_known(const struct sl_validate_set *s, uint32_t beat)
{
    for (unsigned i = 0; i < s->n_job; i++) {
        const struct sl_validate_job *j = &s->job[i];
        if (beat == j->job.slot_off || (beat >= j->job.y_off && beat - j->job.y_off < j->y_beats))
            return true;
    }
    return false;
}

static void check_strays(struct sl_validate *v, const struct sl_validate_set *s)
{
    for (uint32_t b = HEAP; b < s->top; b++)
        if (memcmp(s->got + (size_t)b * SL_BEAT_BYTES, at(s, b), SL_BEAT_BYTES) &&
            !is_known(s, b)) {
            sl_validate_wrong(v, "beat %u of the control arena was changed, and no job writes it",
                              b);
            return;
        }
}

int sl_validate_set_check(struct sl_validate *v, struct sl_validate_set *s)
{
    for (unsigned i = 0; i < s->n_job; i++) {
        struct sl_record ref;
        memcpy(&ref, s->ref + (size_t)(s->n_job + i) * SL_BEAT_BYTES, sizeof ref);
        int err = check_status(v, s, i);
        if (err || v->test.result == SL_VALIDATE_FAILED)
            return err;
        const struct sl_record rec = sl_validate_set_record(s, i);
        if (record_differs(&rec, &ref))
            return sl_validate_wrong(v, "job %u, %s: the record's %s is not that of the core in C",
                                     i + 1, s->job[i].name, record_differs(&rec, &ref));
        check_words(v, s, i);
        if (v->test.result == SL_VALIDATE_FAILED)
            return 0;
    }
    check_strays(v, s);
    return 0;
}
