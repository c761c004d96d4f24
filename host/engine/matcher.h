/* SPDX-License-Identifier: Apache-2.0 */
/* A set of names, and the longest of them that a text begins with. */
#ifndef SL_ENGINE_MATCHER_H
#define SL_ENGINE_MATCHER_H

#include <stddef.h>
#include <stdint.h>

struct sl_name {
    const uint8_t *text;
    uint32_t len; /* at least 1 */
    uint32_t tag; /* what the caller makes of it */
};

/* Zeroed is the empty set. */
struct sl_matcher {
    struct sl_name *name; /* sorted by their bytes */
    uint8_t *text;        /* of all names */
    uint32_t n;
    uint32_t first[257]; /* first[b] .. first[b + 1]: the names that begin with byte b */
};

/* Copies name[n] and their text; of equal names that of the lowest tag remains. SL_ERR_NOMEM. */
int sl_matcher_open(struct sl_matcher *out, const struct sl_name *name, uint32_t n);
void sl_matcher_close(struct sl_matcher *m);

/* The longest name that text[len] begins with, or NULL. A search for each of its bytes: the cost
 * depends on the names, not on len. */
const struct sl_name *sl_matcher_longest(const struct sl_matcher *m, const uint8_t *text,
                                         size_t len);

#endif
