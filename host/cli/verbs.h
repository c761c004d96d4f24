/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each verb. They print results on stdout, failures on stderr, and return the exit
 * code. */
#ifndef SL_CLI_VERBS_H
#define SL_CLI_VERBS_H

#include <jansson.h>

#include "options.h"

int sl_verb_run(const struct sl_options *o);
int sl_verb_chat(const struct sl_options *o);
int sl_verb_convert(const struct sl_options *o);
int sl_verb_info(const struct sl_options *o);
int sl_verb_tokenize(const struct sl_options *o);
int sl_verb_logits(const struct sl_options *o);
int sl_verb_perplexity(const struct sl_options *o);
int sl_verb_devices(const struct sl_options *o);
int sl_verb_validate(const struct sl_options *o);
int sl_verb_cache(const struct sl_options *o);
int sl_verb_bench(const struct sl_options *o);
int sl_verb_plan(const struct sl_options *o);
int sl_verb_version(const struct sl_options *o);

/* Prints the object as one line and releases it; NULL: it could not be built. Returns an exit code.
 */
int sl_json_print(json_t *object);
/* Number, or null where it is not finite. */
json_t *sl_json_number(double v);
/* 0.7f as 0.7: the nearest double of a float shows digits that nobody gave. */
json_t *sl_json_real(float v);
json_t *sl_json_ids(const int32_t *ids, size_t n);

#endif
