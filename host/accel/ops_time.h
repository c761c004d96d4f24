/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_ACCEL_OPS_TIME_H
#define SL_ACCEL_OPS_TIME_H

#include "engine/ops.h"

/* The virtual clock of the one device behind ops, which sl_fabric_open filled; not known where the
 * device has none. */
void sl_ops_get_time(const struct sl_ops *ops, struct sl_virtual_time *out);

#endif
