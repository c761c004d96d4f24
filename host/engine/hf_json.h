/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json to the tokenizer that it describes. */
#ifndef SL_ENGINE_HF_JSON_H
#define SL_ENGINE_HF_JSON_H

#include <jansson.h>

#include "engine/hf_bpe.h"

/* What decides ids and is not implemented is refused by name: SL_ERR_UNSUPPORTED. Taken are
 *   model           BPE without dropout, prefixes and suffixes
 *   normalizer      none, NFC, Prepend, Replace of a string, and sequences of them
 *   pre_tokenizer   none, Metaspace; ByteLevel, alone or behind Split (isolated; or inverted and
 *                   removed) and Digits
 *   decoder         ByteLevel; sequences of Replace, ByteFallback, Fuse, Strip
 *   post_processor  its template, for the token in front
 *   added_tokens    without single_word
 * truncation and padding are left out, as transformers does for texts that are to be continued.
 * SL_ERR_FORMAT for a file that contradicts itself. name is for messages. */
int sl_hf_parse(struct sl_hf **out, const char *name, const char *json, size_t len);

/* The parts, for hf_json.c. */
struct sl_hf_reader {
    struct sl_hf *hf;
    const char *name;
};
int sl_hf_fail(const struct sl_hf_reader *r, const char *where, const char *why);
/* SL_ERR_UNSUPPORTED: "where of type T". */
int sl_hf_refuse(const struct sl_hf_reader *r, const char *where, const json_t *value);
bool sl_hf_is(const json_t *object, const char *type);
bool sl_hf_flag(const json_t *object, const char *key, bool absent);

/* Vocabulary, merges and added tokens; byte_level is known. */
int sl_hf_read_vocab(struct sl_hf_reader *r, const json_t *root);
/* Normalizer, pre-tokenizer (which decides byte_level), decoder, template. */
int sl_hf_read_pipeline(struct sl_hf_reader *r, const json_t *root);
/* Behind both: the names that added tokens have in normalised text. */
int sl_hf_normalize_names(struct sl_hf_reader *r);

#endif
