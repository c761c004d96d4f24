/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the keys of a config.json: numbers in their ranges, and keys of which one value runs.
 * Every failure names the key. */
#ifndef SL_ENGINE_CONFIG_KEYS_H
#define SL_ENGINE_CONFIG_KEYS_H

#include <jansson.h>

#include "sluice.h"

/* SL_ERR_FORMAT: the key `why` ("is missing"). */
int sl_key_bad(const char *key, const char *why);
/* SL_ERR_UNSUPPORTED: a value that is legal but does not run. */
int sl_key_unsupported(const char *key, const char *why);
/* The same with the value's text. */
int sl_key_refuse_value(const char *key, const json_t *v);
/* Missing, or null. */
bool sl_key_is_absent(const json_t *v);

enum { SL_KEY_VALUE_TEXT = 64 };
/* A value as JSON text: one line whatever it holds, cut where it is long. */
void sl_key_value_text(char out[SL_KEY_VALUE_TEXT], const json_t *v);

/* An integer key. n_layer: entries that a per-layer list needs (all the same, or it is refused), 0
 * where a list has no meaning. */
struct sl_count_key {
    const char *key;
    uint32_t min, max, n_layer;
};
/* Absent: *out keeps its value. SL_ERR_FORMAT, SL_ERR_UNSUPPORTED. */
int sl_key_get_count(const json_t *o, struct sl_count_key k, uint32_t *out);
/* Absent: SL_ERR_FORMAT. */
int sl_key_need_count(const json_t *o, struct sl_count_key k, uint32_t *out);

/* A number in [min, max]. */
struct sl_real_key {
    const char *key;
    double min, max;
};
/* Absent: *out keeps its value. SL_ERR_FORMAT. */
int sl_key_get_real(const json_t *o, struct sl_real_key k, float *out);
/* Absent: SL_ERR_FORMAT. */
int sl_key_need_real(const json_t *o, struct sl_real_key k, float *out);
/* As sl_key_get_real. */
int sl_key_get_bool(const json_t *o, const char *key, bool *out);

/* Keys that may stand in a config with one value only: any other would change the mathematics. */
struct sl_fixed_key {
    const char *key;
    const char *words; /* the strings that are accepted, blanks between them; NULL: the number */
    double number;     /* false and true count as 0 and 1 */
};
/* SL_ERR_UNSUPPORTED names the first key of the n that is there with another value. */
int sl_keys_check_fixed(const json_t *o, const struct sl_fixed_key *keys, size_t n);
#define SL_KEYS_CHECK_FIXED(o, keys) sl_keys_check_fixed(o, keys, sizeof(keys) / sizeof(keys)[0])

#endif
