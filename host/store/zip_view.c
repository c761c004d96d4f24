/* SPDX-License-Identifier: Apache-2.0 */
#include "store/zip_view.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/err.h"

/* libzip does not tell where an entry's data begin, but it reads the file through source(): the
 * place of the first byte that it asks for is that. */
struct sl_zip_view {
    const struct sl_mapping *map;
    const char *path;
    zip_t *zip;
    uint64_t at, read_at; /* position, and where it was at the last read */
    zip_error_t error;
};

static zip_int64_t read_here(struct sl_zip_view *v, void *out, uint64_t n)
{
    const uint64_t left = v->map->size - v->at;
    n = n < left ? n : left;
    v->read_at = v->at;
    if (n)
        memcpy(out, v->map->data + v->at, n);
    v->at += n;
    return (zip_int64_t)n;
}

static zip_int64_t seek_to(struct sl_zip_view *v, void *data, uint64_t n)
{
    zip_int64_t to = zip_source_seek_compute_offset(v->at, v->map->size, data, n, &v->error);
    if (to >= 0)
        v->at = (uint64_t)to;
    return to < 0 ? -1 : 0;
}

static zip_int64_t tell_stat(const struct sl_zip_view *v, zip_stat_t *out)
{
    zip_stat_init(out);
    out->size = v->map->size;
    out->valid |= ZIP_STAT_SIZE;
    return sizeof *out;
}

static zip_int64_t source(void *user, void *data, zip_uint64_t n, zip_source_cmd_t command)
{
    struct sl_zip_view *v = user;
    switch (command) {
    case ZIP_SOURCE_OPEN: v->at = 0; return 0;
    case ZIP_SOURCE_READ: return read_here(v, data, n);
    case ZIP_SOURCE_SEEK: return seek_to(v, data, n);
    case ZIP_SOURCE_TELL: return (zip_int64_t)v->at;
    case ZIP_SOURCE_STAT: return tell_stat(v, data);
    case ZIP_SOURCE_ERROR: return zip_error_to_data(&v->error, data, n);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE: return 0;
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_STAT,
            ZIP_SOURCE_ERROR, ZIP_SOURCE_CLOSE, ZIP_SOURCE_FREE, ZIP_SOURCE_SUPPORTS, -1);
    default: zip_error_set(&v->error, ZIP_ER_OPNOTSUPP, 0); return -1;
    }
}

static int refuse_archive(const char *path, zip_error_t *why)
{
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s is truncated or not a zip file: %s",
                   path, zip_error_strerror(why));
}

int sl_zip_view_open(struct sl_zip_view **out, const struct sl_mapping *map, const char *path)
{
    struct sl_zip_view *v = sl_alloc(1, sizeof *v);
    if (!v)
        return SL_ERR_NOMEM;
    v->map = map;
    v->path = path;
    zip_error_t why;
    zip_error_init(&v->error);
    zip_error_init(&why);
    zip_source_t *s = zip_source_function_create(source, v, &why);
    v->zip = s ? zip_open_from_source(s, ZIP_RDONLY, &why) : NULL;
    int err = v->zip ? 0 : refuse_archive(path, &why);
    if (s && !v->zip)
        zip_source_free(s);
    zip_error_fini(&why);
    if (err)
        sl_zip_view_close(&v);
    else
        *out = v;
    return err;
}

void sl_zip_view_close(struct sl_zip_view **view)
{
    struct sl_zip_view *v = *view;
    if (!v)
        return;
    if (v->zip)
        zip_discard(v->zip);
    zip_error_fini(&v->error);
    free(v);
    *view = NULL;
}

const char *sl_zip_view_first(const struct sl_zip_view *view)
{
    return zip_get_name(view->zip, 0, ZIP_FL_ENC_RAW);
}

/* Where the data of entry i begin, by reading its first byte. */
static int find_data(struct sl_zip_view *v, uint64_t i, uint64_t *begin)
{
    char byte;
    zip_file_t *f = zip_fopen_index(v->zip, i, ZIP_FL_COMPRESSED);
    bool found = f && zip_fread(f, &byte, 1) == 1;
    if (f)
        zip_fclose(f);
    *begin = v->read_at;
    return found ? 0 : -1;
}

int sl_zip_view_find(struct sl_zip_view *view, const char *name, const uint8_t **data,
                     uint64_t *size)
{
    const uint64_t known =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    zip_int64_t i = zip_name_locate(view->zip, name, ZIP_FL_ENC_RAW);
    zip_stat_t st;
    uint64_t begin = 0;
    *data = NULL;
    *size = 0;
    if (i < 0)
        return 0;
    if (zip_stat_index(view->zip, (uint64_t)i, 0, &st) || (st.valid & known) != known)
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: entry '%s' is damaged",
                       view->path, name);
    if (st.comp_method != ZIP_CM_STORE || st.encryption_method != ZIP_EM_NONE)
        return sl_fail(SL_ERR_UNSUPPORTED, "torch.save stores entries as they are",
                       "%s: entry '%s' is %s", view->path, name,
                       st.comp_method != ZIP_CM_STORE ? "compressed" : "encrypted");
    if (st.size != st.comp_size || (st.size && find_data(view, (uint64_t)i, &begin)) ||
        st.size > view->map->size - begin)
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: entry '%s' leaves the file",
                       view->path, name);
    *data = view->map->data + begin;
    *size = st.size;
    return 0;
}
