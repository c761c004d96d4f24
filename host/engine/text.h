/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode work of the tokenizer: valid stretches of UTF-8, normalisation form C, and the split into
 * pieces that are merged on their own. Linear in the text's length whatever its content. */
#ifndef SL_ENGINE_TEXT_H
#define SL_ENGINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that text[len], len > 0, begins with; 0: it is not UTF-8 (no surrogates,
 * no overlong forms). */
size_t sl_utf8_char(const uint8_t *text, size_t len);
/* Bytes at the start of text[len] that are valid UTF-8. */
size_t sl_utf8_valid(const uint8_t *text, size_t len);
/* Bytes at the start of text[len] up to the first valid character. */
size_t sl_utf8_invalid(const uint8_t *text, size_t len);

/* Bytes of the character of Unicode's White_Space that text[len] begins, ends with; 0: it does not.
 */
size_t sl_white_at(const uint8_t *text, size_t len);
size_t sl_white_before(const uint8_t *text, size_t len);

/* *out[*n] = text with every valid stretch in NFC and all other bytes as they are; malloc()ed, the
 * caller frees. SL_ERR_NOMEM. */
int sl_text_normalize(const uint8_t *text, size_t len, uint8_t **out, size_t *n);

/* A compiled pattern and the state of one match at a time. */
struct sl_splitter;
/* That of the Hunyuan family's text. */
int sl_splitter_open(struct sl_splitter **out);
void sl_splitter_close(struct sl_splitter **splitter);
/* Length of the piece that starts at text[at]; text[len] is valid UTF-8 and at < len. Every
 * character belongs to a piece. SL_ERR_RANGE, SL_ERR_NOMEM. */
int sl_splitter_next(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at,
                     size_t *piece);

/* A pattern of a file. literal: it is the text itself, else a regular expression in the syntax of
 * pattern.h. drops_rest: what does not match is no piece. SL_ERR_UNSUPPORTED for what is not
 * translated or compiled, and for a pattern that can match nothing. */
struct sl_split_pattern {
    const char *text;
    size_t len;
    bool literal, drops_rest;
};
int sl_splitter_compile(struct sl_splitter **out, const struct sl_split_pattern *pattern);
bool sl_splitter_drops_rest(const struct sl_splitter *splitter);
/* First match at or behind `at`: text[*from, *end); at the end of the text where there is none. */
int sl_splitter_find(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at,
                     size_t *from, size_t *end);

#endif
