/* SPDX-License-Identifier: Apache-2.0 */
#include "store/torch_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/pickle.h"
#include "store/safetensors.h"
#include "store/torch_view.h"
#include "store/zip_view.h"

enum {
    MAX_PICKLE = 64 << 20, /* of 10,000 tensors: 2 MiB */
    MAX_COPIES = 256 << 20,
    MAX_KEY = 20, /* decimal digits */
    ENTRY_NAME = 512
};

/* While a file is being opened. */
struct loading {
    struct sl_torch_file *f;
    struct sl_zip_view *zip;
    char root[ENTRY_NAME - 64]; /* with its slash */
    struct sl_pickle pickle;    /* sorted by name */
    uint64_t copies;            /* bytes so far */
};

static int bad(const struct loading *l, const struct sl_pickle_tensor *t, const char *why)
{
    char strides[SL_TORCH_STRIDE_TEXT];
    sl_torch_view_strides(t, strides);
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: tensor '%.200s', strides %s: %s",
                   l->f->path, t->name.at, strides, why);
}

static int refuse_copy(const struct loading *l, const struct sl_pickle_tensor *t, const char *why)
{
    char strides[SL_TORCH_STRIDE_TEXT];
    sl_torch_view_strides(t, strides);
    return sl_fail(SL_ERR_UNSUPPORTED, "save tensors after .contiguous()",
                   "%s: tensor '%.200s', strides %s: %s", l->f->path, t->name.at, strides, why);
}

/* ---- entries of the archive -------------------------------------------------------------- */

/* Files of torch before 1.6 are pickles, not archives. */
static int refuse_old_file(const struct sl_torch_file *f)
{
    return sl_fail(SL_ERR_UNSUPPORTED,
                   "load and save it once with torch 1.6 or later: torch.save(torch.load(f), f)",
                   "%s is a plain pickle, torch.save's format before version 1.6", f->path);
}

static int find_root(struct loading *l)
{
    const char *first = sl_zip_view_first(l->zip);
    const char *slash = first ? strchr(first, '/') : NULL;
    const size_t n = slash ? (size_t)(slash - first) + 1 : sizeof l->root;
    if (n >= sizeof l->root || !sl_is_one_line(first))
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s is truncated or not of torch.save",
                       l->f->path);
    memcpy(l->root, first, n);
    l->root[n] = 0;
    return 0;
}

/* An entry by its name below the root; *data is NULL when there is none. */
static int find_entry(const struct loading *l, const char *name, const uint8_t **data,
                      uint64_t *size)
{
    char path[ENTRY_NAME];
    snprintf(path, sizeof path, "%s%s", l->root, name);
    return sl_zip_view_find(l->zip, path, data, size);
}

static int check_byte_order(const struct loading *l)
{
    static const char little[] = "little";
    const uint8_t *data;
    uint64_t n;
    int err = find_entry(l, "byteorder", &data, &n);
    if (err || !data || (n == sizeof little - 1 && !memcmp(data, little, sizeof little - 1)))
        return err;
    return sl_fail(SL_ERR_UNSUPPORTED, "save it on a little-endian machine",
                   "%s: its byteorder is not '%s'", l->f->path, little);
}

static int read_pickle(struct loading *l)
{
    const uint8_t *data;
    uint64_t n;
    int err = find_entry(l, "data.pkl", &data, &n);
    if (err)
        return err;
    if (!data || n > MAX_PICKLE)
        return sl_fail(SL_ERR_FORMAT, "copy the file again",
                       data ? "%s: its data.pkl is too large" : "%s: there is no data.pkl in it",
                       l->f->path);
    return sl_pickle_read(&l->pickle, data, (size_t)n, l->f->path);
}

/* ---- names ------------------------------------------------------------------------------- */

static int compare_text(struct sl_pickle_text a, struct sl_pickle_text b)
{
    int order = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name(const void *a, const void *b)
{
    const struct sl_pickle_tensor *x = a, *y = b;
    return compare_text(x->name, y->name);
}

/* Sorts by name and copies the names, which become texts; refuses what is not fit to be one. */
static int take_names(struct loading *l)
{
    struct sl_pickle_tensor *t = l->pickle.tensor;
    const size_t n = l->pickle.n_tensor;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += t[i].name.n + 1;
    char *at = l->f->names = sl_alloc(bytes, 1);
    if (!at)
        return SL_ERR_NOMEM;
    qsort(t, n, sizeof *t, by_name);
    for (size_t i = 0; i < n; i++) {
        memcpy(at, t[i].name.at, t[i].name.n);
        t[i].name.at = at;
        if (strlen(at) != t[i].name.n || !sl_is_one_line(at))
            return sl_fail(SL_ERR_FORMAT, "copy the file again",
                           "%s: control characters in the name of a tensor", l->f->path);
        if (i && !strcmp(t[i - 1].name.at, at))
            return bad(l, &t[i], "is there twice");
        at += t[i].name.n + 1;
    }
    return 0;
}

/* ---- tensors ----------------------------------------------------------------------------- */

/* The storage's entry. Keys are numbers, so they name nothing but entries of data/. */
static int find_storage(const struct loading *l, const struct sl_pickle_tensor *t,
                        const uint8_t **data, uint64_t *size)
{
    char name[MAX_KEY + 8] = "data/";
    bool digits = t->key.n > 0 && t->key.n <= MAX_KEY;
    for (size_t i = 0; digits && i < t->key.n; i++)
        digits = t->key.at[i] >= '0' && t->key.at[i] <= '9';
    if (!digits)
        return bad(l, t, "the key of its storage is not a number");
    memcpy(name + 5, t->key.at, t->key.n);
    int err = find_entry(l, name, data, size);
    if (!err && !*data)
        err = bad(l, t, "its storage is not in the file");
    return err;
}

/* A view's place, or room for its copy, which follows when all are known. */
static int take_tensor(struct loading *l, const struct sl_pickle_tensor *t,
                       struct sl_torch_view *view)
{
    struct sl_torch_file *f = l->f;
    const uint8_t *data;
    uint64_t size;
    int err = find_storage(l, t, &data, &size);
    if (err)
        return err;
    const char *why = sl_torch_view_make(view, t, data, size);
    if (why)
        return bad(l, t, why);
    if (view->is_larger)
        return refuse_copy(l, t, "repeats elements of its storage");
    struct sl_tensor *out = &f->tensor[f->n_tensor++];
    *out = (struct sl_tensor){.name = t->name.at,
                              .dtype = t->type->dtype,
                              .n_dim = view->n_dim,
                              .n_elem = view->n_elem,
                              .n_bytes = view->n_bytes,
                              .data = view->data,
                              .is_copy = !view->is_contiguous,
                              .scale = 1};
    memcpy(out->dim, view->dim, sizeof out->dim);
    l->copies += out->is_copy ? out->n_bytes : 0;
    return l->copies > MAX_COPIES
               ? refuse_copy(l, t, "copies of such tensors would take more than 256 MiB")
               : 0;
}

/* Fills the copies; views[i] is of tensor[i]. */
static int copy_views(struct loading *l, const struct sl_torch_view *views)
{
    struct sl_torch_file *f = l->f;
    uint8_t *at = f->copies = sl_alloc((size_t)l->copies, 1);
    if (!at)
        return SL_ERR_NOMEM;
    for (size_t i = 0; i < f->n_tensor; i++) {
        if (!f->tensor[i].is_copy)
            continue;
        sl_torch_view_copy(&views[i], at);
        f->tensor[i].data = at;
        at += f->tensor[i].n_bytes;
    }
    return 0;
}

static int take_tensors(struct loading *l)
{
    struct sl_torch_file *f = l->f;
    const size_t n = l->pickle.n_tensor;
    f->tensor = sl_alloc(n, sizeof *f->tensor);
    f->unread = sl_alloc(n, sizeof *f->unread);
    struct sl_torch_view *views = sl_alloc(n, sizeof *views);
    int err = f->tensor && f->unread && views ? 0 : SL_ERR_NOMEM;
    for (size_t i = 0; i < n && !err; i++) {
        const struct sl_pickle_tensor *t = &l->pickle.tensor[i];
        if (t->type->is_read)
            err = take_tensor(l, t, &views[f->n_tensor]);
        else
            f->unread[f->n_unread++] = (struct sl_torch_unread){t->name.at, t->type->name};
    }
    sl_mapping_scatter(&f->map, false);
    err = err ? err : copy_views(l, views);
    free(views);
    return err;
}

/* ---- open and close
 * ------------------------------------------------------------------------------ */

static int load(struct sl_torch_file *f)
{
    struct loading l = {.f = f};
    if (f->map.size && f->map.data[0] == 0x80) /* PROTO */
        return refuse_old_file(f);
    sl_mapping_scatter(&f->map, true); /* headers lie between gigabytes of data */
    int err = sl_zip_view_open(&l.zip, &f->map, f->path);
    err = err ? err : find_root(&l);
    err = err ? err : check_byte_order(&l);
    err = err ? err : read_pickle(&l);
    err = err ? err : take_names(&l);
    err = err ? err : take_tensors(&l);
    sl_pickle_close(&l.pickle);
    sl_zip_view_close(&l.zip);
    return err;
}

int sl_torch_file_open(struct sl_torch_file *out, const char *path)
{
    struct sl_torch_file f = {.path = strdup(path)};
    int err = f.path ? sl_mapping_open(&f.map, path) : SL_ERR_NOMEM;
    err = err ? err : load(&f);
    if (err)
        sl_torch_file_close(&f);
    else
        *out = f;
    return err;
}

void sl_torch_file_close(struct sl_torch_file *file)
{
    sl_mapping_close(&file->map);
    free(file->path);
    free(file->names);
    free(file->copies);
    free(file->tensor);
    free(file->unread);
    *file = (struct sl_torch_file){0};
}

static int compare_unread(const void *key, const void *at)
{
    return strcmp(key, ((const struct sl_torch_unread *)at)->name);
}

const char *sl_torch_file_unread(const struct sl_torch_file *file, const char *name)
{
    const struct sl_torch_unread *hit =
        file->n_unread
            ? bsearch(name, file->unread, file->n_unread, sizeof *file->unread, compare_unread)
            : NULL;
    return hit ? hit->type : NULL;
}
