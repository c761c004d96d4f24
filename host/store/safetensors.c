/* SPDX-License-Identifier: Apache-2.0 */
#include "store/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000 }; /* the format's own limit */

static const char *hint(const struct sl_safetensors *st)
{
    return st->file.n > 1 ? "a piece is incomplete, missing or in another's place"
                          : "copy the file again";
}

static int bad(const struct sl_safetensors *st, const char *name, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, hint(st), "%s: tensor '%.200s': %s", st->path, name, why);
}

bool sl_is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            return false;
    return true;
}

static int parse_dtype(enum sl_dtype *out, const char *text)
{
    for (int d = SL_DTYPE_F32; d <= SL_DTYPE_I32; d++)
        if (!strcmp(text, sl_dtype_name((enum sl_dtype)d))) {
            *out = (enum sl_dtype)d;
            return 0;
        }
    return -1;
}

/* Dimensions and their product, which must not overflow. */
static int parse_shape(struct sl_tensor *t, const json_t *shape)
{
    if (!json_is_array(shape) || json_array_size(shape) > SL_TENSOR_MAX_DIM)
        return -1;
    t->n_dim = (unsigned)json_array_size(shape);
    t->n_elem = 1;
    for (unsigned i = 0; i < t->n_dim; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return -1;
        t->dim[i] = (uint64_t)json_integer_value(d);
        if (__builtin_mul_overflow(t->n_elem, t->dim[i], &t->n_elem))
            return -1;
    }
    return 0;
}

/* data_size: bytes behind the header. */
static int parse_tensor(const struct sl_safetensors *st, struct sl_tensor *t, const char *name,
                        const json_t *entry, uint64_t data_size)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_string(dtype) || json_array_size(offsets) != 2 || !json_is_integer(begin) ||
        !json_is_integer(end))
        return bad(st, name, "dtype, shape or data_offsets is missing or has the wrong type");
    const char *dtype_name = json_string_value(dtype);
    if (parse_dtype(&t->dtype, dtype_name))
        return sl_fail(SL_ERR_UNSUPPORTED, "F32, BF16, F16, F8_E4M3 and GPTQ's I32 are read",
                       "%s: tensor '%.200s' has dtype '%.40s'", st->path, name,
                       sl_is_one_line(dtype_name) ? dtype_name : "?");
    if (parse_shape(t, json_object_get(entry, "shape")))
        return bad(st, name, "impossible shape");
    json_int_t b = json_integer_value(begin), e = json_integer_value(end);
    if (b < 0 || e < b || (uint64_t)e > data_size)
        return bad(st, name, "data_offsets leave the file");
    if (__builtin_mul_overflow(t->n_elem, (uint64_t)sl_dtype_size(t->dtype), &t->n_bytes) ||
        t->n_bytes != (uint64_t)(e - b))
        return bad(st, name, "data_offsets do not fit dtype and shape");
    t->at = (uint64_t)b;
    t->scale = 1;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct sl_tensor *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* The format wants the data to be covered exactly once. */
static int check_cover(const struct sl_safetensors *st, uint64_t data_size)
{
    uint64_t at = 0;
    for (size_t i = 0; i < st->n_tensor; i++) {
        const struct sl_tensor *t = &st->tensor[i];
        if (t->at != at)
            return bad(st, t->name, t->at < at ? "overlaps another tensor" : "follows a gap");
        at += t->n_bytes;
    }
    if (at != data_size)
        return sl_fail(SL_ERR_FORMAT, hint(st), "%s: %llu bytes behind the last tensor", st->path,
                       (unsigned long long)(data_size - at));
    return 0;
}

static int find_data(struct sl_safetensors *st, uint64_t data_at)
{
    int err = 0;
    for (size_t i = 0; !err && i < st->n_tensor; i++) {
        struct sl_tensor *t = &st->tensor[i];
        err = sl_pieces_view(&st->file, data_at + t->at, t->n_bytes, &t->data);
    }
    return err;
}

static int parse_tensors(struct sl_safetensors *st, json_t *header, uint64_t data_at)
{
    const char *name;
    json_t *entry;
    size_t name_bytes = 0;
    json_object_foreach(header, name, entry) name_bytes += strlen(name) + 1;
    st->tensor = sl_alloc(json_object_size(header), sizeof *st->tensor);
    st->names = sl_alloc(name_bytes, 1);
    if (!st->tensor || !st->names)
        return SL_ERR_NOMEM;
    char *at = st->names;
    uint64_t data_size = st->file.size - data_at;
    json_object_foreach(header, name, entry)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        if (!sl_is_one_line(name))
            return bad(st, "?", "control characters in its name");
        struct sl_tensor *t = &st->tensor[st->n_tensor];
        int err = parse_tensor(st, t, name, entry, data_size);
        if (err)
            return err;
        size_t n = strlen(name) + 1;
        t->name = memcpy(at, name, n);
        at += n;
        st->n_tensor++;
    }
    qsort(st->tensor, st->n_tensor, sizeof *st->tensor, by_place);
    int err = check_cover(st, data_size);
    return err ? err : find_data(st, data_at);
}

static int parse_file(struct sl_safetensors *st)
{
    const uint64_t have = st->file.size;
    const uint8_t *text = NULL;
    uint64_t length = 0;
    if (have < LENGTH_BYTES)
        return sl_fail(SL_ERR_FORMAT, hint(st), "%s is truncated (%llu bytes)", st->path,
                       (unsigned long long)have);
    int err = sl_pieces_view(&st->file, 0, LENGTH_BYTES, &text);
    if (err)
        return err;
    memcpy(&length, text, sizeof length);
    if (length > MAX_HEADER || length > have - LENGTH_BYTES)
        return sl_fail(SL_ERR_FORMAT, hint(st),
                       "%s is truncated or not safetensors (header of %llu bytes)", st->path,
                       (unsigned long long)length);
    err = sl_pieces_view(&st->file, LENGTH_BYTES, length, &text);
    if (err)
        return err;
    json_error_t why;
    json_t *header = json_loadb((const char *)text, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(header)) {
        json_decref(header);
        const char *reason = header ? "not an object" : why.text; /* may quote a newline */
        return sl_fail(SL_ERR_FORMAT, hint(st), "%s: header: %.*s", st->path,
                       (int)strcspn(reason, "\n"), reason);
    }
    err = parse_tensors(st, header, LENGTH_BYTES + length);
    json_decref(header);
    return err;
}

int sl_safetensors_open(struct sl_safetensors *out, const char *path)
{
    return sl_safetensors_open_pieces(out, &path, 1);
}

int sl_safetensors_open_pieces(struct sl_safetensors *out, const char *const *path, size_t n)
{
    struct sl_safetensors st = {.path = strdup(path[0])};
    int err = st.path ? sl_pieces_open(&st.file, path, n) : SL_ERR_NOMEM;
    err = err ? err : parse_file(&st);
    if (err)
        sl_safetensors_close(&st);
    else
        *out = st;
    return err;
}

void sl_safetensors_close(struct sl_safetensors *st)
{
    sl_pieces_close(&st->file);
    free(st->path);
    free(st->names);
    free(st->tensor);
    *st = (struct sl_safetensors){0};
}
