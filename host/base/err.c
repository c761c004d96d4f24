/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Like errno: one last failure per thread. */
static _Thread_local char last_message[SL_ERROR_TEXT] = "no error";
static _Thread_local char last_hint[SL_ERROR_HINT];

const char *sl_error_message(void)
{
    return last_message;
}

const char *sl_error_hint(void)
{
    return last_hint;
}

const char *sl_err_name(int err)
{
    switch (err) {
    case SL_OK: return "OK";
    case SL_ERR_NOMEM: return "NOMEM";
    case SL_ERR_IO: return "IO";
    case SL_ERR_FORMAT: return "FORMAT";
    case SL_ERR_SHAPE: return "SHAPE";
    case SL_ERR_ABI: return "ABI";
    case SL_ERR_DEVICE: return "DEVICE";
    case SL_ERR_TIMEOUT: return "TIMEOUT";
    case SL_ERR_RANGE: return "RANGE";
    case SL_ERR_USAGE: return "USAGE";
    case SL_ERR_UNSUPPORTED: return "UNSUPPORTED";
    case SL_ERR_INTERRUPTED: return "INTERRUPTED";
    default: return "UNKNOWN";
    }
}

int sl_fail(enum sl_err code, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(last_message, sizeof last_message, fmt, args);
    va_end(args);
    /* One line whatever names a file brought along: no control character reaches a terminal. */
    for (char *p = last_message; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    snprintf(last_hint, sizeof last_hint, "%s", hint ? hint : "");
    return code;
}

void sl_failure_keep(struct sl_failure *out)
{
    memcpy(out->message, last_message, sizeof last_message);
    memcpy(out->hint, last_hint, sizeof last_hint);
}

int sl_failure_tell(int code, const struct sl_failure *kept)
{
    memcpy(last_message, kept->message, sizeof last_message);
    memcpy(last_hint, kept->hint, sizeof last_hint);
    return code;
}

void *sl_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        sl_fail(SL_ERR_NOMEM, "close other programs or choose a smaller context",
                "out of memory: %zu x %zu bytes", n, size);
    return p;
}

void *sl_alloc_aligned(size_t align, size_t size)
{
    size_t rounded = (size + align - 1) / align * align;
    void *p = rounded >= size ? aligned_alloc(align, rounded ? rounded : align) : NULL;
    if (!p)
        sl_fail(SL_ERR_NOMEM, "close other programs or choose a smaller context",
                "out of memory: %zu bytes", size);
    return p;
}

void *sl_alloc_large(size_t size)
{
    enum { LARGE_PAGE = 2 << 20 };
    void *p = sl_alloc_aligned(size < LARGE_PAGE ? 4096 : LARGE_PAGE, size);
    if (p && size >= LARGE_PAGE)
        madvise(p, size / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* or not: it works without */
    return p;
}
