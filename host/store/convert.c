/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint directory to converted directory, part by part. A finished part has its data file and
 * then a fragment; the manifest is written last. So whatever stops the work, nothing half-written
 * opens, and the next run goes on behind the last finished part. Memory: one portion of units, one
 * row per thread, and the pages being read.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/quant_config.h"
#include "store/convert_work.h"
#include "store/format.h"
#include "store/outfile.h"
#include "store/slab.h"
#include "store/store.h"

enum {
    PORTION_BYTES = 8 << 20, /* units are packed and written in portions of about this size */
    CONFIG_MAX = 16 << 20
};

static int report_progress(struct sl_convert_work *w)
{
    const struct sl_convert_params *p = w->params;
    if (!p->progress || p->progress(p->progress_user, w->item, w->done, w->total))
        return 0;
    return sl_fail(SL_ERR_INTERRUPTED, "run the same command again to go on",
                   "conversion stopped at %s", w->item);
}

/* ---- identity ------------------------------------------------------------------------------- */

enum { SAMPLES = 3, SAMPLE_BYTES = 256 };

/* Begin, middle and end of a tensor's data; returns the bytes of each. */
static size_t place_samples(const struct sl_tensor *t, const uint8_t *at[SAMPLES])
{
    const size_t n = t->n_bytes < SAMPLE_BYTES ? (size_t)t->n_bytes : SAMPLE_BYTES;
    at[0] = t->data;
    at[1] = t->data + (t->n_bytes - n) / 2;
    at[2] = t->data + t->n_bytes - n;
    return n;
}

/* Read one after the other, each would drag its surroundings in and be waited for. */
static void ask_for_samples(const struct sl_checkpoint *ckpt)
{
    const uint8_t *at[SAMPLES];
    for (size_t i = 0; i < sl_checkpoint_count(ckpt); i++) {
        const size_t n = place_samples(sl_checkpoint_at(ckpt, i), at);
        for (unsigned s = 0; s < SAMPLES && n > 0; s++)
            sl_mapping_touch(at[s], n);
    }
}

/* Contract, formats, config, and of every tensor its name, type, shape, scale and a sample of its
 * data. */
void sl_convert_identify(struct sl_convert_work *w)
{
    const uint32_t head[] = {SL_ABI_VERSION, (uint32_t)w->m.layout.format,
                             (uint32_t)w->m.layout.format_dense};
    uint64_t h = XXH3_64bits(head, sizeof head);
    h = XXH3_64bits_withSeed(w->config_json, strlen(w->config_json), h);
    ask_for_samples(w->ckpt);
    for (size_t i = 0; i < sl_checkpoint_count(w->ckpt); i++) {
        const struct sl_tensor *t = sl_checkpoint_at(w->ckpt, i);
        uint64_t facts[SL_TENSOR_MAX_DIM + 2] = {(uint64_t)t->dtype, t->n_bytes};
        const uint8_t *at[SAMPLES];
        memcpy(facts + 2, t->dim, t->n_dim * sizeof t->dim[0]);
        h = XXH3_64bits_withSeed(t->name, strlen(t->name), h);
        h = XXH3_64bits_withSeed(facts, sizeof facts, h);
        h = XXH3_64bits_withSeed(&t->scale, sizeof t->scale, h);
        const size_t n = place_samples(t, at);
        for (unsigned s = 0; s < SAMPLES; s++)
            h = XXH3_64bits_withSeed(at[s], n, h);
    }
    w->m.identity = h;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static int emit(struct sl_convert_work *w, struct sl_outfile *f, size_t n)
{
    XXH3_64bits_update(w->hash, w->portion, n);
    int err = sl_outfile_write(f, w->portion, n);
    w->done += n;
    return err ? err : report_progress(w);
}

static int write_region(struct sl_convert_work *w, const struct sl_pack_plan *plan, unsigned region,
                        struct sl_pack_run *run, struct sl_outfile *f)
{
    struct sl_slab_shape shape = sl_slab_get_shape(&plan->header);
    uint64_t unit = shape.unit_beats[region] * SL_BEAT_BYTES, step = w->portion_bytes / unit;
    int err = 0;
    for (uint64_t at = 0; at < shape.units[region] && !err; at += step) {
        uint64_t n = shape.units[region] - at < step ? shape.units[region] - at : step;
        err = sl_pack_units(plan, region, at, n, w->portion, run);
        if (!err)
            err = emit(w, f, (size_t)(n * unit));
    }
    return err;
}

static int write_slab(struct sl_convert_work *w, size_t i, struct sl_pack_run *run,
                      struct sl_outfile *f)
{
    const struct sl_slab_item *item = &w->m.layout.item[i];
    sl_slab_item_name(item, w->item);
    struct sl_pack_plan plan;
    int err = sl_layout_plan(&w->m.layout, item, w->ckpt, run, &plan);
    if (!err)
        err = sl_outfile_zeros(f, item->offset - f->bytes);
    if (err)
        return err;
    struct sl_slab_shape shape = sl_slab_get_shape(&plan.header);
    XXH3_64bits_reset(w->hash);
    sl_pack_head(&plan, w->portion);
    err = emit(w, f, (size_t)(shape.head_beats * SL_BEAT_BYTES));
    for (unsigned r = 0; r < shape.n_region && !err; r++)
        err = write_region(w, &plan, r, run, f);
    sl_pack_release(&plan);
    w->m.hash[i] = XXH3_64bits_digest(w->hash);
    return err;
}

static int write_part_file(struct sl_convert_work *w, uint32_t part, struct sl_pack_run *run)
{
    const struct sl_layout *l = &w->m.layout;
    char name[SL_PART_NAME_MAX];
    sl_part_file_name(l, part, name);
    struct sl_outfile f;
    int err = sl_outfile_open(&f, w->params->out_dir, name);
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && !err; i++)
        err = write_slab(w, i, run, &f);
    if (!err)
        err = sl_outfile_zeros(&f, l->part_bytes[part] - f.bytes);
    if (!err)
        err = sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    return err;
}

/* One layer, the head, or (part == n_part) the tensors: taken over from an earlier run or made. */
static int convert_part(struct sl_convert_work *w, uint32_t part)
{
    const char *out_dir = w->params->out_dir;
    bool tensors = part == w->m.layout.n_part;
    uint64_t bytes = tensors ? w->m.tensors_bytes : w->m.layout.part_bytes[part], before = w->done;
    struct sl_fragment f;
    bool finished = sl_convert_is_finished(w, part, &f);
    int err = 0;
    if (finished) {
        w->report.n_layer_resumed += part < w->m.layout.config.n_layer;
    } else {
        struct sl_pack_run run = {.pool = w->pool};
        sl_part_file_name(&w->m.layout, part, w->item);
        err = report_progress(w);
        if (!err)
            err = tensors ? sl_kept_write(&w->kept, out_dir, SL_TENSORS_NAME)
                          : write_part_file(w, part, &run);
        f = (struct sl_fragment){.identity = w->m.identity,
                                 .bytes = bytes,
                                 .n_group = run.n_group,
                                 .n_group_raised = run.n_group_raised,
                                 .tensors_hash = tensors && !err ? sl_kept_hash(&w->kept) : 0};
        if (!err)
            err = sl_fragment_write(&f, out_dir, &w->m.layout, part, w->m.hash);
    }
    w->m.tensors_hash = tensors ? f.tensors_hash : w->m.tensors_hash;
    w->m.n_group += f.n_group;
    w->m.n_group_raised += f.n_group_raised;
    w->done = before + bytes;
    return err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

int sl_convert_open_source(struct sl_convert_work *w)
{
    const struct sl_convert_params *p = w->params;
    struct sl_config config;
    char path[PATH_MAX];
    int format = 0, dense = 0;
    size_t len;
    if (sl_store_is_store(p->in_dir))
        return sl_fail(SL_ERR_USAGE, "convert starts from the original checkpoint",
                       "%s: is a converted model already", p->in_dir);
    int err = sl_format_parse(&dense, p->format_dense ? p->format_dense : "q8");
    err = err ? err : sl_quant_choose_format(&format, p->format, p->in_dir);
    err = err ? err : sl_checkpoint_open(&w->ckpt, p->in_dir);
    err = err ? err : sl_path_join(path, p->in_dir, "config.json");
    err = err ? err : sl_file_read(&w->config_json, &len, path, CONFIG_MAX);
    err = err ? err : sl_config_parse(&config, w->config_json, len);
    err = err ? err : sl_layout_open(&w->m.layout, &config, format, dense);
    err = err ? err : sl_kept_open(&w->kept, w->ckpt, &config);
    err = err ? err : sl_layout_check(&w->m.layout, w->ckpt);
    err = err ? err : sl_kept_file_bytes(&w->kept, &w->m.tensors_bytes);
    if (err)
        return err;
    w->m.hash = sl_alloc(w->m.layout.n_item, sizeof *w->m.hash);
    w->total = w->m.layout.total_bytes + w->m.tensors_bytes;
    return w->m.hash ? 0 : SL_ERR_NOMEM;
}

void sl_convert_close_work(struct sl_convert_work *w)
{
    if (w->lock >= 0)
        close(w->lock);
    sl_pool_close(&w->pool);
    XXH3_freeState(w->hash);
    free(w->portion);
    free(w->config_json);
    sl_kept_close(&w->kept);
    sl_manifest_close(&w->m);
    sl_checkpoint_close(&w->ckpt);
}

static int open_work(struct sl_convert_work *w)
{
    w->portion_bytes = PORTION_BYTES;
    w->portion = sl_alloc_aligned(64, PORTION_BYTES);
    w->hash = XXH3_createState();
    if (!w->portion || !w->hash)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the conversion");
    sl_convert_identify(w);
    w->report.bytes_in = sl_checkpoint_bytes(w->ckpt);
    w->report.bytes_out = w->total;
    return sl_pool_open(&w->pool, w->params->n_threads);
}

/* An earlier run finished: nothing is left to do when its result opens. */
static int take_finished(struct sl_convert_work *w)
{
    struct sl_store *store;
    int err = sl_store_open(&store, w->params->out_dir);
    if (err)
        return err;
    sl_store_close(&store);
    struct sl_manifest m;
    err = sl_manifest_load(&m, w->params->out_dir);
    if (err)
        return err;
    w->m.n_group = m.n_group;
    w->m.n_group_raised = m.n_group_raised;
    w->report.n_layer_resumed = m.layout.config.n_layer;
    sl_manifest_close(&m);
    return 0;
}

static int convert_all(struct sl_convert_work *w)
{
    const char *out_dir = w->params->out_dir;
    struct sl_convert_space space;
    int err = sl_convert_remove_files(out_dir, SL_CONVERT_UNFINISHED); /* they take space */
    err = err ? err : sl_convert_find_space(w, &space);
    err = err ? err : sl_convert_check_space(w, &space);
    err = err ? err : convert_part(w, w->m.layout.n_part);
    for (uint32_t p = 0; p < w->m.layout.n_part && !err; p++)
        err = convert_part(w, p);
    err = err ? err : sl_convert_copy_companions(w);
    err = err ? err : sl_dir_sync(out_dir); /* every name before the manifest's */
    err = err ? err : sl_manifest_write(&w->m, out_dir, w->config_json);
    return err ? err : sl_dir_sync(out_dir);
}

int sl_convert(const struct sl_convert_params *params, struct sl_convert_report *out)
{
    struct sl_convert_work w = {.params = params, .lock = -1};
    const char *out_dir = params->out_dir;
    int err = sl_convert_open_source(&w);
    err = err ? err : sl_convert_check_dirs(params, true);
    err = err ? err : sl_convert_lock_out_dir(&w);
    err = err ? err : open_work(&w);
    if (!err)
        err = params->force ? sl_convert_clear_out_dir(out_dir) : sl_convert_check_leftovers(&w);
    if (!err)
        err = sl_store_is_store(out_dir) ? take_finished(&w) : convert_all(&w);
    err = err ? err : sl_convert_remove_files(out_dir, SL_CONVERT_SPENT);
    w.report.n_group = w.m.n_group;
    w.report.n_group_raised = w.m.n_group_raised;
    if (!err && out)
        *out = w.report;
    sl_convert_close_work(&w);
    return err;
}
