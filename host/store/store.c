/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/file.h"
#include "store/outfile.h"
#include "store/slab.h"
#include "store/store_state.h"

static const char damaged[] = "the file is damaged; convert the model again";

/* ---- common --------------------------------------------------------------------------------- */

void sl_store_close(struct sl_store **store)
{
    struct sl_store *s = *store;
    if (!s)
        return;
    sl_reader_close(&s->reader);
    for (uint32_t p = 0; s->map && p < s->m.layout.n_part; p++)
        sl_mapping_close(&s->map[p]);
    for (uint32_t p = 0; s->memory && p < s->m.layout.n_part; p++)
        free(s->memory[p]);
    free(s->map);
    free(s->memory);
    free(s->part);
    sl_kept_close(&s->kept);
    sl_checkpoint_close(&s->own);
    sl_manifest_close(&s->m);
    free(s);
    *store = NULL;
}

int sl_store_finish_open(struct sl_store *s)
{
    int err = sl_kept_open(&s->kept, s->tensors, &s->m.layout.config);
    if (err)
        return err;
    s->bytes = s->kept.bytes;
    for (size_t i = 0; i < s->m.layout.n_item; i++)
        s->bytes += s->m.layout.item[i].n_beats * SL_BEAT_BYTES;
    const enum sl_slab_role mlp =
        s->m.layout.config.n_expert ? SL_SLAB_ROLE_EXPERT : SL_SLAB_ROLE_SHARED;
    s->expert_shape = sl_slab_item_header(sl_layout_find(&s->m.layout, mlp, 0, 0));
    return 0;
}

static struct sl_slab_ref get_slab(const struct sl_store *s, enum sl_slab_role role, uint32_t layer,
                                   uint32_t expert)
{
    const struct sl_layout *l = &s->m.layout;
    const struct sl_slab_item *item = sl_layout_find(l, role, layer, expert);
    if (!item)
        return (struct sl_slab_ref){0};
    if (role == SL_SLAB_ROLE_EXPERT && s->reader)
        return (struct sl_slab_ref){.n_beats = item->n_beats};
    uint32_t part = role == SL_SLAB_ROLE_LM_HEAD ? l->config.n_layer : layer;
    /* Slabs are SL_SLAB_ALIGN-aligned inside of an aligned part. */
    const void *p = s->part[part] + item->offset;
    return (struct sl_slab_ref){.header = p, .n_beats = item->n_beats};
}

struct sl_slab_ref sl_store_matrix(const struct sl_store *store, enum sl_matrix matrix,
                                   uint32_t layer)
{
    return get_slab(store, (enum sl_slab_role)matrix, layer, 0);
}

struct sl_slab_ref sl_store_router(const struct sl_store *store, uint32_t layer)
{
    return get_slab(store, SL_SLAB_ROLE_ROUTER, layer, 0);
}

struct sl_slab_ref sl_store_shared(const struct sl_store *store, uint32_t layer)
{
    return get_slab(store, SL_SLAB_ROLE_SHARED, layer, 0);
}

struct sl_slab_ref sl_store_expert(const struct sl_store *store, uint32_t layer, uint32_t expert)
{
    return get_slab(store, SL_SLAB_ROLE_EXPERT, layer, expert);
}

const struct sl_slab *sl_store_expert_shape(const struct sl_store *store)
{
    return &store->expert_shape;
}

const struct sl_config *sl_store_config(const struct sl_store *store)
{
    return &store->m.layout.config;
}

const struct sl_checkpoint *sl_store_tensors(const struct sl_store *store)
{
    return store->tensors;
}

const char *sl_store_format(const struct sl_store *store)
{
    return sl_format_name(store->m.layout.format);
}

const char *sl_store_format_dense(const struct sl_store *store)
{
    return sl_format_name(store->m.layout.format_dense);
}

uint64_t sl_store_bytes(const struct sl_store *store)
{
    return store->bytes;
}

/* ---- directory ------------------------------------------------------------------------------ */

bool sl_store_is_store(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    return !sl_path_join(path, dir, SL_MANIFEST_NAME) && !stat(path, &st) && S_ISREG(st.st_mode);
}

int sl_store_fail_size(const char *path, uint64_t have, uint64_t want)
{
    return sl_fail(SL_ERR_FORMAT, damaged, "%s: %llu bytes, the manifest says %llu", path,
                   (unsigned long long)have, (unsigned long long)want);
}

/* Maps a file whose size must be what the manifest says, before anything is read from it. */
static int map_checked(struct sl_mapping *out, const char *dir, const char *name, uint64_t want)
{
    char path[PATH_MAX];
    int err = sl_path_join(path, dir, name);
    if (!err)
        err = sl_mapping_open(out, path);
    if (!err && out->size != want)
        err = sl_store_fail_size(path, out->size, want);
    return err;
}

static int map_part(struct sl_store *s, const char *dir, uint32_t part)
{
    const struct sl_layout *l = &s->m.layout;
    char name[SL_PART_NAME_MAX];
    sl_part_file_name(l, part, name);
    int err = map_checked(&s->map[part], dir, name, l->part_bytes[part]);
    s->part[part] = s->map[part].data;
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && !err; i++) {
        const void *header = s->part[part] + l->item[i].offset;
        err = sl_slab_item_check(&l->item[i], header);
    }
    return err;
}

int sl_store_open_tensors(struct sl_store *s, const char *dir)
{
    char path[PATH_MAX];
    struct sl_mapping map = {0};
    int err = map_checked(&map, dir, SL_TENSORS_NAME, s->m.tensors_bytes);
    sl_mapping_close(&map);
    if (!err)
        err = sl_path_join(path, dir, SL_TENSORS_NAME);
    if (!err)
        err = sl_checkpoint_open_file(&s->own, path);
    s->tensors = s->own;
    return err;
}

int sl_store_open(struct sl_store **out, const char *dir)
{
    struct sl_store *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    int err = sl_manifest_load(&s->m, dir);
    if (!err) {
        s->part = sl_alloc(s->m.layout.n_part, sizeof *s->part);
        s->map = sl_alloc(s->m.layout.n_part, sizeof *s->map);
        err = s->part && s->map ? 0 : SL_ERR_NOMEM;
    }
    for (uint32_t p = 0; !err && p < s->m.layout.n_part; p++)
        err = map_part(s, dir, p);
    if (!err)
        err = sl_store_open_tensors(s, dir);
    if (!err)
        err = sl_store_finish_open(s);
    if (err)
        sl_store_close(&s);
    else
        *out = s;
    return err;
}

/* ---- in memory ------------------------------------------------------------------------------ */

struct quantise {
    struct sl_store *s;
    const struct sl_checkpoint *ckpt;
    const struct sl_quant_params *params;
    struct sl_pack_run run;
    uint64_t done; /* bytes of finished slabs */
};

static int quantise_slab(struct quantise *q, uint32_t part, size_t i)
{
    struct sl_layout *l = &q->s->m.layout;
    const struct sl_slab_item *item = &l->item[i];
    char name[SL_SLAB_NAME_MAX];
    sl_slab_item_name(item, name);
    if (q->params->progress &&
        !q->params->progress(q->params->progress_user, name, q->done, l->total_bytes))
        return sl_fail(SL_ERR_INTERRUPTED, NULL, "quantisation stopped at %s", name);
    struct sl_pack_plan plan;
    int err = sl_layout_plan(l, item, q->ckpt, &q->run, &plan);
    if (err)
        return err;
    uint8_t *dst = q->s->memory[part] + item->offset;
    err = sl_pack_slab(&plan, dst, &q->run);
    if (err)
        return err;
    sl_pack_release(&plan);
    q->s->m.hash[i] = XXH3_64bits(dst, item->n_beats * SL_BEAT_BYTES);
    q->done += item->n_beats * SL_BEAT_BYTES;
    return 0;
}

static int quantise_part(struct quantise *q, uint32_t part)
{
    struct sl_layout *l = &q->s->m.layout;
    uint8_t *memory = sl_alloc_aligned(SL_SLAB_ALIGN, l->part_bytes[part]);
    if (!memory)
        return SL_ERR_NOMEM;
    q->s->part[part] = q->s->memory[part] = memory;
    uint64_t at = 0; /* gaps between slabs are zero, as in files */
    int err = 0;
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && !err; i++) {
        memset(memory + at, 0, l->item[i].offset - at);
        at = l->item[i].offset + l->item[i].n_beats * SL_BEAT_BYTES;
        err = quantise_slab(q, part, i);
    }
    memset(memory + at, 0, l->part_bytes[part] - at);
    return err;
}

int sl_store_quantise(struct sl_store **out, struct sl_checkpoint *ckpt,
                      const struct sl_config *config, const struct sl_quant_params *params)
{
    struct sl_store *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    s->tensors = ckpt;
    struct quantise q = {.s = s, .ckpt = ckpt, .params = params, .run = {.pool = params->pool}};
    int err = sl_layout_open(&s->m.layout, config, params->format, params->format_dense);
    if (!err)
        err = sl_store_finish_open(s);
    if (!err) {
        s->part = sl_alloc(s->m.layout.n_part, sizeof *s->part);
        s->memory = sl_alloc(s->m.layout.n_part, sizeof *s->memory);
        s->m.hash = sl_alloc(s->m.layout.n_item, sizeof *s->m.hash);
        err = s->part && s->memory && s->m.hash ? 0 : SL_ERR_NOMEM;
    }
    for (uint32_t p = 0; !err && p < s->m.layout.n_part; p++)
        err = quantise_part(&q, p);
    s->m.n_group = q.run.n_group;
    s->m.n_group_raised = q.run.n_group_raised;
    s->m.tensors_hash = err ? 0 : sl_kept_hash(&s->kept);
    if (err)
        sl_store_close(&s);
    else
        *out = s;
    return err;
}

/* ---- checksums ------------------------------------------------------------------------------ */

int sl_store_fail_hash(const struct sl_slab_item *item)
{
    char name[SL_SLAB_NAME_MAX];
    sl_slab_item_name(item, name);
    return sl_fail(SL_ERR_FORMAT, damaged, "slab %s: its checksum differs from the manifest's",
                   name);
}

struct verify_job {
    const struct sl_store *s;
    uint8_t *bad; /* [n_item] */
};

static void verify_item(void *user, size_t i, unsigned thread)
{
    (void)thread;
    const struct verify_job *job = user;
    const struct sl_slab_item *item = &job->s->m.layout.item[i];
    struct sl_slab_ref slab = get_slab(job->s, item->role, item->layer, item->expert);
    job->bad[i] =
        slab.header && XXH3_64bits(slab.header, slab.n_beats * SL_BEAT_BYTES) != job->s->m.hash[i];
}

int sl_store_verify(const struct sl_store *store, struct sl_pool *pool)
{
    size_t n = store->m.layout.n_item;
    struct verify_job job = {.s = store, .bad = sl_alloc(n, 1)};
    if (!job.bad)
        return SL_ERR_NOMEM;
    struct sl_pack_run run = {.pool = pool};
    sl_pack_for(&run, verify_item, &job, n);
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        if (job.bad[i])
            err = sl_store_fail_hash(&store->m.layout.item[i]);
    free(job.bad);
    if (!err && sl_kept_hash(&store->kept) != store->m.tensors_hash)
        err = sl_fail(SL_ERR_FORMAT, damaged, "%s: its checksum differs from the manifest's",
                      SL_TENSORS_NAME);
    return err;
}
