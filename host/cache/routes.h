/* SPDX-License-Identifier: Apache-2.0 */
/* A routing trace in memory. Experts are keys: each (layer, expert) has a number, in the order in
 * which they first appear. */
#ifndef SL_CACHE_ROUTES_H
#define SL_CACHE_ROUTES_H

#include "sluice.h"

enum { SL_ROUTES_MAX_LAYER = 1024, SL_ROUTES_MAX_EXPERT = 1024 };
#define SL_ROUTES_HEADER "token,layer,expert"

struct sl_routes {
    struct sl_routes_info info;
    uint32_t *key;   /* [n_access] */
    uint32_t *group; /* [n_group + 1] first access of each layer of each token, and n_access */
    uint32_t n_group;
};

/*
 * Any bytes. name is for messages. Behind the header each line is three plain decimal numbers and a
 * line feed (a carriage return before it is allowed). Tokens never decrease, nor do layers within a
 * token, and no expert comes twice in one layer of a token. SL_ERR_FORMAT names the line.
 */
int sl_routes_parse(struct sl_routes **out, const char *name, const char *text, size_t len,
                    sl_progress_fn progress, void *progress_user);

#endif
