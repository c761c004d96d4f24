/* SPDX-License-Identifier: Apache-2.0 */
/* Prefetch with perfect knowledge of the next layer, and evictions with knowledge of the future:
 * what hiding uploads behind the work of a layer can give. */
#ifndef SL_CACHE_LOOKAHEAD_H
#define SL_CACHE_LOOKAHEAD_H

#include "cache/routes.h"

struct sl_lookahead_params {
    uint32_t n_slot, n_ahead;
    const uint32_t *next; /* [n_access] as sl_policy_next_use */
    const char *what;
    sl_progress_fn progress; /* may be NULL */
    void *progress_user;
};

/*
 * While a layer's experts work, which keeps them in their slots, up to n_ahead of the next layer's
 * missing ones are uploaded; each takes the slot of what is used again last and in neither layer.
 * What is still missing when its layer begins is a miss, and as with Belady's policy loaded or not.
 * Never fewer hits than Belady's: an upload ahead is one hit more at once, for at most one less
 * later. SL_ERR_NOMEM, SL_ERR_INTERRUPTED.
 */
int sl_lookahead_run(const struct sl_routes *routes, const struct sl_lookahead_params *params,
                     struct sl_residency *out);

#endif
