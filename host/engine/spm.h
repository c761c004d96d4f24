/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of a sentencepiece BPE model. Text is normalised, cut into characters and
 * user-defined pieces, and merged by score; characters without a piece become bytes or the unknown
 * piece. Of a text that is not UTF-8 each stray byte is U+FFFD, as sentencepiece has it.
 *
 * Added tokens are cut out first, and what lies between them is a text of its own, as in Hugging
 * Face's LlamaTokenizer (not the fast one): with `legacy` each such text gets the blank in front
 * that the model asks for, otherwise only the very start (and only models with
 * that blank and without remove_extra_whitespaces are read so). Without parse_special nothing is
 * cut out. */
#ifndef SL_ENGINE_SPM_H
#define SL_ENGINE_SPM_H

#include "engine/added_tokens.h"
#include "engine/kind.h"
#include "engine/spm_model.h"

struct sl_spm {
    struct sl_spm_model model;
    struct sl_added_set added;
    bool legacy;
};

/* Of a struct sl_spm, which close() frees. */
extern const struct sl_kind sl_kind_spm;

#endif
