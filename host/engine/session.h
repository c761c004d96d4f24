/* SPDX-License-Identifier: Apache-2.0 */
/* What tests and comparisons need of a session beyond the public interface. */
#ifndef SL_ENGINE_SESSION_H
#define SL_ENGINE_SESSION_H

#include "engine/kv.h"
#include "engine/trace.h"

/* Intermediate results from now on; NULL: none. `trace` is borrowed. */
void sl_session_set_trace(struct sl_session *session, const struct sl_trace *trace);
/* The cache, and how many positions of it are filled. */
const struct sl_kv *sl_session_kv(const struct sl_session *session, uint32_t *n_pos);

#endif
