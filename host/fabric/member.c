/* SPDX-License-Identifier: Apache-2.0 */
/* One device of the fabric: which slabs it holds and where, their upload, and the CPU that takes
 * over when it fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/cpu_device.h"
#include "accel/link.h"
#include "base/clock.h"
#include "base/err.h"
#include "fabric/fabric_state.h"
#include "store/slab.h"

static bool binds(const struct sl_member *m)
{
    return m->dev->ops->bind != NULL;
}

double sl_member_now(const struct sl_member *m)
{
    return m->dev->clock ? m->dev->clock->time.total_s : (double)sl_now_ns() * 1e-9;
}

/* ---- which slabs ----------------------------------------------------------------------------- */

/* Another choice in every layer: experts of one number need not be alike. */
static bool holds_expert(const struct sl_fabric *f, uint32_t layer, uint32_t expert)
{
    enum { STEP = 7 };
    return (expert + layer * STEP) % f->config->n_expert < f->n_resident;
}

static bool is_sliced(const struct sl_fabric *f, uint32_t place)
{
    const uint32_t shared = sl_place_of(f, sl_place_layer(f, place), SL_PLACE_SHARED);
    return f->sliced && (place == shared || sl_place_is_expert(f, place));
}

static bool holds(const struct sl_member *m, uint32_t place)
{
    const struct sl_fabric *f = m->fabric;
    const uint32_t layer = sl_place_layer(f, place);
    const uint32_t router = sl_place_of(f, layer, SL_PLACE_ROUTER);
    const bool cpu = m->index == f->n_card, dense = !place || place < router;
    bool mine = place ? layer % (f->n_card + cpu) == m->index : m->index + 1 == f->n_card;
    mine = mine || (f->sliced && !dense);
    if (sl_place_is_expert(f, place))
        return cpu ||
               (mine && holds_expert(f, layer, place - router - SL_PLACE_EXPERT + SL_PLACE_ROUTER));
    if (!sl_place_slab(f, place))
        return false;
    return cpu || (mine && !(dense && f->dense == SL_DENSE_CPU));
}

/* What lies on the device at that place. */
static struct sl_slab shape_of(const struct sl_member *m, uint32_t place)
{
    const struct sl_fabric *f = m->fabric;
    const bool expert = sl_place_is_expert(f, place);
    struct sl_slab shape = expert ? f->expert : *sl_place_slab(f, place);
    if (is_sliced(f, place))
        shape.rows = expert ? m->expert.count : m->shared.count;
    return shape;
}

static uint64_t port_beats(const struct sl_member *m, uint32_t place)
{
    const struct sl_slab shape = shape_of(m, place);
    return sl_slab_port_beats(&shape, m->dev->n_port);
}

/* The i-th of n parts of `rows`, whole blocks. */
static struct sl_slice slice_of(uint32_t rows, unsigned i, unsigned n)
{
    const uint32_t blocks = rows / SL_BLOCK;
    const uint32_t first = blocks * i / n * SL_BLOCK, end = blocks * (i + 1) / n * SL_BLOCK;
    return (struct sl_slice){first, end - first};
}

static int choose_slices(struct sl_member *m)
{
    const struct sl_fabric *f = m->fabric;
    const struct sl_slab *shared = sl_place_slab(f, sl_place_of(f, 0, SL_PLACE_SHARED));
    m->expert = slice_of(f->expert.rows, m->index, f->n_card);
    m->shared = slice_of(shared ? shared->rows : f->expert.rows, m->index, f->n_card);
    return m->expert.count && m->shared.count
               ? 0
               : sl_fail(SL_ERR_USAGE, "name fewer devices, or split by layers",
                         "%u devices: an expert has %u blocks of 32 rows to share out", f->n_card,
                         f->expert.rows / SL_BLOCK);
}

/* Where the device reads slabs in place, the place itself is as good an address as any. */
static void place_slabs(struct sl_member *m, uint64_t *top)
{
    const struct sl_fabric *f = m->fabric;
    for (uint32_t i = 0; i < f->n_place; i++) {
        m->w_off[i] = SL_NOT_RESIDENT;
        if (!holds(m, i))
            continue;
        m->w_off[i] = binds(m) ? i : (uint32_t)*top;
        *top += binds(m) ? 0 : port_beats(m, i);
    }
    *top = binds(m) ? f->n_place : *top;
}

/* Of slabs and buffers; what did not fit is not used. */
static int check_top(const struct sl_member *m, uint64_t top)
{
    enum { ARENA_MAX_BEATS = (1ull << 32) / SL_BEAT_BYTES };
    return top + SL_SLACK_BEATS <= ARENA_MAX_BEATS
               ? 0
               : sl_fail(SL_ERR_NOMEM,
                         "choose a smaller format, fewer resident experts or a device with more "
                         "weight ports",
                         "the model does not fit the weight arenas of device %s (4 GB a port)",
                         m->dev->name);
}

/* Buffers behind the slabs, for experts that pass through. */
static int place_stream(struct sl_member *m, uint64_t *top)
{
    const struct sl_fabric *f = m->fabric;
    if (m->index == f->n_card || f->n_resident == f->config->n_expert)
        return 0;
    m->stream = sl_alloc(1, sizeof *m->stream);
    if (!m->stream)
        return SL_ERR_NOMEM;
    for (int i = 0; i < SL_STREAM_BUFFERS; i++) {
        m->stream->buffer[i].w_off = (uint32_t)*top;
        *top += binds(m) ? 1 : sl_slab_port_beats(&f->expert, m->dev->n_port);
    }
    return sl_stream_open(m->stream, m);
}

/* ---- upload ---------------------------------------------------------------------------------- */

int sl_member_bind(struct sl_member *m, uint32_t place, const struct sl_slab *slab)
{
    return binds(m) ? sl_device_bind(m->dev, m->w_off[place], slab) : 0;
}

/* Room for what passes through on its way to the device. */
struct staging {
    uint8_t *image; /* of a port */
    uint8_t *slice; /* of a slab; NULL: nothing is sliced */
    uint8_t *aside; /* an expert for which memory has no slot; NULL: they are all there */
};

static int upload_slab(struct sl_member *m, uint32_t place, const struct sl_slab *slab,
                       const struct staging *s)
{
    const struct sl_slice *slice = sl_place_is_expert(m->fabric, place) ? &m->expert : &m->shared;
    uint8_t *image = s->image;
    if (is_sliced(m->fabric, place))
        m->fabric->header[place] = *slab;
    if (binds(m))
        return sl_member_bind(m, place, slab);
    if (is_sliced(m->fabric, place)) {
        int err = sl_slab_slice(slab, slice->first, slice->count, s->slice);
        if (err)
            return err;
        slab = (const void *)s->slice;
    }
    const uint32_t n = (uint32_t)sl_slab_port_beats(slab, m->dev->n_port);
    for (unsigned p = 0; p < m->dev->n_port; p++) {
        sl_slab_port_image(slab, p, m->dev->n_port, image);
        int err = sl_device_write_begin(m->dev, (int)p, m->w_off[place], image, n);
        if (err)
            return err;
    }
    return 0;
}

static int upload_expert(struct sl_member *m, uint32_t layer, uint32_t expert,
                         const struct staging *s)
{
    struct sl_expert_memory *experts = m->fabric->experts;
    const uint32_t place = sl_place_of(m->fabric, layer, SL_PLACE_EXPERT + expert);
    struct sl_slab_ref slab;
    /* Where experts come and go in memory, a device that reads them there is told each time. */
    if (m->w_off[place] == SL_NOT_RESIDENT || (binds(m) && sl_expert_memory_streams(experts)))
        return 0;
    int err;
    if (s->aside && !sl_expert_memory_room(experts)) { /* who takes over does so within a pass */
        err = sl_expert_memory_read(experts, layer, expert, s->aside);
        return err ? err : upload_slab(m, place, (const void *)s->aside, s);
    }
    err = sl_expert_memory_request(experts, layer, &expert, 1);
    if (err)
        return err;
    err = sl_expert_memory_wait(experts, layer, expert, &slab);
    err = err ? err : upload_slab(m, place, slab.header, s);
    sl_expert_memory_release(experts, layer, &expert, 1);
    return err;
}

/* All that is no routed expert, then the experts. */
static int upload_slabs(struct sl_member *m, const struct staging *s)
{
    const struct sl_fabric *f = m->fabric;
    int err = 0;
    for (uint32_t i = 0; !err && i < f->n_place; i++)
        if (m->w_off[i] != SL_NOT_RESIDENT && !sl_place_is_expert(f, i))
            err = upload_slab(m, i, sl_place_slab(f, i), s);
    for (uint32_t l = 0; l < f->config->n_layer; l++)
        for (uint32_t e = 0; !err && e < f->config->n_expert; e++)
            err = upload_expert(m, l, e, s);
    return err;
}

static uint64_t largest_image(const struct sl_member *m)
{
    uint64_t max = 1;
    for (uint32_t i = 0; !binds(m) && i < m->fabric->n_place; i++) {
        const uint64_t n = m->w_off[i] == SL_NOT_RESIDENT ? 0 : port_beats(m, i);
        max = n > max ? n : max;
    }
    return max;
}

/* A slice in natural order is no larger than its ports' images together. */
static int open_staging(struct staging *s, const struct sl_member *m)
{
    const size_t bytes = largest_image(m) * SL_BEAT_BYTES;
    s->image = sl_alloc_aligned(SL_BEAT_BYTES, bytes);
    if (m->fabric->sliced)
        s->slice = sl_alloc_aligned(SL_BEAT_BYTES, bytes * m->dev->n_port);
    const bool aside = !binds(m) && sl_expert_memory_streams(m->fabric->experts);
    if (aside)
        s->aside = sl_alloc_large(sl_expert_memory_slot_bytes(m->fabric->store));
    return s->image && (s->slice || !m->fabric->sliced) && (s->aside || !aside) ? 0 : SL_ERR_NOMEM;
}

static int upload_all(struct sl_member *m)
{
    struct sl_span span;
    struct staging staging = {0};
    struct sl_failure why;
    int err = open_staging(&staging, m);
    sl_span_begin(m->fabric->profile, &span, SL_SPAN_UPLOAD, 0);
    if (!err) {
        err = upload_slabs(m, &staging);
        sl_failure_keep(&why);
        const int late = sl_device_write_end(m->dev);
        err = err ? sl_failure_tell(err, &why) : late;
    }
    sl_span_end(m->fabric->profile, &span);
    free(staging.image);
    free(staging.slice);
    free(staging.aside);
    return err;
}

/* ---- control arena --------------------------------------------------------------------------- */

static uint32_t slot_table_beats(const struct sl_config *c)
{
    return (4 * c->n_expert + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES;
}

uint32_t sl_member_slot_table(const struct sl_member *m, uint32_t layer)
{
    return layer * slot_table_beats(m->fabric->config);
}

int sl_member_write_slot_table(struct sl_member *m, uint32_t layer)
{
    uint32_t table[SL_MAX_EXPERT] = {0};
    memcpy(table, m->w_off + sl_place_of(m->fabric, layer, SL_PLACE_EXPERT),
           4 * m->fabric->config->n_expert);
    return sl_device_write(m->dev, SL_ARENA_CTL, sl_member_slot_table(m, layer), table,
                           slot_table_beats(m->fabric->config));
}

static int write_slot_tables(struct sl_member *m)
{
    int err = 0;
    const struct sl_config *c = m->fabric->config;
    for (uint32_t l = 0; !err && c->n_expert && l < c->n_layer; l++)
        err = sl_member_write_slot_table(m, l);
    return err;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the routing wants of a router that not every core has. */
static uint32_t wanted_flag(const struct sl_routing *routing)
{
    return routing->kind == SL_ROUTING_NOISY     ? SL_FLAG_NOISE
           : routing->kind == SL_ROUTING_EXPERTS ? SL_FLAG_EXPERT_CHOICE
                                                 : 0;
}

static int check_router(const struct sl_member *m, const struct sl_caps *caps)
{
    const uint32_t wanted = wanted_flag(&m->fabric->routing);
    if ((caps->router_flags & wanted) == wanted)
        return 0;
    return sl_fail(SL_ERR_UNSUPPORTED, "use --device csim or cpu, or leave --routing out",
                   "device %s: %s", m->dev->name,
                   wanted == SL_FLAG_NOISE ? "its router has no noise"
                                           : "its router does not let experts choose tokens");
}

static int open_arenas(struct sl_member *m, uint64_t w_beats)
{
    const struct sl_fabric *f = m->fabric;
    uint32_t fixed = f->config->n_layer * slot_table_beats(f->config);
    uint32_t max_job = sl_moe_max_job(f->config);
    uint64_t heap = max_u64(sl_kv_heap_beats(f->config), sl_moe_heap_beats(f));
    if (f->dense != SL_DENSE_CPU)
        heap = max_u64(heap, sl_linear_heap_beats(f));
    int err = sl_device_alloc(m->dev, (uint32_t)(fixed + 2 * max_job + heap),
                              (uint32_t)w_beats + SL_SLACK_BEATS);
    /* A QUERY writes where slot tables will be. */
    struct sl_caps caps;
    const bool asked = wanted_flag(&f->routing) != 0;
    if (!err && (f->profile || asked))
        err = sl_device_query(m->dev, &caps);
    if (!err && asked)
        err = check_router(m, &caps);
    err = err ? err : write_slot_tables(m);
    err = err ? err : sl_joblist_open(&m->jobs, m->dev, fixed, max_job);
    if (!err && f->profile)
        sl_joblist_set_profile(&m->jobs, f->profile, &caps);
    return err;
}

/* ---- the CPU instead of a device that failed ------------------------------------------------- */

/* The core in C with as many ports as the device, so that every place in the arenas stays. */
static int open_spare(const struct sl_device *old, struct sl_device **out)
{
    char name[16];
    snprintf(name, sizeof name, "csim:%u", old->n_port);
    return sl_device_open(out, name);
}

/* Told when a model is opened, not when its device fails. */
static int check_spare(const struct sl_device *dev)
{
    struct sl_device *spare = NULL;
    int err = open_spare(dev, &spare);
    sl_device_close(&spare);
    return err ? sl_fail(SL_ERR_USAGE, "`sluice devices` shows the ports that csim can have",
                         "device %s: the CPU has no core of %u ports to take over with", dev->name,
                         dev->n_port)
               : 0;
}

/* The launch at hand lies in the list's copy of the control arena. */
static int take_over(void *user)
{
    struct sl_member *m = user;
    struct sl_device *dev = NULL;
    const struct sl_device *old = m->dev;
    struct sl_failure why;
    sl_failure_keep(&why);
    int err = sl_joblist_detach(&m->jobs);
    err = err ? err : open_spare(old, &dev);
    err = err ? err : sl_device_alloc(dev, old->ctl_beats, old->w_beats);
    if (err) {
        sl_device_close(&dev);
        return err;
    }
    if (m->slots)
        sl_slots_stop(m->slots);
    sl_device_close(&m->dev);
    snprintf(m->failure, sizeof m->failure, "%.255s", why.message);
    m->dev = m->jobs.dev = dev;
    m->jobs.take_over = NULL;
    err = write_slot_tables(m);
    err = err ? err : upload_all(m);
    return err || !m->stream ? err : sl_stream_again(m->stream, m);
}

/* ---- open and close -------------------------------------------------------------------------- */

static int load(struct sl_member *m)
{
    uint64_t w_beats = 0;
    m->w_off = sl_alloc(m->fabric->n_place, sizeof *m->w_off);
    if (!m->w_off)
        return SL_ERR_NOMEM;
    int err = m->card && m->fabric->sliced ? choose_slices(m) : 0;
    if (err)
        return err;
    place_slabs(m, &w_beats);
    err = place_stream(m, &w_beats);
    err = err ? err : check_top(m, w_beats);
    err = err ? err : open_arenas(m, w_beats);
    return err ? err : upload_all(m);
}

int sl_member_open(struct sl_member *m, const char *device, const struct sl_fabric_params *params)
{
    const bool card = m->card = m->index < m->fabric->n_card;
    int err = sl_device_open(&m->dev, device);
    if (err)
        return err;
    memcpy(m->name, m->dev->name, sizeof m->name);
    err = sl_cpu_device_set_pool(m->dev, m->fabric->pool);
    if (!err && card && params->cpu_takes_over)
        err = check_spare(m->dev);
    err = err ? err : load(m);
    if (!err && card && !m->dev->clock)
        err = sl_launcher_open(&m->launcher);
    if (!err && card && !m->fabric->sliced)
        err = sl_slots_open(&m->slots, m, params->policy);
    if (!err && card && params->cpu_takes_over) {
        m->jobs.take_over = take_over;
        m->jobs.user = m;
    }
    return err;
}

void sl_member_close(struct sl_member *m)
{
    sl_launcher_close(&m->launcher);
    sl_slots_close(&m->slots);
    if (m->stream)
        sl_stream_close(m->stream);
    free(m->stream);
    m->stream = NULL;
    sl_joblist_close(&m->jobs);
    sl_device_close(&m->dev);
    free(m->w_off);
    m->w_off = NULL;
}
