/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations (engine/ops.h) carried out by a core: jobs, lists, residency of slabs,
 * retries. */
#ifndef SL_ACCEL_FABRIC_H
#define SL_ACCEL_FABRIC_H

#include "engine/ops.h"

struct sl_store;
struct sl_pool;

/* Opens the device, uploads every slab of the store and fills `out`. store, config and pool are
 * borrowed until out->close. SL_ERR_NOMEM when the model does not fit the arenas. */
int sl_fabric_open(struct sl_ops *out, const struct sl_config *config, const struct sl_store *store,
                   const char *device, struct sl_pool *pool);

#endif
