/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint directory to converted directory, part by part. A finished part has its data file and
 * then a fragment; the manifest is written last. So whatever stops the work, nothing half-written
 * opens, and the next run goes on behind the last finished part. Memory: one portion of units, one
 * row per thread, and the pages being read.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/file.h"
#include "store/kept.h"
#include "store/manifest.h"
#include "store/outfile.h"
#include "store/slab.h"
#include "store/store.h"

enum {
    PORTION_BYTES = 8 << 20,   /* units are packed and written in portions of about this size */
    SPARE_BYTES = 1 << 20,     /* metadata, config and small files, in the estimate of space */
    SMALL_FILE_MAX = 256 << 20 /* a tokenizer file is not larger */
};

struct convert {
    const struct sl_convert_params *params;
    struct sl_convert_report report;
    struct sl_checkpoint *ckpt;
    struct sl_kept kept;
    struct sl_manifest m; /* filled part by part */
    struct sl_pool *pool;
    XXH3_state_t *hash;
    uint8_t *portion; /* PORTION_BYTES, or a unit if that is larger */
    uint64_t portion_bytes;
    char *config_json;
    int lock;                    /* the locked output directory; -1: none */
    char item[SL_SLAB_NAME_MAX]; /* what is being worked on, for the progress callback */
    uint64_t done, total;        /* bytes, likewise */
};

static int report_progress(struct convert *c)
{
    const struct sl_convert_params *p = c->params;
    if (!p->progress || p->progress(p->progress_user, c->item, c->done, c->total))
        return 0;
    return sl_fail(SL_ERR_INTERRUPTED, "run the same command again to go on",
                   "conversion stopped at %s", c->item);
}

/* ---- small files ---------------------------------------------------------------------------- */

static int read_small(const char *dir, const char *name, char **out, size_t *len)
{
    char path[PATH_MAX];
    int err = sl_path_join(path, dir, name);
    return err ? err : sl_file_read(out, len, path, SMALL_FILE_MAX);
}

static int copy_small(const struct convert *c, const char *name)
{
    char *text;
    size_t n;
    int err = read_small(c->params->in_dir, name, &text, &n);
    if (err)
        return err;
    err = sl_outfile_put(c->params->out_dir, name, text, n, true);
    free(text);
    return err;
}

static bool is_tokenizer_file(const char *name)
{
    static const char *const patterns[] = {"*.tiktoken",        "generation_config.json",
                                           "tokenizer*.json",   "tokenizer.model",
                                           "added_tokens.json", "special_tokens_map.json"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        if (!fnmatch(patterns[i], name, FNM_PERIOD))
            return true;
    return false;
}

/* config.json and what the tokenizer needs. */
static int copy_companions(const struct convert *c)
{
    DIR *dir = opendir(c->params->in_dir);
    if (!dir)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", c->params->in_dir, strerror(errno));
    int err = sl_outfile_put(c->params->out_dir, "config.json", c->config_json,
                             strlen(c->config_json), true);
    for (struct dirent *e; !err && (e = readdir(dir)) != NULL;)
        if (is_tokenizer_file(e->d_name))
            err = copy_small(c, e->d_name);
    closedir(dir);
    return err;
}

/* ---- identity and what the directory holds -------------------------------------------------- */

/* Everything that decides the bytes, short of reading all of them: contract, formats, config, and
 * of every tensor its name, type, shape, scale and a sample of its data. */
static uint64_t find_identity(const struct convert *c)
{
    enum { SAMPLE = 256 };
    const uint32_t head[] = {SL_ABI_VERSION, (uint32_t)c->m.layout.format,
                             (uint32_t)c->m.layout.format_dense};
    uint64_t h = XXH3_64bits(head, sizeof head);
    h = XXH3_64bits_withSeed(c->config_json, strlen(c->config_json), h);
    for (size_t i = 0; i < sl_checkpoint_count(c->ckpt); i++) {
        const struct sl_tensor *t = sl_checkpoint_at(c->ckpt, i);
        uint64_t facts[SL_TENSOR_MAX_DIM + 2] = {(uint64_t)t->dtype, t->n_bytes};
        memcpy(facts + 2, t->dim, t->n_dim * sizeof t->dim[0]);
        h = XXH3_64bits_withSeed(t->name, strlen(t->name), h);
        h = XXH3_64bits_withSeed(facts, sizeof facts, h);
        h = XXH3_64bits_withSeed(&t->scale, sizeof t->scale, h);
        size_t n = t->n_bytes < SAMPLE ? (size_t)t->n_bytes : SAMPLE;
        h = XXH3_64bits_withSeed(t->data, n, h);
        h = XXH3_64bits_withSeed(t->data + (t->n_bytes - n) / 2, n, h);
        h = XXH3_64bits_withSeed(t->data + t->n_bytes - n, n, h);
    }
    return h;
}

static bool file_exists(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return !sl_path_join(path, dir, name) && !stat(path, &st);
}

static void remove_file(const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (!sl_path_join(path, dir, name))
        unlink(path);
}

/* Names that a conversion gives to its own files; nothing else is ever removed. */
static bool is_own_file(const char *name)
{
    static const char *const patterns[] = {"layer-[0-9][0-9][0-9][0-9].slab",
                                           "layer-[0-9][0-9][0-9][0-9].frag",
                                           "head.slab",
                                           "head.frag",
                                           "tensors.frag",
                                           SL_TENSORS_NAME,
                                           SL_MANIFEST_NAME,
                                           "layer-[0-9][0-9][0-9][0-9].*.part",
                                           "head.*.part",
                                           "tensors.*.part",
                                           SL_MANIFEST_NAME ".part"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        if (!fnmatch(patterns[i], name, FNM_PERIOD))
            return true;
    return false;
}

/* Removes own files: all, or only what a finished conversion no longer needs. */
static int remove_own_files(const char *out_dir, bool all)
{
    DIR *dir = opendir(out_dir);
    if (!dir)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", out_dir, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        bool spent = !fnmatch("*.frag", e->d_name, 0) || !fnmatch("*.part", e->d_name, 0);
        if (is_own_file(e->d_name) && (all || spent))
            remove_file(out_dir, e->d_name);
    }
    closedir(dir);
    return 0;
}

/* The manifest goes first: without it nothing of the rest opens. */
static int clear_out_dir(const char *out_dir)
{
    remove_file(out_dir, SL_MANIFEST_NAME);
    return remove_own_files(out_dir, true);
}

/* The two may not be one directory, and the output may not be a checkpoint whose config.json would
 * be replaced. */
static int check_dirs(const struct sl_convert_params *p)
{
    struct stat in, out;
    if (stat(p->in_dir, &in) || !S_ISDIR(in.st_mode))
        return sl_fail(SL_ERR_IO, NULL, "%s: not a directory", p->in_dir);
    if (mkdir(p->out_dir, 0755) && errno != EEXIST)
        return sl_fail(SL_ERR_IO, NULL, "%s: cannot be created: %s", p->out_dir, strerror(errno));
    if (stat(p->out_dir, &out) || !S_ISDIR(out.st_mode))
        return sl_fail(SL_ERR_IO, NULL, "%s: not a directory", p->out_dir);
    if (in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return sl_fail(SL_ERR_USAGE, "choose another output directory",
                       "%s: input and output are the same directory", p->out_dir);
    if (access(p->out_dir, W_OK | X_OK))
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", p->out_dir, strerror(errno));
    if (sl_checkpoint_exists(p->out_dir))
        return sl_fail(SL_ERR_USAGE, "choose another output directory", "%s: holds a checkpoint",
                       p->out_dir);
    return 0;
}

/* Two conversions into one directory would mix their files. The lock ends with the process, however
 * that ends. */
static int lock_out_dir(struct convert *c)
{
    c->lock = open(c->params->out_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->lock < 0)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", c->params->out_dir, strerror(errno));
    if (flock(c->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return sl_fail(SL_ERR_USAGE, "wait for it, or choose another directory",
                       "%s: another conversion is writing here", c->params->out_dir);
    return 0; /* a file system without locks is not a reason to refuse */
}

/* True when dir/name exists and was made from something else (or cannot be read). */
static bool is_foreign(const struct convert *c, const char *name)
{
    uint64_t identity;
    return file_exists(c->params->out_dir, name) &&
           !(sl_manifest_peek_identity(c->params->out_dir, name, &identity) &&
             identity == c->m.identity);
}

/* Refuses what another conversion left behind. */
static int check_leftovers(const struct convert *c)
{
    const char *out_dir = c->params->out_dir;
    bool foreign = is_foreign(c, SL_MANIFEST_NAME);
    DIR *dir = opendir(out_dir);
    if (!dir)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", out_dir, strerror(errno));
    for (struct dirent *e; !foreign && (e = readdir(dir)) != NULL;)
        foreign =
            !fnmatch("*.frag", e->d_name, 0) && is_own_file(e->d_name) && is_foreign(c, e->d_name);
    closedir(dir);
    return foreign ? sl_fail(SL_ERR_USAGE, "choose another directory, or start over with --force",
                             "%s: holds a conversion of another model or format", out_dir)
                   : 0;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static int emit(struct convert *c, struct sl_outfile *f, size_t n)
{
    XXH3_64bits_update(c->hash, c->portion, n);
    int err = sl_outfile_write(f, c->portion, n);
    c->done += n;
    return err ? err : report_progress(c);
}

static int write_region(struct convert *c, const struct sl_pack_plan *plan, unsigned region,
                        struct sl_pack_run *run, struct sl_outfile *f)
{
    struct sl_slab_shape shape = sl_slab_get_shape(&plan->header);
    uint64_t unit = shape.unit_beats[region] * SL_BEAT_BYTES, step = c->portion_bytes / unit;
    int err = 0;
    for (uint64_t at = 0; at < shape.units[region] && !err; at += step) {
        uint64_t n = shape.units[region] - at < step ? shape.units[region] - at : step;
        err = sl_pack_units(plan, region, at, n, c->portion, run);
        if (!err)
            err = emit(c, f, (size_t)(n * unit));
    }
    return err;
}

static int write_slab(struct convert *c, size_t i, struct sl_pack_run *run, struct sl_outfile *f)
{
    const struct sl_slab_item *item = &c->m.layout.item[i];
    sl_slab_item_name(item, c->item);
    struct sl_pack_plan plan;
    int err = sl_layout_plan(&c->m.layout, item, c->ckpt, run, &plan);
    if (!err)
        err = sl_outfile_zeros(f, item->offset - f->bytes);
    if (err)
        return err;
    struct sl_slab_shape shape = sl_slab_get_shape(&plan.header);
    XXH3_64bits_reset(c->hash);
    sl_pack_head(&plan, c->portion);
    err = emit(c, f, (size_t)(shape.head_beats * SL_BEAT_BYTES));
    for (unsigned r = 0; r < shape.n_region && !err; r++)
        err = write_region(c, &plan, r, run, f);
    sl_pack_release(&plan);
    c->m.hash[i] = XXH3_64bits_digest(c->hash);
    return err;
}

static int write_part_file(struct convert *c, uint32_t part, struct sl_pack_run *run)
{
    const struct sl_layout *l = &c->m.layout;
    char name[SL_PART_NAME_MAX];
    sl_part_file_name(l, part, name);
    struct sl_outfile f;
    int err = sl_outfile_open(&f, c->params->out_dir, name);
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && !err; i++)
        err = write_slab(c, i, run, &f);
    if (!err)
        err = sl_outfile_zeros(&f, l->part_bytes[part] - f.bytes);
    if (!err)
        err = sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    return err;
}

/* The part's fragment when its data file is complete too. */
static bool is_finished(const struct convert *c, uint32_t part, struct sl_fragment *out)
{
    char name[SL_PART_NAME_MAX], path[PATH_MAX];
    struct stat st;
    sl_part_file_name(&c->m.layout, part, name);
    return sl_fragment_read(out, c->params->out_dir, &c->m.layout, part, c->m.hash) &&
           out->identity == c->m.identity && !sl_path_join(path, c->params->out_dir, name) &&
           !stat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == out->bytes;
}

/* One layer, the head, or (part == n_part) the tensors: taken over from an earlier run or made. */
static int convert_part(struct convert *c, uint32_t part)
{
    const char *out_dir = c->params->out_dir;
    bool tensors = part == c->m.layout.n_part;
    uint64_t bytes = tensors ? c->m.tensors_bytes : c->m.layout.part_bytes[part], before = c->done;
    struct sl_fragment f;
    bool finished = is_finished(c, part, &f);
    int err = 0;
    if (finished) {
        c->report.n_layer_resumed += part < c->m.layout.config.n_layer;
    } else {
        struct sl_pack_run run = {.pool = c->pool};
        sl_part_file_name(&c->m.layout, part, c->item);
        err = report_progress(c);
        if (!err)
            err = tensors ? sl_kept_write(&c->kept, out_dir, SL_TENSORS_NAME)
                          : write_part_file(c, part, &run);
        f = (struct sl_fragment){.identity = c->m.identity,
                                 .bytes = bytes,
                                 .n_group = run.n_group,
                                 .n_group_raised = run.n_group_raised,
                                 .tensors_hash = tensors && !err ? sl_kept_hash(&c->kept) : 0};
        if (!err)
            err = sl_fragment_write(&f, out_dir, &c->m.layout, part, c->m.hash);
    }
    c->m.tensors_hash = tensors ? f.tensors_hash : c->m.tensors_hash;
    c->m.n_group += f.n_group;
    c->m.n_group_raised += f.n_group_raised;
    c->done = before + bytes;
    return err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Space that the unfinished parts will take. */
static int check_space(struct convert *c)
{
    uint64_t need = SPARE_BYTES;
    for (uint32_t p = 0; p <= c->m.layout.n_part; p++) {
        struct sl_fragment f;
        if (!is_finished(c, p, &f))
            need += p < c->m.layout.n_part ? c->m.layout.part_bytes[p] : c->m.tensors_bytes;
    }
    struct statvfs fs;
    if (statvfs(c->params->out_dir, &fs))
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", c->params->out_dir, strerror(errno));
    uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (have >= need)
        return 0;
    return sl_fail(SL_ERR_IO, "free some space or choose another disk",
                   "%s: the conversion needs %llu MiB, the disk has %llu MiB free",
                   c->params->out_dir, (unsigned long long)((need + SPARE_BYTES - 1) / SPARE_BYTES),
                   (unsigned long long)(have / SPARE_BYTES));
}

static int open_source(struct convert *c)
{
    const struct sl_convert_params *p = c->params;
    struct sl_config config;
    int format = 0, dense = 0;
    size_t len;
    if (sl_store_is_store(p->in_dir))
        return sl_fail(SL_ERR_USAGE, "convert starts from the original checkpoint",
                       "%s: is a converted model already", p->in_dir);
    int err = sl_format_parse(&dense, p->format_dense ? p->format_dense : "q8");
    if (!err && p->format)
        err = sl_format_parse(&format, p->format); /* before anything large is opened */
    if (!err)
        err = sl_checkpoint_open(&c->ckpt, p->in_dir);
    if (!err && !p->format)
        err = sl_format_parse(&format, sl_checkpoint_format(c->ckpt));
    if (!err)
        err = read_small(p->in_dir, "config.json", &c->config_json, &len);
    if (!err)
        err = sl_config_parse(&config, c->config_json, len);
    if (!err)
        err = sl_layout_open(&c->m.layout, &config, format, dense);
    if (!err)
        err = sl_kept_open(&c->kept, c->ckpt, &config);
    return err ? err : sl_kept_file_bytes(&c->kept, &c->m.tensors_bytes);
}

static int open_work(struct convert *c)
{
    c->portion_bytes = PORTION_BYTES;
    c->portion = sl_alloc_aligned(64, PORTION_BYTES);
    c->m.hash = sl_alloc(c->m.layout.n_item, sizeof *c->m.hash);
    c->hash = XXH3_createState();
    if (!c->portion || !c->m.hash || !c->hash)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the conversion");
    c->m.identity = find_identity(c);
    c->total = c->m.layout.total_bytes + c->m.tensors_bytes;
    c->report.bytes_in = sl_checkpoint_bytes(c->ckpt);
    c->report.bytes_out = c->total;
    return sl_pool_open(&c->pool, c->params->n_threads);
}

/* An earlier run finished: nothing is left to do when its result opens. */
static int take_finished(struct convert *c)
{
    struct sl_store *store;
    int err = sl_store_open(&store, c->params->out_dir);
    if (err)
        return err;
    sl_store_close(&store);
    struct sl_manifest m;
    err = sl_manifest_load(&m, c->params->out_dir);
    if (err)
        return err;
    c->m.n_group = m.n_group;
    c->m.n_group_raised = m.n_group_raised;
    c->report.n_layer_resumed = m.layout.config.n_layer;
    sl_manifest_close(&m);
    return 0;
}

static int convert_all(struct convert *c)
{
    int err = check_space(c);
    if (!err)
        err = convert_part(c, c->m.layout.n_part);
    for (uint32_t p = 0; p < c->m.layout.n_part && !err; p++)
        err = convert_part(c, p);
    if (!err)
        err = copy_companions(c);
    if (!err)
        err = sl_dir_sync(c->params->out_dir); /* every name before the manifest's */
    if (!err)
        err = sl_manifest_write(&c->m, c->params->out_dir, c->config_json);
    return err ? err : sl_dir_sync(c->params->out_dir);
}

static void close_convert(struct convert *c)
{
    if (c->lock >= 0)
        close(c->lock);
    sl_pool_close(&c->pool);
    XXH3_freeState(c->hash);
    free(c->portion);
    free(c->config_json);
    sl_kept_close(&c->kept);
    sl_manifest_close(&c->m);
    sl_checkpoint_close(&c->ckpt);
}

int sl_convert(const struct sl_convert_params *params, struct sl_convert_report *out)
{
    struct convert c = {.params = params, .lock = -1};
    int err = open_source(&c);
    if (!err)
        err = check_dirs(params);
    if (!err)
        err = lock_out_dir(&c);
    if (!err)
        err = open_work(&c);
    if (!err)
        err = params->force ? clear_out_dir(params->out_dir) : check_leftovers(&c);
    if (!err) {
        bool complete = sl_store_is_store(params->out_dir);
        err = complete ? take_finished(&c) : convert_all(&c);
        if (!err)
            err = remove_own_files(params->out_dir, false);
    }
    c.report.n_group = c.m.n_group;
    c.report.n_group_raised = c.m.n_group_raised;
    if (!err && out)
        *out = c.report;
    close_convert(&c);
    return err;
}
