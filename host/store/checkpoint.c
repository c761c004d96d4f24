/* SPDX-License-Identifier: Apache-2.0 */
#include "store/checkpoint.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/fp8_release.h"
#include "store/gptq.h"
#include "store/tensor_file.h"

enum { MAX_INDEX_BYTES = 256 << 20, SHAPE_TEXT = 160 };

struct sl_checkpoint {
    enum sl_tensor_format format;
    struct sl_tensor_file *file; /* [n_file] */
    size_t n_file;
    const struct sl_tensor **by_name; /* [n_tensor], sorted */
    size_t n_tensor;
    uint64_t n_bytes;
    struct sl_gptq_set gptq;
};

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
    if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return sl_fail(SL_ERR_IO, "use a shorter path", "path too long: %.100s...", dir);
    return 0;
}

/* What a directory may have, in the order of preference. */
static const struct {
    const char *name;
    bool is_index;
    enum sl_tensor_format format;
} entrances[] = {
    {"model.safetensors.index.json", true, SL_TENSORS_SAFETENSORS},
    {"model.safetensors", false, SL_TENSORS_SAFETENSORS},
    {"pytorch_model.bin.index.json", true, SL_TENSORS_TORCH},
    {"pytorch_model.bin", false, SL_TENSORS_TORCH},
};
enum { N_ENTRANCE = sizeof entrances / sizeof entrances[0] };

static bool exists(const char *dir, const char *name)
{
    char path[PATH_MAX];
    return !join(path, dir, name) && access(path, F_OK) == 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int open_shard(struct sl_checkpoint *c, const char *dir, const char *name)
{
    char path[PATH_MAX];
    int err = join(path, dir, name);
    err = err ? err : sl_tensor_file_open(&c->file[c->n_file], &(const char *){path}, 1, c->format);
    c->n_file += !err;
    return err;
}

/* A shard must be a plain name inside of the directory. */
static bool is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < NAME_MAX;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Distinct shard names of a weight map, sorted; *out is malloc()ed, its strings belong to the map.
 */
static int shard_names(const char ***out, size_t *n, json_t *map, const char *path)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    const char **names = sl_alloc(json_object_size(map), sizeof *names);
    if (!names)
        return SL_ERR_NOMEM;
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        bool shown = name && sl_is_one_line(name) && sl_is_one_line(key);
        if (!shown || !is_plain_name(name)) {
            free(names);
            return sl_fail(SL_ERR_FORMAT, "shards must lie beside the index",
                           "%s: tensor '%.200s' points to '%.100s'", path,
                           sl_is_one_line(key) ? key : "?", shown ? name : "?");
        }
        names[count++] = name;
    }
    qsort(names, count, sizeof *names, compare_text);
    *n = 0;
    for (size_t i = 0; i < count; i++)
        if (*n == 0 || strcmp(names[*n - 1], names[i]))
            names[(*n)++] = names[i];
    *out = names;
    return 0;
}

/* All that are missing, in one line: a download of many files is not begun once for each. */
static int check_shards(const char *dir, const char *const *names, size_t n)
{
    enum { SHOWN = 4 };
    char list[SHOWN * (NAME_MAX + 2) + 1] = "";
    size_t missing = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        if (exists(dir, names[i]))
            continue;
        if (missing++ < SHOWN)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", names[i]);
    }
    if (!missing)
        return 0;
    return sl_fail(SL_ERR_IO, "download them beside the index",
                   "%.200s: %zu of %zu shards are missing: %.240s%s", dir, missing, n, list,
                   missing > SHOWN || at > 240 ? " ..." : "");
}

static int open_shards(struct sl_checkpoint *c, const char *dir, json_t *map, const char *path)
{
    const char **names = NULL;
    size_t n = 0;
    int err = shard_names(&names, &n, map, path);
    if (err)
        return err;
    c->file = sl_alloc(n, sizeof *c->file);
    err = c->file ? check_shards(dir, names, n) : SL_ERR_NOMEM;
    for (size_t i = 0; !err && i < n; i++)
        err = open_shard(c, dir, names[i]);
    free(names);
    return err;
}

static const char *file_name(const struct sl_tensor_file *file)
{
    return strrchr(file->path, '/') + 1;
}

static bool holds(const struct sl_tensor_file *file, const struct sl_tensor *t, const char *name)
{
    return t ? t >= file->tensor && t < file->tensor + file->n_tensor
             : sl_tensor_file_unread(file, name) != NULL;
}

/* Every tensor of the index must be in the shard that it names. */
static int check_index(const struct sl_checkpoint *c, json_t *map, const char *path)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        const struct sl_tensor *t = sl_checkpoint_find(c, key);
        size_t f = 0;
        while (f < c->n_file && strcmp(file_name(&c->file[f]), json_string_value(value)))
            f++;
        if (f == c->n_file || !holds(&c->file[f], t, key))
            return sl_fail(SL_ERR_FORMAT, "download the shard again",
                           "%s names tensor '%.200s', but %s does not hold it", path, key,
                           json_string_value(value));
    }
    return 0;
}

/* ---- names and scales ----------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct sl_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int index_names(struct sl_checkpoint *c)
{
    size_t n = 0;
    for (size_t f = 0; f < c->n_file; f++)
        n += c->file[f].n_tensor;
    c->by_name = sl_alloc(n, sizeof *c->by_name);
    if (!c->by_name)
        return SL_ERR_NOMEM;
    for (size_t f = 0; f < c->n_file; f++)
        for (size_t i = 0; i < c->file[f].n_tensor; i++) {
            c->by_name[c->n_tensor++] = &c->file[f].tensor[i];
            c->n_bytes += c->file[f].tensor[i].n_bytes;
        }
    qsort(c->by_name, n, sizeof *c->by_name, by_name);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(c->by_name[i - 1]->name, c->by_name[i]->name))
            return sl_fail(SL_ERR_FORMAT, "remove files of another export",
                           "tensor '%.200s' is in two shards", c->by_name[i]->name);
    return 0;
}

/* Other FP8 exports keep reciprocal scales of blocks: without them the codes mean nothing. */
static int refuse_inverse_scale(const struct sl_checkpoint *c, const char *scale_name)
{
    char name[520];
    snprintf(name, sizeof name, "%s_inv", scale_name);
    if (!sl_checkpoint_find(c, name))
        return 0;
    return sl_fail(SL_ERR_UNSUPPORTED, "one scale per tensor is read",
                   "tensor '%.200s': scales of blocks", name);
}

enum { SCALE_NAME = 512 };

/* The FP8 release: <linear>.weight_scale belongs to the F8 tensor <linear>.weight. NULL: there is
 * none; name is what it would have been, "" for other tensors. */
static const struct sl_tensor *find_scale(const struct sl_checkpoint *c, const struct sl_tensor *t,
                                          char name[SCALE_NAME])
{
    if (t->dtype != SL_DTYPE_F8_E4M3 ||
        snprintf(name, SCALE_NAME, "%s_scale", t->name) >= SCALE_NAME)
        name[0] = 0;
    return name[0] ? sl_checkpoint_find(c, name) : NULL;
}

static int attach_scale(const struct sl_checkpoint *c, struct sl_tensor *t)
{
    char name[SCALE_NAME];
    float scale;
    const struct sl_tensor *s = find_scale(c, t, name);
    if (!s)
        return name[0] ? refuse_inverse_scale(c, name) : 0;
    if (s->n_elem != 1)
        return sl_fail(SL_ERR_SHAPE, "one scale per tensor is read",
                       "tensor '%.200s' has %" PRIu64 " elements, expected 1", s->name, s->n_elem);
    sl_widen(s->dtype, s->data, 1, &scale);
    if (!isfinite(scale) || scale <= 0)
        return sl_fail(SL_ERR_RANGE, "copy the file again", "tensor '%.200s' is %g", s->name,
                       (double)scale);
    t->scale = scale;
    return 0;
}

/* Asked for beforehand, thousands of scales in as many places are one wait for the disk, not each
 * of them one. */
static void ask_for_scales(const struct sl_checkpoint *c)
{
    char name[SCALE_NAME];
    for (size_t f = 0; f < c->n_file; f++)
        for (size_t i = 0; i < c->file[f].n_tensor; i++) {
            const struct sl_tensor *s = find_scale(c, &c->file[f].tensor[i], name);
            if (s)
                sl_mapping_touch(s->data, (size_t)s->n_bytes);
        }
}

static int attach_scales(struct sl_checkpoint *c)
{
    int err = 0;
    ask_for_scales(c);
    for (size_t f = 0; f < c->n_file; f++)
        for (size_t i = 0; !err && i < c->file[f].n_tensor; i++)
            err = attach_scale(c, &c->file[f].tensor[i]);
    return err;
}

/* Gives quantised linears their place among the names. */
static int add_linears(struct sl_checkpoint *c)
{
    size_t n = c->n_tensor + c->gptq.n;
    const struct sl_tensor **all = c->gptq.n ? sl_alloc(n, sizeof *all) : NULL;
    if (!c->gptq.n)
        return 0;
    if (!all)
        return SL_ERR_NOMEM;
    memcpy(all, c->by_name, c->n_tensor * sizeof *all);
    for (size_t i = 0; i < c->gptq.n; i++)
        all[c->n_tensor + i] = &c->gptq.tensor[i];
    qsort(all, n, sizeof *all, by_name);
    free(c->by_name);
    c->by_name = all;
    c->n_tensor = n;
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

static int open_index(struct sl_checkpoint *c, const char *dir, const char *path)
{
    char *text;
    size_t size;
    json_error_t why;
    int err = sl_file_read(&text, &size, path, MAX_INDEX_BYTES);
    if (err)
        return err;
    json_t *index = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        err = sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: %.*s", path,
                      index ? INT_MAX : (int)strcspn(why.text, "\n"), /* may quote a newline */
                      index ? "no weight_map" : why.text);
    err = err ? err : open_shards(c, dir, map, path);
    err = err ? err : index_names(c);
    err = err ? err : check_index(c, map, path);
    json_decref(index);
    free(text);
    return err;
}

/* n paths: one file, or its pieces. */
static int open_single(struct sl_checkpoint *c, const char *const *path, size_t n)
{
    c->file = sl_alloc(1, sizeof *c->file);
    int err = c->file ? sl_tensor_file_open(c->file, path, n, c->format) : SL_ERR_NOMEM;
    c->n_file = !err;
    return err ? err : index_names(c);
}

static size_t find_entrance(const char *dir)
{
    size_t i = 0;
    while (i < N_ENTRANCE && !exists(dir, entrances[i].name))
        i++;
    return i;
}

bool sl_checkpoint_exists(const char *dir)
{
    const char **path = NULL;
    size_t n = 0;
    bool found =
        find_entrance(dir) < N_ENTRANCE || sl_pieces_find(&path, &n, dir) == SL_ERR_FORMAT || n > 0;
    free(path);
    return found;
}

/* A directory without a file of a usual name: pieces, or one file of another name. */
static int open_pieces(struct sl_checkpoint *c, const char *dir)
{
    const char **path = NULL;
    size_t n;
    int err = sl_pieces_find(&path, &n, dir);
    if (!err && !n)
        err = sl_pieces_find_whole(&path, &n, dir);
    if (err)
        return err;
    if (!n)
        return sl_fail(SL_ERR_IO, "check the path",
                       "%s: neither model.safetensors nor pytorch_model.bin is there, nor the "
                       "index of either, nor pieces",
                       dir);
    err = open_single(c, path, n);
    free(path);
    return err;
}

static int open_dir(struct sl_checkpoint *c, const char *dir)
{
    char path[PATH_MAX];
    size_t i = find_entrance(dir);
    if (i == N_ENTRANCE)
        return open_pieces(c, dir);
    int err = join(path, dir, entrances[i].name);
    if (err)
        return err;
    c->format = entrances[i].format;
    return entrances[i].is_index ? open_index(c, dir, path)
                                 : open_single(c, &(const char *){path}, 1);
}

/* dir NULL: path is the only file. */
static int open_either(struct sl_checkpoint *c, const char *dir, const char *path)
{
    struct sl_quant_config q = {.method = SL_QUANT_NONE};
    int err = dir ? sl_quant_load(&q, dir) : 0;
    err = err ? err : dir ? open_dir(c, dir) : open_single(c, &path, 1);
    err = err ? err : attach_scales(c);
    err = err ? err : sl_fp8_check(c, &q);
    err = err ? err : sl_gptq_open(&c->gptq, c, &q);
    sl_quant_close(&q);
    return err ? err : add_linears(c);
}

static int open_checkpoint(struct sl_checkpoint **out, const char *dir, const char *path)
{
    struct sl_checkpoint *c = sl_alloc(1, sizeof *c);
    if (!c)
        return SL_ERR_NOMEM;
    int err = open_either(c, dir, path);
    if (err)
        sl_checkpoint_close(&c);
    else
        *out = c;
    return err;
}

int sl_checkpoint_open(struct sl_checkpoint **out, const char *dir)
{
    return open_checkpoint(out, dir, NULL);
}

int sl_checkpoint_open_file(struct sl_checkpoint **out, const char *path)
{
    return open_checkpoint(out, NULL, path);
}

void sl_checkpoint_close(struct sl_checkpoint **ckpt)
{
    struct sl_checkpoint *c = *ckpt;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_file; i++)
        sl_tensor_file_close(&c->file[i]);
    sl_gptq_close(&c->gptq);
    free(c->file);
    free(c->by_name);
    free(c);
    *ckpt = NULL;
}

/* ---- lookup --------------------------------------------------------------------------------- */

const struct sl_tensor *sl_checkpoint_find(const struct sl_checkpoint *ckpt, const char *name)
{
    struct sl_tensor key = {.name = name};
    const struct sl_tensor *key_ptr = &key;
    const struct sl_tensor **hit =
        bsearch(&key_ptr, ckpt->by_name, ckpt->n_tensor, sizeof *ckpt->by_name, by_name);
    return hit ? *hit : NULL;
}

static void shape_text(char out[SHAPE_TEXT], unsigned n_dim, const uint64_t *dim)
{
    size_t at = (size_t)snprintf(out, SHAPE_TEXT, "[");
    for (unsigned i = 0; i < n_dim && at < SHAPE_TEXT; i++)
        at += (size_t)snprintf(out + at, SHAPE_TEXT - at, "%s%" PRIu64, i ? ", " : "", dim[i]);
    if (at < SHAPE_TEXT)
        snprintf(out + at, SHAPE_TEXT - at, "]");
}

/* The tensor is missing, or of a type that is not read. */
static int refuse_missing(const struct sl_checkpoint *c, const char *name, const char *want)
{
    for (size_t f = 0; f < c->n_file; f++) {
        const char *type = sl_tensor_file_unread(&c->file[f], name);
        if (type)
            return sl_fail(SL_ERR_UNSUPPORTED, "F32, BF16, F16 and F8_E4M3 are read",
                           "tensor '%.200s' has type %s", name, type);
    }
    return sl_fail(SL_ERR_SHAPE, "the checkpoint is incomplete or of another model",
                   "tensor '%.200s' %s is missing", name, want);
}

int sl_checkpoint_need(const struct sl_checkpoint *ckpt, const struct sl_tensor **out,
                       const char *name, unsigned n_dim, const uint64_t *dim)
{
    int err = sl_checkpoint_need_part(ckpt, out, name, n_dim, dim);
    if (err || (*out)->dtype != SL_DTYPE_I32 || (*out)->gptq)
        return err;
    return sl_fail(SL_ERR_UNSUPPORTED, "integers are read as parts of GPTQ linears",
                   "tensor '%.200s' is I32", name);
}

int sl_checkpoint_need_part(const struct sl_checkpoint *ckpt, const struct sl_tensor **out,
                            const char *name, unsigned n_dim, const uint64_t *dim)
{
    char want[SHAPE_TEXT], got[SHAPE_TEXT];
    const struct sl_tensor *t = sl_checkpoint_find(ckpt, name);
    shape_text(want, n_dim, dim);
    if (!t)
        return refuse_missing(ckpt, name, want);
    if (t->n_dim != n_dim || memcmp(t->dim, dim, n_dim * sizeof *dim)) {
        shape_text(got, t->n_dim, t->dim);
        return sl_fail(SL_ERR_SHAPE, "config.json and the weights disagree",
                       "tensor '%.200s' is %s, expected %s", name, got, want);
    }
    *out = t;
    return 0;
}

size_t sl_checkpoint_file_count(const struct sl_checkpoint *ckpt)
{
    return ckpt->n_file;
}

size_t sl_checkpoint_count(const struct sl_checkpoint *ckpt)
{
    return ckpt->n_tensor;
}

const struct sl_tensor *sl_checkpoint_at(const struct sl_checkpoint *ckpt, size_t i)
{
    return ckpt->by_name[i];
}

uint64_t sl_checkpoint_bytes(const struct sl_checkpoint *ckpt)
{
    return ckpt->n_bytes;
}

void sl_tensor_read(const struct sl_tensor *t, uint64_t first, size_t n, float *dst)
{
    sl_widen(t->dtype, t->data + first * sl_dtype_size(t->dtype), n, dst);
    if (t->scale != 1.0f)
        for (size_t i = 0; i < n; i++)
            dst[i] *= t->scale;
}

void sl_tensor_read_rows(const struct sl_tensor *t, uint64_t first, uint32_t n, float *dst,
                         size_t stride)
{
    if (t->gptq) {
        sl_gptq_read_rows(t, first, n, dst, stride);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        sl_tensor_read(t, (first + i) * t->dim[1], t->dim[1], dst + i * stride);
}

uint32_t sl_tensor_row_block(const struct sl_tensor *t)
{
    return t->gptq ? SL_GPTQ_ROWS : 1;
}

void sl_tensor_release(const struct sl_tensor *t)
{
    if (!t->is_copy)
        sl_mapping_release(t->data, (size_t)t->n_bytes);
}
