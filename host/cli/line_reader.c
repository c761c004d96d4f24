/* SPDX-License-Identifier: Apache-2.0 */
#include "line_reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

/* A signal between the question and the wait is seen one period later. */
enum { PERIOD_MS = 200, BLOCK = 4096 };

/* Makes room for a block and the NUL. */
static bool reserve(struct sl_line_reader *r)
{
    memmove(r->buf, r->buf + r->at, r->n - r->at);
    r->n -= r->at;
    r->at = 0;
    size_t want = r->n + BLOCK + 1;
    if (want <= r->cap)
        return true;
    char *buf = realloc(r->buf, 2 * want);
    if (!buf)
        return false;
    r->buf = buf;
    r->cap = 2 * want;
    return true;
}

/* One more block; TEXT: bytes or the end came. */
static enum sl_line fill(struct sl_line_reader *r)
{
    struct pollfd wait = {.fd = r->fd, .events = POLLIN};
    if (!r->buf && !(r->buf = calloc(1, r->cap = BLOCK + 1)))
        return SL_LINE_FAILED;
    if (r->n - r->at > SL_MAX_LINE)
        return SL_LINE_TOO_LONG;
    if (!reserve(r))
        return SL_LINE_FAILED;
    for (;;) {
        if (sl_interrupted())
            return SL_LINE_INTERRUPT;
        if (poll(&wait, 1, PERIOD_MS) <= 0)
            continue;
        ssize_t got = read(r->fd, r->buf + r->n, BLOCK);
        if (got < 0 && errno != EINTR)
            return SL_LINE_FAILED;
        if (got < 0)
            continue;
        r->n += (size_t)got;
        r->end = got == 0;
        return SL_LINE_TEXT;
    }
}

enum sl_line sl_line_read(struct sl_line_reader *r, char **line, size_t *len)
{
    size_t seen = 0; /* bytes of this line that hold no line break */
    for (;;) {
        size_t rest = r->n - r->at;
        char *start = rest ? r->buf + r->at : NULL;
        char *newline = rest > seen ? memchr(start + seen, '\n', rest - seen) : NULL;
        if (newline || (r->end && rest)) {
            *line = start;
            *len = newline ? (size_t)(newline - start) : rest;
            start[*len] = 0;
            r->at += *len + (newline != NULL);
            return SL_LINE_TEXT;
        }
        if (r->end)
            return SL_LINE_END;
        seen = rest;
        enum sl_line got = fill(r);
        if (got != SL_LINE_TEXT)
            return got;
    }
}

void sl_line_reader_free(struct sl_line_reader *r)
{
    free(r->buf);
    *r = (struct sl_line_reader){0};
}
