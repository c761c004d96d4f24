/* SPDX-License-Identifier: Apache-2.0 */
/* What a conversion will take: sizes from the layout, space from the file system, time from the
 * rates at which samples of the model's own weights are read and packed here. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "store/convert_work.h"
#include "store/slab.h"
#include "store/store.h"

enum {
    SPOTS = 16, /* places that are read */
    SPOT_BYTES = 4 << 20,
    PAGE = 4096,
    READ_MS = 1000,           /* a slow disk reads fewer of them */
    SAMPLE_WEIGHTS = 4 << 20, /* that are packed */
    ROUNDS = 3
};

/* ---- reading -------------------------------------------------------------------------------- */

struct spots {
    const uint8_t *data[SPOTS];
    uint64_t bytes[SPOTS];
    uint64_t read[SPOTS]; /* of bytes, within the time */
    uint64_t deadline_ms;
    uint8_t seen[SPOTS]; /* what was there, so that it is read */
};

/* Random places: what an earlier estimate read is in memory and would say nothing of the disk. */
static void place_spots(const struct sl_checkpoint *ckpt, struct spots *s)
{
    uint64_t random = sl_now_ns();
    for (unsigned i = 0; i < SPOTS; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t at = random % sl_checkpoint_bytes(ckpt);
        size_t t = 0;
        while (at >= sl_checkpoint_at(ckpt, t)->n_bytes)
            at -= sl_checkpoint_at(ckpt, t++)->n_bytes;
        const struct sl_tensor *tensor = sl_checkpoint_at(ckpt, t);
        s->data[i] = tensor->data + at;
        s->bytes[i] = tensor->n_bytes - at < SPOT_BYTES ? tensor->n_bytes - at : SPOT_BYTES;
    }
}

static void read_spot(void *user, size_t i, unsigned thread)
{
    (void)thread;
    struct spots *s = user;
    if (i > 0 && sl_now_ms() > s->deadline_ms)
        return;
    for (uint64_t at = 0; at < s->bytes[i]; at += PAGE)
        s->seen[i] ^= s->data[i][at];
    s->read[i] = s->bytes[i];
}

/* Through the mapping, as the conversion reads. */
static double measure_reading(const struct sl_checkpoint *ckpt, struct sl_pool *pool)
{
    struct spots s = {.deadline_ms = sl_now_ms() + READ_MS};
    uint64_t bytes = 0;
    if (!sl_checkpoint_bytes(ckpt))
        return 0;
    place_spots(ckpt, &s);
    const uint64_t begin = sl_now_ns();
    sl_pool_run(pool, read_spot, &s, SPOTS);
    const uint64_t ns = sl_now_ns() - begin;
    for (unsigned i = 0; i < SPOTS; i++)
        bytes += s.read[i];
    return (double)bytes / (double)(ns ? ns : 1) * 1e9;
}

/* ---- packing -------------------------------------------------------------------------------- */

/* One pass over the sample: what a slab of it takes. */
static int pack_once(const struct sl_pack_matrix *m, int format, struct sl_pool *pool, double *rate)
{
    struct sl_pack_run run = {.pool = pool};
    struct sl_pack_plan plan;
    const uint64_t begin = sl_now_ns();
    int err = sl_pack_plan_plain(&plan, m, format, &run);
    if (err)
        return err;
    uint8_t *slab = sl_alloc_aligned(64, sl_slab_beats(&plan.header) * SL_BEAT_BYTES);
    if (!slab)
        return SL_ERR_NOMEM;
    err = sl_pack_slab(&plan, slab, &run);
    const uint64_t ns = sl_now_ns() - begin;
    free(slab);
    *rate = (double)m->rows * m->k / (double)(ns ? ns : 1) * 1e9;
    return err;
}

/* The best of some rounds: the first reads the sample, and others on the machine only slow it. */
static int measure_packing(const struct sl_convert_work *w, const struct sl_slab_item *item,
                           double *best)
{
    struct sl_pack_matrix m;
    int err = sl_layout_matrix(&w->m.layout, item, w->ckpt, &m);
    if (err)
        return err;
    const uint64_t rows = SAMPLE_WEIGHTS / m.k + 1;
    m.n_row = m.n_row < rows ? m.n_row : rows;
    m.rows = (uint32_t)m.n_row;
    *best = 0;
    for (unsigned i = 0; i <= ROUNDS && !err; i++) {
        double rate = 0;
        err = pack_once(&m, item->format, w->pool, &rate);
        *best = i > 0 && rate > *best ? rate : *best;
    }
    return err;
}

static void count_weights(const struct sl_layout *l, double *experts, double *dense)
{
    *experts = *dense = 0;
    for (size_t i = 0; i < l->n_item; i++) {
        const double n = (double)l->item[i].rows * l->item[i].k;
        if (l->item[i].kind == SL_KIND_EXPERT)
            *experts += 3 * n;
        else
            *dense += n;
    }
}

static int estimate_time(struct sl_convert_work *w, struct sl_convert_estimate *e)
{
    const struct sl_layout *l = &w->m.layout;
    double experts, dense;
    int err = sl_pool_open(&w->pool, w->params->n_threads);
    if (err)
        return err;
    e->read_rate = measure_reading(w->ckpt, w->pool);
    err = measure_packing(w, sl_layout_find(l, SL_SLAB_ROLE_EXPERT, 0, 0), &e->expert_rate);
    err = err ? err : measure_packing(w, sl_layout_find(l, SL_SLAB_ROLE_Q, 0, 0), &e->dense_rate);
    if (err)
        return err;
    count_weights(l, &experts, &dense);
    const double share = (double)e->bytes_todo / (double)(e->bytes_out ? e->bytes_out : 1);
    e->seconds = share * ((double)e->bytes_in / e->read_rate + experts / e->expert_rate +
                          dense / e->dense_rate);
    return 0;
}

/* ---- space ---------------------------------------------------------------------------------- */

static int estimate_space(struct sl_convert_work *w, struct sl_convert_estimate *e)
{
    const struct sl_convert_params *p = w->params;
    const enum sl_convert_files old = p->force ? SL_CONVERT_ALL : SL_CONVERT_UNFINISHED;
    struct sl_convert_space space;
    int err = 0;
    if (!p->force && sl_convert_file_bytes(p->out_dir, SL_CONVERT_ALL)) {
        sl_convert_identify(w);
        err = sl_convert_check_leftovers(w);
    }
    err = err ? err : sl_convert_find_space(w, &space);
    if (err)
        return err;
    e->bytes_todo = !p->force && sl_store_is_store(p->out_dir) ? 0 : space.todo;
    e->bytes_free = space.have + sl_convert_file_bytes(p->out_dir, old);
    e->fits = e->bytes_todo <= e->bytes_free;
    return 0;
}

int sl_convert_estimate(const struct sl_convert_params *params, struct sl_convert_estimate *out)
{
    struct sl_convert_work w = {.params = params, .lock = -1};
    struct sl_convert_estimate e = {0};
    const uint64_t begin = sl_now_ns();
    int err = sl_convert_open_source(&w);
    err = err ? err : sl_convert_check_dirs(params, false);
    if (!err) {
        e.open_s = (double)(sl_now_ns() - begin) * 1e-9;
        e.n_file = (uint32_t)sl_checkpoint_file_count(w.ckpt);
        e.n_tensor = (uint32_t)sl_checkpoint_count(w.ckpt);
        e.bytes_in = sl_checkpoint_bytes(w.ckpt);
        e.bytes_out = w.total;
        err = estimate_space(&w, &e);
    }
    err = err ? err : estimate_time(&w, &e);
    sl_convert_close_work(&w);
    if (!err)
        *out = e;
    return err;
}
