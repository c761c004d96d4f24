/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"

enum { CONFIG_MAX = 1 << 20 };

uint64_t synthetic_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

void synthetic_fill(uint8_t *dst, uint64_t n, uint64_t start)
{
    for (uint64_t i = 0; i < n; i += 8) {
        const uint64_t word = synthetic_mix(start += 0x9E3779B97F4A7C15u);
        memcpy(dst + i, &word, 8);
    }
}

int synthetic_config(struct sl_config *out, char **json, const char *path, long layers)
{
    char *text;
    size_t len;
    json_error_t why;
    int err = sl_file_read(&text, &len, path, CONFIG_MAX);
    if (err)
        return err;
    json_t *root = json_loadb(text, len, 0, &why);
    free(text);
    if (!root)
        return sl_fail(SL_ERR_FORMAT, NULL, "%s: line %d: %s", path, why.line, why.text);
    if (layers > 0)
        json_object_set_new(root, "num_hidden_layers", json_integer(layers));
    *json = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!*json)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory");
    return sl_config_parse(out, *json, strlen(*json));
}

void synthetic_entry(json_t *header, const char *name, const char *dtype, const uint64_t *dim,
                     unsigned n_dim, uint64_t bytes, uint64_t *at)
{
    json_t *shape = json_array();
    for (unsigned d = 0; d < n_dim; d++)
        json_array_append_new(shape, json_integer((json_int_t)dim[d]));
    json_object_set_new(header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape,
                                  "data_offsets", (json_int_t)*at, (json_int_t)(*at + bytes)));
    *at += bytes;
}

char *synthetic_header(json_t *header, size_t *n)
{
    char *text = json_dumps(header, JSON_COMPACT);
    const size_t len = text ? strlen(text) : 0;
    *n = (8 + len + 63) / 64 * 64;
    char *out = text ? calloc(1, *n) : NULL;
    if (out) {
        const uint64_t word = *n - 8;
        memcpy(out, &word, 8);
        memset(out + 8, ' ', *n - 8);
        memcpy(out + 8, text, len);
    }
    free(text);
    return out;
}
