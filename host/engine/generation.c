/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/generation.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

enum { MAX_FILE = 1 << 20, MAX_STOP = sizeof((struct sl_generation *)0)->stop / sizeof(int32_t) };

static const char file_name[] = "generation_config.json";

/* ---- one file */

static int fail_key(const char *name, const char *key, const char *rule)
{
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s: %s is not %s", name, key, rule);
}

/* A number within [min, max], or a whole one; absent or null: *out stays, and so does *from. */
struct number {
    const char *key;
    double min, max;
    bool whole;
    double value;
    const char **from;
};

static int read_number(const char *name, json_t *config, struct number *n)
{
    char rule[64];
    json_t *value = json_object_get(config, n->key);
    if (!value || json_is_null(value))
        return 0;
    double v = json_is_number(value) ? json_number_value(value) : NAN;
    snprintf(rule, sizeof rule, "a %snumber from %g to %g", n->whole ? "whole " : "", n->min,
             n->max);
    if (!(v >= n->min && v <= n->max) || (n->whole && v != floor(v)))
        return fail_key(name, n->key, rule);
    n->value = v;
    *n->from = file_name;
    return 0;
}

int sl_generation_add_stop(struct sl_generation *g, const char *name, const json_t *value)
{
    if (!value || json_is_null(value))
        return 0;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        if (i >= MAX_STOP || !json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return fail_key(name, "eos_token_id", "an id or a list of up to 16 ids");
        g->stop[g->n_stop++] = (int32_t)json_integer_value(id);
    }
    return 0;
}

static int read_config(struct sl_generation *g, const char *name, json_t *config)
{
    struct number numbers[] = {{"temperature", 0, 100, false, 1, &g->from[0]},
                               {"top_k", 0, INT32_MAX, true, 0, &g->from[1]},
                               {"top_p", 0, 1, false, 1, &g->from[2]},
                               {"repetition_penalty", 1e-3, 100, false, 1, &g->from[3]}};
    json_t *sample = json_object_get(config, "do_sample");
    if (sample && !json_is_boolean(sample) && !json_is_null(sample))
        return fail_key(name, "do_sample", "true or false");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int err = read_number(name, config, &numbers[i]);
        if (err)
            return err;
    }
    if (json_is_boolean(sample))
        g->from[0] = file_name;
    g->temp = json_is_true(sample) ? (float)numbers[0].value : 0;
    g->top_k = (uint32_t)numbers[1].value;
    g->top_p = (float)numbers[2].value;
    g->repeat_penalty = (float)numbers[3].value;
    return sl_generation_add_stop(g, name, json_object_get(config, "eos_token_id"));
}

int sl_generation_parse(struct sl_generation *out, const char *name, const char *json, size_t len)
{
    static const char plain[] = "default";
    struct sl_generation g = {.from = {plain, plain, plain, plain}};
    json_error_t why;
    json_t *config = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    int err;
    if (json_is_object(config))
        err = read_config(&g, name, config);
    else
        err = sl_fail(SL_ERR_FORMAT, "copy the file again", "%s:%d: %s", name,
                      config ? 1 : why.line, config ? "not a JSON object" : why.text);
    json_decref(config);
    if (!err)
        *out = g;
    return err;
}

int sl_generation_read(struct sl_generation *out, const char *model_dir)
{
    char path[4096], *json;
    size_t len;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", model_dir, file_name) >= sizeof path)
        return sl_fail(SL_ERR_IO, NULL, "%s/%s: the path is too long", model_dir, file_name);
    if (access(path, F_OK) && errno == ENOENT)
        return sl_generation_parse(out, path, "{}", 2);
    int err = sl_file_read(&json, &len, path, MAX_FILE);
    if (err)
        return err;
    err = sl_generation_parse(out, path, json, len);
    free(json);
    if (!err)
        out->found = true;
    return err;
}

/* ---- the families */

/* What the releases' own files say. A family that is not here is greedy, as Yuan 2.0-M32, whose
 * release has nothing but ids. */
static const struct family {
    const char *architecture;
    float temp;
    uint32_t top_k;
    float top_p, repeat_penalty;
} families[] = {
    {"hunyuan-large", 0.7f, 20, 0.6f, 1.05f},
    {"hunyuan-a13b", 0.7f, 20, 0.8f, 1.05f},
};

static void take_family(struct sl_generation *g, const char *architecture)
{
    static const char release[] = "the family's release";
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct family *f = &families[i];
        if (strcmp(f->architecture, architecture))
            continue;
        g->temp = f->temp;
        g->top_k = f->top_k;
        g->top_p = f->top_p;
        g->repeat_penalty = f->repeat_penalty;
        for (size_t k = 0; k < sizeof g->from / sizeof g->from[0]; k++)
            g->from[k] = release;
    }
}

int sl_generation_load(struct sl_generation *out, const char *model_dir)
{
    struct sl_model_info info;
    int err = sl_generation_read(out, model_dir);
    if (!err && !out->found && !(err = sl_config_info(model_dir, &info)))
        take_family(out, info.architecture);
    return err;
}
