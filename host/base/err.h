/* SPDX-License-Identifier: Apache-2.0 */
/* Failures: the place that detects one records it once, callers pass the code up. */
#ifndef SL_BASE_ERR_H
#define SL_BASE_ERR_H

#include "sluice.h"

/* Records "what: why" and a hint for this thread and returns `code`. hint may be NULL. */
int sl_fail(enum sl_err code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What this thread recorded last, to be told after something else that may fail too. */
enum { SL_ERROR_TEXT = 512, SL_ERROR_HINT = 256 };
struct sl_failure {
    char message[SL_ERROR_TEXT], hint[SL_ERROR_HINT];
};
void sl_failure_keep(struct sl_failure *out);
/* Records it again and returns `code`. */
int sl_failure_tell(int code, const struct sl_failure *kept);

/* malloc/calloc that record SL_ERR_NOMEM; NULL on failure and on n * size overflow. */
void *sl_alloc(size_t n, size_t size);             /* zeroed */
void *sl_alloc_aligned(size_t align, size_t size); /* 64-byte multiples; not zeroed; free() */
/* For much memory that is read and written in bulk: on large pages where the system has them, which
 * halves the time of reading it from a disk past the page cache. Not zeroed, taken from the system
 * only as it is touched; free(). */
void *sl_alloc_large(size_t size);

#endif
