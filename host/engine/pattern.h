/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions as tokenizer files have them, written for Oniguruma, in the words of PCRE2.
 *
 * Taken: characters, classes, alternatives, groups (?: (?= (?! (?<= (?<! (?> (?i:, quantifiers,
 * \r \n \t \f \v \s \S \d \D \p{} \P{} \xHH \x{H} \uHHHH and escaped punctuation. \s is Unicode's
 * White_Space (that of PCRE2 also has U+180E), \d is Nd. What the two read differently or what does
 * not occur is refused: . ^ $ \w \b \h, names of groups, options for the rest of a group, classes
 * in classes, && in classes, a + or ? behind {n,m}. */
#ifndef SL_ENGINE_PATTERN_H
#define SL_ENGINE_PATTERN_H

#include "engine/bytes.h"

/* Unicode's White_Space, to be put in a class. */
#define SL_PATTERN_WHITE                                                                           \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"

/* Appends the translation. *why: what is refused (static), NULL: nothing. SL_ERR_NOMEM. */
int sl_pattern_translate(const char *text, size_t len, struct sl_bytes *out, const char **why);

#endif
