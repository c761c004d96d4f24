/* SPDX-License-Identifier: Apache-2.0 */
#include "core_scene.h"

#include <stdlib.h>
#include <string.h>

enum { K = 64, D_FF = 64, ROWS = 7, N_EXPERT = 6, W_BEATS = 1200, N_FORMAT = 5 };

static void put_expert(struct core_scene *scene, int format, struct sl_job *job)
{
    struct core_rig *rig = &scene->rig;
    struct sl_slab shape = ref_expert_header(format, K, D_FF);
    struct gen_expert ex;
    if (!gen_expert(&rig->rng, GEN_RANDOM, &shape, &ex))
        abort();
    gen_expert_tune(&rig->rng, &ex, rig_at(rig, job->x_off));
    job->w_off = rig_put_expert(rig, &ex);
    scene->slab_beats[SCENE_EXPERT] = rig->w_top - job->w_off;
    gen_expert_free(&ex);
}

static void put_plain(struct core_scene *scene, int format, struct sl_job *job)
{
    struct core_rig *rig = &scene->rig;
    job->w_off = rig_put_random(rig, format, K, ROWS);
    scene->slab_beats[SCENE_PLAIN] = rig->w_top - job->w_off;
}

static void put_router(struct core_scene *scene, struct sl_job *job)
{
    struct core_rig *rig = &scene->rig;
    struct ref_router r = {0};
    if (!ref_router_alloc(&r, N_EXPERT, N_EXPERT, K, true))
        abort();
    for (int i = 0; i < N_EXPERT * K; i++)
        r.weight[i] = (int16_t)sl_rng_next(&rig->rng);
    for (int e = 0; e < N_EXPERT; e++) {
        r.exponent[e] = -40;
        r.bias[e] = (int32_t)sl_rng_range(&rig->rng, -9000000, 9000000);
    }
    struct sl_slab head = ref_router_header(&r);
    job->w_off = rig_put_router(rig, &head, &r);
    scene->slab_beats[SCENE_ROUTER] = rig->w_top - job->w_off;
    ref_router_free(&r);
}

static struct sl_job job_of(struct core_rig *rig, int op, int format, unsigned n_tokens)
{
    return (struct sl_job){.op = (uint8_t)op,
                           .format = (uint8_t)format,
                           .cookie = (uint32_t)sl_rng_next(&rig->rng),
                           .n_tokens = (uint16_t)n_tokens,
                           .k = K};
}

static void place_x(struct core_rig *rig, struct sl_job *job, uint32_t items, uint32_t y_gap)
{
    job->x_stride = (uint16_t)ref_x_beats(job);
    job->y_stride = (uint16_t)(ref_y_beats(job) + y_gap);
    job->x_off = rig_ctl(rig, (uint64_t)items * job->x_stride);
}

/* The expert with its list, route beat and slot table. */
static void make_experts(struct core_scene *scene)
{
    static const uint32_t list[] = {3, 0, 3 | 5u << SL_LIST_TOKEN_BITS, 1};
    static const uint16_t chosen[] = {2, 0, 4, 5, 6, 0xFFFF, 0xFFFF, 0xFFFF};
    struct core_rig *rig = &scene->rig;
    struct sl_job *job = scene->job, *expert = &job[SCENE_EXPERT];
    *expert = job_of(rig, SL_OP_EXPERT, SL_FORMAT_NF4, 2);
    expert->rows = expert->slice_count = D_FF;
    place_x(rig, expert, 4, 1);
    rig_fill_x(rig, expert, GEN_RANDOM, 4, 3);
    put_expert(scene, SL_FORMAT_NF4, expert);

    job[SCENE_LIST] = *expert;
    job[SCENE_LIST].flags = SL_FLAG_LIST;
    job[SCENE_LIST].n_tokens = 4;
    job[SCENE_LIST].list_off = rig_ctl(rig, 1);
    for (int i = 0; i < 4; i++)
        ref_put32(rig_at(rig, job[SCENE_LIST].list_off) + 4 * i, list[i]);

    struct sl_job *indirect = &job[SCENE_INDIRECT];
    *indirect = *expert;
    indirect->flags = SL_FLAG_INDIRECT;
    indirect->n_tokens = 1;
    indirect->n_expert = N_EXPERT;
    indirect->route_off = rig_ctl(rig, 2);
    indirect->slot_off = rig_ctl(rig, 1);
    for (int i = 0; i < 8; i++)
        ref_put16(rig_at(rig, indirect->route_off) + 2 * i, chosen[i]);
    const uint32_t slots[N_EXPERT] = {
        SL_SLOT_ABSENT,           expert->w_off,    expert->w_off, 0xFFFFFFFF,
        W_BEATS - SL_SLACK_BEATS, expert->w_off + 1};
    for (int i = 0; i < N_EXPERT; i++)
        ref_put32(rig_at(rig, indirect->slot_off) + 4 * i, slots[i]);
}

static void make_others(struct core_scene *scene)
{
    struct core_rig *rig = &scene->rig;
    struct sl_job *job = scene->job;
    job[SCENE_QUERY] = job_of(rig, SL_OP_QUERY, 0, 1);

    job[SCENE_PLAIN] = job_of(rig, SL_OP_PLAIN, SL_FORMAT_Q8, 3);
    job[SCENE_PLAIN].rows = ROWS;
    place_x(rig, &job[SCENE_PLAIN], 3, 1);
    rig_fill_x(rig, &job[SCENE_PLAIN], GEN_RANDOM, 3, 3);
    put_plain(scene, SL_FORMAT_Q8, &job[SCENE_PLAIN]);

    job[SCENE_REDUCE] = job_of(rig, SL_OP_REDUCE, 0, 2);
    job[SCENE_REDUCE].rows = 20;
    job[SCENE_REDUCE].n_part = 3;
    job[SCENE_REDUCE].scale_mant = 40000;
    job[SCENE_REDUCE].scale_exp = -90;
    place_x(rig, &job[SCENE_REDUCE], 6, 0);
    job[SCENE_REDUCE].part_stride = 2u * job[SCENE_REDUCE].x_stride;

    job[SCENE_ROUTER] = job_of(rig, SL_OP_ROUTER, SL_MODE_SIGMOID, 3);
    job[SCENE_ROUTER].rows = N_EXPERT;
    job[SCENE_ROUTER].top_k = 2;
    job[SCENE_ROUTER].flags = SL_FLAG_SCORES;
    place_x(rig, &job[SCENE_ROUTER], 3, 0);
    rig_fill_x(rig, &job[SCENE_ROUTER], GEN_RANDOM, 3, 3);
    put_router(scene, &job[SCENE_ROUTER]);

    job[SCENE_PACK] = job_of(rig, SL_OP_KV_PACK, SL_KVREC_INT8, 2);
    job[SCENE_PACK].rows = 3;
    place_x(rig, &job[SCENE_PACK], 6, 0);
    for (int v = 0; v < 6; v++) {
        uint8_t *x = rig_at(rig, job[SCENE_PACK].x_off + 3 * (uint32_t)v);
        ref_put32(x, (uint32_t)(-v));
        for (int i = 0; i < K; i++)
            ref_put16(x + 64 + 2 * i, (uint16_t)sl_rng_range(&rig->rng, -32767, 32767));
    }
    job[SCENE_UNPACK] = job_of(rig, SL_OP_KV_UNPACK, SL_KVREC_INT8, 2);
    job[SCENE_UNPACK].rows = 3;
    place_x(rig, &job[SCENE_UNPACK], 6, 0);
}

/* Slabs of the other formats, for hostile jobs that find them. */
static void make_more_slabs(struct core_scene *scene)
{
    struct core_scene spare = *scene;
    for (int format = 0; format < N_FORMAT; format++) {
        put_plain(&spare, format, &spare.job[SCENE_PLAIN]);
        if (ref_is_4bit(format))
            put_expert(&spare, format, &spare.job[SCENE_EXPERT]);
    }
    scene->rig.w_top = spare.rig.w_top;
}

int scene_open(struct core_scene *scene, const char *device)
{
    struct sl_device *dev = NULL;
    memset(scene, 0, sizeof *scene);
    int err = sl_device_open(&dev, device);
    return err ? err : scene_open_on(scene, dev);
}

int scene_open_on(struct core_scene *scene, struct sl_device *dev)
{
    memset(scene, 0, sizeof *scene);
    int err = rig_open_on(&scene->rig, dev, SCENE_CTL, W_BEATS);
    if (err)
        return err;
    struct core_rig *rig = &scene->rig;
    rig_reset(rig, 5000, "scene");
    make_experts(scene);
    make_others(scene);
    make_more_slabs(scene);
    uint32_t y = rig_ctl(rig, SCENE_Y);
    for (int i = 0; i < SCENE_N_JOB; i++)
        scene->job[i].y_off = y;
    const size_t bytes = (SCENE_CTL + RIG_GUARD) * (size_t)SL_BEAT_BYTES;
    scene->saved = malloc(bytes);
    if (!scene->saved)
        return SL_ERR_NOMEM;
    memcpy(scene->saved, rig->ref.ctl, bytes);
    for (unsigned p = 0; p < rig->dev->n_port && !err; p++)
        err = sl_device_write(rig->dev, (int)p, 0, rig->ref.weights.w[p], W_BEATS);
    return err;
}

void scene_close(struct core_scene *scene)
{
    free(scene->saved);
    rig_close(&scene->rig);
    memset(scene, 0, sizeof *scene);
}

void scene_restore(struct core_scene *scene)
{
    struct core_rig *rig = &scene->rig;
    memcpy(rig->ref.ctl, scene->saved, (SCENE_CTL + RIG_GUARD) * (size_t)SL_BEAT_BYTES);
    rig->n_job = 0;
    rig->ctl_top = scene->job[0].y_off + SCENE_Y;
}

bool scene_weights_intact(struct core_scene *scene)
{
    struct core_rig *rig = &scene->rig;
    uint8_t *got = malloc((size_t)W_BEATS * SL_BEAT_BYTES);
    bool intact = got;
    for (unsigned p = 0; intact && p < rig->dev->n_port; p++)
        intact = !sl_device_read(rig->dev, (int)p, 0, got, W_BEATS) &&
                 !memcmp(got, rig->ref.weights.w[p], (size_t)W_BEATS * SL_BEAT_BYTES);
    free(got);
    return intact;
}

/* ---- hostile jobs ---------------------------------------------------------------------------- */

/* A value that is near something, for a field that holds `old`. */
static uint64_t nasty(struct core_scene *scene, uint64_t old)
{
    struct sl_rng *rng = &scene->rig.rng;
    const struct sl_job *other = &scene->job[sl_rng_range(rng, 0, SCENE_N_JOB - 1)];
    switch (sl_rng_range(rng, 0, 11)) {
    case 0: return 0;
    case 1: return (uint64_t)sl_rng_range(rng, 0, 70);
    case 2: return old + 1;
    case 3: return old - 1;
    case 4: return old * 2;
    case 5: return (uint64_t)sl_rng_range(rng, SCENE_CTL - 40, SCENE_CTL + 1);
    case 6: return sl_rng_next(rng);
    case 7: return (uint64_t)-1;
    case 8: return 32 * (uint64_t)sl_rng_range(rng, 0, 8);
    case 9: return other->w_off;
    case 10: return other->x_off;
    default: return (uint64_t)sl_rng_range(rng, 0, SCENE_CTL);
    }
}

static void mutate(struct core_scene *scene, struct sl_job *job)
{
    static const struct {
        uint8_t at, width;
    } field[] = {
#define FIELD_job(type, name) {SL_AT_job_##name, sizeof(type)},
#define FIELD_record(type, name)
#define FIELD_slab(type, name)
#define FIELD_caps(type, name)
#define FIELD_route(type, name)
#define FIELD(object, type, name, offset, doc) FIELD_##object(type, name)
#include "desc.def"
#undef FIELD
#undef FIELD_job
#undef FIELD_record
#undef FIELD_slab
#undef FIELD_caps
#undef FIELD_route
    };
    int64_t i = sl_rng_range(&scene->rig.rng, 0, (int64_t)(sizeof field / sizeof field[0]) - 1);
    uint8_t *p = (uint8_t *)job + field[i].at;
    uint64_t old = 0, value;
    memcpy(&old, p, field[i].width);
    value = nasty(scene, old);
    memcpy(p, &value, field[i].width);
}

static void make_hostile(struct core_scene *scene, struct sl_job *job)
{
    static const uint8_t ops[] = {SL_OP_QUERY,  SL_OP_EXPERT,  SL_OP_PLAIN,     SL_OP_REDUCE,
                                  SL_OP_ROUTER, SL_OP_KV_PACK, SL_OP_KV_UNPACK, 0};
    struct sl_rng *rng = &scene->rig.rng;
    *job = scene->job[sl_rng_range(rng, 0, SCENE_N_JOB - 1)];
    int64_t kind = sl_rng_range(rng, 0, 9);
    if (kind == 0) { /* every bit at random, but for the first fields now and then */
        for (size_t i = 0; i < sizeof *job; i += 8)
            ref_put64((uint8_t *)job + i, sl_rng_next(rng));
        if (sl_rng_next(rng) >> 40 & 1) {
            job->op = ops[sl_rng_range(rng, 0, 7)];
            job->format = 0;
            job->flags &= 63;
            job->n_tokens = 1;
        }
        return;
    }
    for (int64_t n = kind < 4 ? 1 : kind - 3; n > 0; n--)
        mutate(scene, job);
}

uint32_t scene_hostile(struct core_scene *scene)
{
    struct core_rig *rig = &scene->rig;
    struct sl_rng *rng = &rig->rng;
    const uint32_t free_off = scene->job[0].y_off + SCENE_Y;
    rig->n_job = (uint32_t)(sl_rng_range(rng, 0, 9) ? 1 : sl_rng_range(rng, 2, 3));
    uint32_t off = free_off + (uint32_t)sl_rng_range(rng, 0, SCENE_CTL - free_off - 3);
    if (sl_rng_range(rng, 0, 20) == 0)
        off = (uint32_t)sl_rng_range(rng, 0, SCENE_CTL);
    for (int64_t n = sl_rng_range(rng, -6, 3); n > 0; n--) /* damaged data */
        rig_at(rig, 0)[sl_rng_range(rng, 0, scene->job[0].y_off * 64 - 1)] =
            (uint8_t)sl_rng_next(rng);
    for (uint32_t i = 0; i < rig->n_job; i++) {
        make_hostile(scene, &rig->job[i]);
        if (off + i < SCENE_CTL)
            memcpy(rig_at(rig, off + i), &rig->job[i], sizeof rig->job[i]);
    }
    return off;
}
