/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder of routes (sluice.h), as the session sees it. */
#ifndef SL_ENGINE_ROUTE_LOG_H
#define SL_ENGINE_ROUTE_LOG_H

#include "engine/config.h"
#include "engine/trace.h"

/* From here on the log expects the routes of a model, at most n_batch tokens at once. SL_ERR_USAGE
 * when it has a session already, SL_ERR_NOMEM. */
int sl_route_log_attach(struct sl_route_log *log, const struct sl_config *config, uint32_t n_batch);
/* What the session calls; belongs to the log. */
const struct sl_trace *sl_route_log_trace(const struct sl_route_log *log);

#endif
