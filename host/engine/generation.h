/* SPDX-License-Identifier: Apache-2.0 */
/* generation_config.json, read in this one place: sampling settings and the ids that end a text.
 * config.json's bos, eos and pad, which some releases leave at their defaults, are not read here.
 */
#ifndef SL_ENGINE_GENERATION_H
#define SL_ENGINE_GENERATION_H

#include <jansson.h>

#include "sluice.h"

/* The file's text; name is for messages. Keys that are absent or null: greedy (do_sample), 1
 * (temperature, top_p, repetition_penalty), all (top_k). SL_ERR_FORMAT. */
int sl_generation_parse(struct sl_generation *out, const char *name, const char *json, size_t len);
/* The file of a directory; without one as from "{}", and not found. SL_ERR_FORMAT, SL_ERR_IO. */
int sl_generation_read(struct sl_generation *out, const char *model_dir);

/* Adds the value of an "eos_token_id", an id or a list of them, to out->stop; nothing where it is
 * NULL or null. name is the file's. SL_ERR_FORMAT. */
int sl_generation_add_stop(struct sl_generation *out, const char *name, const json_t *value);

#endif
