/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_SCHED_PLAN_H
#define SL_SCHED_PLAN_H

#include "sched/plan_parse.h"

/* sl_plan of cards and a host that no text describes; params->cards and host are not read. */
int sl_plan_for(const struct sl_plan_params *params, const struct sl_plan_cards *cards,
                const struct sl_plan_host *host, struct sl_plan *out);

#endif
