/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int sl_bytes_add(struct sl_bytes *b, const void *bytes, size_t n)
{
    if (n > INT32_MAX - b->n)
        return sl_fail(SL_ERR_RANGE, "split the text into smaller parts",
                       "the text has more than 2 GB");
    if (b->cap - b->n < n) {
        size_t cap = 2 * b->cap + n + 64;
        uint8_t *v = realloc(b->v, cap);
        if (!v)
            return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the normalised text");
        b->v = v;
        b->cap = cap;
    }
    if (n)
        memcpy(b->v + b->n, bytes, n);
    b->n += n;
    return 0;
}
