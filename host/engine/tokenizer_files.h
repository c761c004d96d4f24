/* SPDX-License-Identifier: Apache-2.0 */
/* What the files beside a vocabulary say of it: config.json, generation_config.json,
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json. */
#ifndef SL_ENGINE_TOKENIZER_FILES_H
#define SL_ENGINE_TOKENIZER_FILES_H

#include <jansson.h>

#include "engine/generation.h"
#include "engine/spm.h"

struct sl_tokenizer_files {
    const char *dir; /* borrowed */
    struct sl_generation generation;
    json_t *config, *tokenizer, *special, *added; /* NULL: the file is absent */
};

/* SL_ERR_FORMAT for one that is no JSON object, or a generation_config.json that is wrong. */
int sl_tokenizer_files_open(struct sl_tokenizer_files *out, const char *dir);
void sl_tokenizer_files_close(struct sl_tokenizer_files *files);

bool sl_tokenizer_files_yuan(const struct sl_tokenizer_files *files);
/* vocab_size of config.json. SL_ERR_IO without the file, SL_ERR_FORMAT. */
int sl_tokenizer_files_vocab_size(const struct sl_tokenizer_files *files, uint64_t *out);

/* Added tokens of a sentencepiece model, and whether texts behind them are as in `legacy`. Sources:
 * added_tokens_decoder, else added_tokens.json; then the names of bos_token and the like (absent:
 * those of the model's <unk>, <s>, </s>) and additional_special_tokens. Yuan without the first two
 * has the list of its release. A name that is a piece has its id, others get the next ones. */
int sl_tokenizer_files_added(const struct sl_tokenizer_files *files, struct sl_spm *spm);

/* Sets bos, where the files say something of it, and eog. */
int sl_tokenizer_files_ends(const struct sl_tokenizer_files *files, struct sl_tokenizer *tok);

#endif
