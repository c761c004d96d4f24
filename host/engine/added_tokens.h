/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that are found in a text by their name, before anything else is done to it (AddedToken of
 * the Hugging Face libraries), and the text between them. */
#ifndef SL_ENGINE_ADDED_TOKENS_H
#define SL_ENGINE_ADDED_TOKENS_H

#include <stdbool.h>

#include "engine/bytes.h"
#include "engine/matcher.h"

struct sl_added {
    uint32_t id;
    uint32_t at, len;    /* of its name in the set's text */
    bool special;        /* no part of a text: not found without parse_special */
    bool normalized;     /* found in the normalised text, else in the text as it is */
    bool lstrip, rstrip; /* takes the white space in front, behind */
};

/* Zeroed is empty. */
struct sl_added_set {
    struct sl_added *token;
    uint32_t n, cap;
    struct sl_bytes text; /* names, and normalised names */
    struct sl_matcher raw, normal;
};

/* Appends a token; `at` and `len` of it are set here. An empty name is left out, and of equal names
 * the first counts. SL_ERR_NOMEM, SL_ERR_RANGE. */
int sl_added_add(struct sl_added_set *set, const struct sl_added *token, const void *name,
                 size_t len);
/* Changes the name by which a normalised text has token number i. */
int sl_added_rename(struct sl_added_set *set, uint32_t i, const void *name, size_t len);
/* Behind the last of them: makes the names findable. */
int sl_added_finish(struct sl_added_set *set);
void sl_added_free(struct sl_added_set *set);

/* A walk over a text: of all places the leftmost, of all names there the longest. */
struct sl_cutter {
    const struct sl_added_set *set;
    const struct sl_matcher *names; /* &set->raw or &set->normal */
    const uint8_t *text;
    size_t len;
    bool parse_special; /* false: special tokens are text */
    /* Zeroed at the start. */
    size_t searched, done;
    struct sl_cut {
        size_t at, end;
        const struct sl_added *token; /* NULL: text, at least one byte */
    } held;
};
/* The next part; false at the end. */
bool sl_cutter_next(struct sl_cutter *cutter, struct sl_cut *out);

#endif
