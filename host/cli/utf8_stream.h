/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of tokens to text that can be printed at once: a token may end inside a character. */
#ifndef SL_CLI_UTF8_STREAM_H
#define SL_CLI_UTF8_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Growing text, always valid UTF-8 and NUL-terminated; zeroed is empty. The caller frees v. */
struct sl_text {
    char *v;
    size_t n, cap;
};

struct sl_utf8_stream {
    struct sl_text text; /* everything that is complete so far */
    uint8_t pending[4];  /* start of a character */
    size_t n_pending;
};

/* Appends bytes. What cannot be UTF-8 becomes U+FFFD, one for each maximal part as the Unicode
 * Standard (3.9, table 3-8) recommends; what may still become a character waits. False: no memory.
 */
bool sl_utf8_stream_add(struct sl_utf8_stream *s, const char *bytes, size_t n);
/* What still waits becomes U+FFFD. */
bool sl_utf8_stream_end(struct sl_utf8_stream *s);
/* Bytes of the character that bytes[n], n > 0, begins with; 0: they are not UTF-8, or end in it. */
size_t sl_utf8_complete(const char *bytes, size_t n);
void sl_utf8_stream_free(struct sl_utf8_stream *s);

#endif
