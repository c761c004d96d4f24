/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input, waited for in a way that Ctrl-C ends. */
#ifndef SL_CLI_LINE_READER_H
#define SL_CLI_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>

enum { SL_MAX_LINE = 1 << 24 /* bytes of a turn */ };

enum sl_line { SL_LINE_TEXT, SL_LINE_END, SL_LINE_INTERRUPT, SL_LINE_TOO_LONG, SL_LINE_FAILED };

/* Zeroed with fd set is ready. */
struct sl_line_reader {
    int fd;
    char *buf; /* [n] bytes that were read, of them used [at] */
    size_t n, at, cap;
    bool end;
};

/* The next line without its end, NUL-terminated and valid until the next call; a last line needs no
 * line break. TOO_LONG and FAILED (errno says why): reading is over. */
enum sl_line sl_line_read(struct sl_line_reader *r, char **line, size_t *len);
void sl_line_reader_free(struct sl_line_reader *r);

#endif
