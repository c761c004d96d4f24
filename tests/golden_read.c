/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_main.h"

int golden_open(struct golden *out, const char *dir)
{
    char path[512];
    uint64_t n_header = 0;
    *out = (struct golden){0};
    snprintf(path, sizeof path, "%s/%s/golden.safetensors", sl_golden_dir(), dir);
    FILE *file = fopen(path, "rb");
    CU_ASSERT_FATAL(file != NULL);
    CU_ASSERT_FATAL(fread(&n_header, sizeof n_header, 1, file) == 1 && n_header < 1 << 20);
    char *text = malloc(n_header);
    CU_ASSERT_FATAL(text && fread(text, 1, n_header, file) == n_header);
    out->header = json_loadb(text, n_header, 0, NULL);
    free(text);
    fseek(file, 0, SEEK_END);
    out->n_data = (size_t)ftell(file) - 8 - n_header;
    out->data = malloc(out->n_data);
    fseek(file, (long)(8 + n_header), SEEK_SET);
    int ok = out->header && out->data && fread(out->data, 1, out->n_data, file) == out->n_data;
    fclose(file);
    CU_ASSERT_FATAL(ok);
    return ok;
}

void golden_close(struct golden *g)
{
    json_decref(g->header);
    free(g->data);
    *g = (struct golden){0};
}

static const void *find(const struct golden *g, const char *name, const char *dtype, size_t *n)
{
    json_t *t = json_object_get(g->header, name), *at = json_object_get(t, "data_offsets");
    const char *have = json_string_value(json_object_get(t, "dtype"));
    if (!have || strcmp(have, dtype))
        return NULL;
    size_t begin = (size_t)json_integer_value(json_array_get(at, 0));
    size_t end = (size_t)json_integer_value(json_array_get(at, 1));
    if (begin > end || end > g->n_data)
        return NULL;
    *n = (end - begin) / 4;
    return g->data + begin;
}

const float *golden_f32(const struct golden *g, const char *name, size_t *n)
{
    return find(g, name, "F32", n);
}

const int32_t *golden_i32(const struct golden *g, const char *name, size_t *n)
{
    return find(g, name, "I32", n);
}
