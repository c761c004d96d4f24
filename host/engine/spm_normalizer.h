/* SPDX-License-Identifier: Apache-2.0 */
/* What sentencepiece does to a text before it is cut: replacements of the compiled map, white
 * space, U+FFFD for each byte that is not UTF-8. */
#ifndef SL_ENGINE_SPM_NORMALIZER_H
#define SL_ENGINE_SPM_NORMALIZER_H

#include <stdbool.h>

#include "engine/bytes.h"
#include "engine/matcher.h"

struct sl_spm_normalizer {
    uint32_t *unit; /* double array (Darts) of the map's keys; NULL: no map */
    uint32_t n_unit;
    char *text; /* replacements, each ended by a zero; the last byte is zero */
    uint32_t n_text;
    struct sl_matcher user; /* user-defined pieces: taken as they stand */
    bool dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
};

/* Reads precompiled_charsmap: bytes of the trie (u32), trie, replacements. false: damaged. */
int sl_spm_normalizer_read_map(struct sl_spm_normalizer *out, const uint8_t *map, size_t len,
                               bool *damaged);
void sl_spm_normalizer_free(struct sl_spm_normalizer *normalizer);

/* Appends the normalised text to out. dummy_prefix: overrides that of the model when false. */
int sl_spm_normalize(const struct sl_spm_normalizer *normalizer, const uint8_t *text, size_t len,
                     bool dummy_prefix, struct sl_bytes *out);

#endif
