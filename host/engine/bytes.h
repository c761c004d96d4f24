/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow. */
#ifndef SL_ENGINE_BYTES_H
#define SL_ENGINE_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed is empty. The caller frees v. */
struct sl_bytes {
    uint8_t *v;
    size_t n, cap;
};
/* SL_ERR_NOMEM; SL_ERR_RANGE beyond 2^31 - 1 bytes. */
int sl_bytes_add(struct sl_bytes *b, const void *bytes, size_t n);

#endif
