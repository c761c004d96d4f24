/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/ops_time.h"

#include "accel/fabric_state.h"

void sl_ops_get_time(const struct sl_ops *ops, struct sl_virtual_time *out)
{
    struct sl_device_counters c = {0};
    struct sl_device *dev = ((const struct sl_fabric *)ops->ctx)->dev;
    if (dev->ops->counters)
        dev->ops->counters(dev, &c);
    *out = c.time;
}
