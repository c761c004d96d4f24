/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a model that is about to be opened: what the engine adds to the store's ledger. */
#ifndef SL_ENGINE_MEMORY_PLAN_H
#define SL_ENGINE_MEMORY_PLAN_H

#include "sluice.h"

/* From a converted model's directory: its manifest is read, nothing else. SL_ERR_NOMEM. */
int sl_memory_plan_store(struct sl_memory *out, const struct sl_model_params *params);
/* Bytes of the routed experts of a plan. */
uint64_t sl_memory_plan_budget(const struct sl_memory *plan);

#endif
