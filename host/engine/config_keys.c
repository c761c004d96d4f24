/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int sl_key_bad(const char *key, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "compare with the model's published config.json",
                   "config.json: '%s' %s", key, why);
}

int sl_key_unsupported(const char *key, const char *why)
{
    return sl_fail(SL_ERR_UNSUPPORTED, "this key changes the model's mathematics",
                   "config.json: '%s' %s", key, why);
}

bool sl_key_is_absent(const json_t *v)
{
    return !v || json_is_null(v);
}

/* The value that all layers share, or NULL with *err set. */
static const json_t *common_entry(const json_t *list, const struct sl_count_key *k, int *err)
{
    size_t i;
    const json_t *entry, *first = json_array_get(list, 0);
    if (!k->n_layer || json_array_size(list) < k->n_layer) {
        *err =
            sl_key_bad(k->key, k->n_layer ? "has fewer entries than layers" : "must not be a list");
        return NULL;
    }
    json_array_foreach(list, i, entry)
    {
        if (!json_equal(entry, first)) {
            *err = sl_key_unsupported(k->key, "differs between layers");
            return NULL;
        }
    }
    return first;
}

int sl_key_get_count(const json_t *o, struct sl_count_key k, uint32_t *out)
{
    const json_t *v = json_object_get(o, k.key);
    int err = 0;
    if (sl_key_is_absent(v))
        return 0;
    v = json_is_array(v) ? common_entry(v, &k, &err) : v;
    if (err)
        return err;
    if (!json_is_integer(v) || json_integer_value(v) < k.min || json_integer_value(v) > k.max) {
        char why[80];
        snprintf(why, sizeof why, "must be an integer from %u to %u", k.min, k.max);
        return sl_key_bad(k.key, why);
    }
    *out = (uint32_t)json_integer_value(v);
    return 0;
}

int sl_key_need_count(const json_t *o, struct sl_count_key k, uint32_t *out)
{
    return sl_key_is_absent(json_object_get(o, k.key)) ? sl_key_bad(k.key, "is missing")
                                                       : sl_key_get_count(o, k, out);
}

int sl_key_get_real(const json_t *o, struct sl_real_key k, float *out)
{
    const json_t *v = json_object_get(o, k.key);
    if (sl_key_is_absent(v))
        return 0;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= k.min && x <= k.max)) {
        char why[80];
        snprintf(why, sizeof why, "must be a number from %g to %g", k.min, k.max);
        return sl_key_bad(k.key, why);
    }
    *out = (float)x;
    return 0;
}

int sl_key_need_real(const json_t *o, struct sl_real_key k, float *out)
{
    return sl_key_is_absent(json_object_get(o, k.key)) ? sl_key_bad(k.key, "is missing")
                                                       : sl_key_get_real(o, k, out);
}

int sl_key_get_bool(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (sl_key_is_absent(v))
        return 0;
    if (!json_is_boolean(v))
        return sl_key_bad(key, "must be true or false");
    *out = json_is_true(v);
    return 0;
}

static bool is_word_of(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = words; n && (at = strstr(at, text)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

static bool fixed_key_agrees(const json_t *v, const struct sl_fixed_key *f)
{
    if (sl_key_is_absent(v))
        return true;
    if (f->words)
        return json_is_string(v) && is_word_of(f->words, json_string_value(v));
    if (json_is_boolean(v))
        return json_is_true(v) == (f->number != 0);
    return json_is_number(v) && (float)json_number_value(v) == (float)f->number;
}

void sl_key_value_text(char out[SL_KEY_VALUE_TEXT], const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    snprintf(out, SL_KEY_VALUE_TEXT, "%s", text ? text : "?");
    free(text);
}

int sl_key_refuse_value(const char *key, const json_t *v)
{
    char text[SL_KEY_VALUE_TEXT], why[SL_KEY_VALUE_TEXT + 40];
    sl_key_value_text(text, v);
    snprintf(why, sizeof why, "is %s, which is not implemented", text);
    return sl_key_unsupported(key, why);
}

int sl_keys_check_fixed(const json_t *o, const struct sl_fixed_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(o, keys[i].key);
        if (!fixed_key_agrees(v, &keys[i]))
            return sl_key_refuse_value(keys[i].key, v);
    }
    return 0;
}
