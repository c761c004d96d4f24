/* SPDX-License-Identifier: Apache-2.0 */
#include "store/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000 }; /* the format's own limit */

static int bad(const struct sl_safetensors *st, const char *name, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: tensor '%.200s': %s", st->path, name,
                   why);
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
    for (int d = SL_DTYPE_F32; d <= SL_DTYPE_F8_E4M3; d++)
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

static int parse_tensor(const struct sl_safetensors *st, struct sl_tensor *t, const char *name,
                        const json_t *entry, size_t data_at)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_string(dtype) || json_array_size(offsets) != 2 || !json_is_integer(begin) ||
        !json_is_integer(end))
        return bad(st, name, "dtype, shape or data_offsets is missing or has the wrong type");
    const char *dtype_name = json_string_value(dtype);
    if (parse_dtype(&t->dtype, dtype_name))
        return sl_fail(SL_ERR_UNSUPPORTED, "F32, BF16, F16 and F8_E4M3 are read",
                       "%s: tensor '%.200s' has dtype '%.40s'", st->path, name,
                       sl_is_one_line(dtype_name) ? dtype_name : "?");
    if (parse_shape(t, json_object_get(entry, "shape")))
        return bad(st, name, "impossible shape");
    json_int_t b = json_integer_value(begin), e = json_integer_value(end);
    size_t data_size = st->map.size - data_at;
    if (b < 0 || e < b || (uint64_t)e > data_size)
        return bad(st, name, "data_offsets leave the file");
    if (__builtin_mul_overflow(t->n_elem, (uint64_t)sl_dtype_size(t->dtype), &t->n_bytes) ||
        t->n_bytes != (uint64_t)(e - b))
        return bad(st, name, "data_offsets do not fit dtype and shape");
    t->data = st->map.data + data_at + b;
    t->scale = 1;
    return 0;
}

static int by_data(const void *a, const void *b)
{
    const struct sl_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* The format wants the data to be covered exactly once. */
static int check_cover(const struct sl_safetensors *st, size_t data_at)
{
    const uint8_t *at = st->map.data + data_at;
    for (size_t i = 0; i < st->n_tensor; i++) {
        if (st->tensor[i].data != at)
            return bad(st, st->tensor[i].name,
                       st->tensor[i].data < at ? "overlaps another tensor" : "follows a gap");
        at += st->tensor[i].n_bytes;
    }
    if (at != st->map.data + st->map.size)
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: %zu bytes behind the last tensor",
                       st->path, (size_t)(st->map.data + st->map.size - at));
    return 0;
}

static int parse_tensors(struct sl_safetensors *st, json_t *header, size_t data_at)
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
    json_object_foreach(header, name, entry)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        if (!sl_is_one_line(name))
            return bad(st, "?", "control characters in its name");
        struct sl_tensor *t = &st->tensor[st->n_tensor];
        int err = parse_tensor(st, t, name, entry, data_at);
        if (err)
            return err;
        size_t n = strlen(name) + 1;
        t->name = memcpy(at, name, n);
        at += n;
        st->n_tensor++;
    }
    qsort(st->tensor, st->n_tensor, sizeof *st->tensor, by_data);
    return check_cover(st, data_at);
}

static int parse_file(struct sl_safetensors *st)
{
    uint64_t length = 0;
    if (st->map.size < LENGTH_BYTES)
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s is truncated (%zu bytes)",
                       st->path, st->map.size);
    memcpy(&length, st->map.data, sizeof length);
    if (length > MAX_HEADER || length > st->map.size - LENGTH_BYTES)
        return sl_fail(SL_ERR_FORMAT, "copy the file again",
                       "%s is truncated or not safetensors (header of %llu bytes)", st->path,
                       (unsigned long long)length);
    json_error_t why;
    json_t *header = json_loadb((const char *)st->map.data + LENGTH_BYTES, (size_t)length,
                                JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(header)) {
        json_decref(header);
        const char *text = header ? "not an object" : why.text; /* may quote a newline */
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: header: %.*s", st->path,
                       (int)strcspn(text, "\n"), text);
    }
    int err = parse_tensors(st, header, LENGTH_BYTES + (size_t)length);
    json_decref(header);
    return err;
}

int sl_safetensors_open(struct sl_safetensors *out, const char *path)
{
    struct sl_safetensors st = {.path = strdup(path)};
    int err = st.path ? sl_mapping_open(&st.map, path) : SL_ERR_NOMEM;
    err = err ? err : parse_file(&st);
    if (err)
        sl_safetensors_close(&st);
    else
        *out = st;
    return err;
}

void sl_safetensors_close(struct sl_safetensors *st)
{
    sl_mapping_close(&st->map);
    free(st->path);
    free(st->names);
    free(st->tensor);
    *st = (struct sl_safetensors){0};
}
