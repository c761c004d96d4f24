/* SPDX-License-Identifier: Apache-2.0 */
#include "model_copy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_main.h"

void model_copy_open(struct model_copy *out, const char *name)
{
    char path[400];
    *out = (struct model_copy){0};
    snprintf(out->source, sizeof out->source, "%s/%s", sl_golden_dir(), name);
    snprintf(path, sizeof path, "%s/model.safetensors", out->source);
    FILE *file = fopen(path, "rb");
    CU_ASSERT_FATAL(file != NULL);
    fseek(file, 0, SEEK_END);
    out->n_file = (size_t)ftell(file);
    rewind(file);
    out->file = malloc(out->n_file);
    CU_ASSERT_FATAL(out->file && fread(out->file, 1, out->n_file, file) == out->n_file);
    fclose(file);
}

void model_copy_write(struct model_copy *copy, const char *key, int value)
{
    char path[400];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(copy->dir, sizeof copy->dir), 0);
    snprintf(path, sizeof path, "%s/config.json", copy->source);
    json_t *config = json_load_file(path, 0, NULL);
    CU_ASSERT_FATAL(config != NULL);
    if (key)
        json_object_set_new(config, key, json_integer(value));
    snprintf(path, sizeof path, "%s/config.json", copy->dir);
    CU_ASSERT_EQUAL_FATAL(json_dump_file(config, path, 0), 0);
    json_decref(config);
    snprintf(path, sizeof path, "%s/model.safetensors", copy->dir);
    FILE *file = fopen(path, "wb");
    CU_ASSERT_FATAL(file && fwrite(copy->file, 1, copy->n_file, file) == copy->n_file);
    CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
}

void model_copy_close(struct model_copy *copy)
{
    free(copy->file);
    *copy = (struct model_copy){0};
}

static uint64_t header_bytes(const struct model_copy *copy)
{
    uint64_t n;
    memcpy(&n, copy->file, sizeof n);
    return n;
}

void model_copy_rename(struct model_copy *copy, const char *from, const char *to)
{
    char quoted[160];
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", from);
    uint8_t *at = memmem(copy->file + 8, header_bytes(copy), quoted, (size_t)n);
    CU_ASSERT_FATAL(at && strlen(from) == strlen(to));
    memcpy(at + 1, to, strlen(to));
}

void model_copy_set(struct model_copy *copy, const char *tensor, size_t i, float value)
{
    uint64_t n = header_bytes(copy);
    json_t *header = json_loadb((const char *)copy->file + 8, n, 0, NULL);
    json_t *offsets = json_object_get(json_object_get(header, tensor), "data_offsets");
    CU_ASSERT_FATAL(json_is_array(offsets));
    size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    memcpy(copy->file + 8 + n + begin + 4 * i, &value, sizeof value);
    json_decref(header);
}
