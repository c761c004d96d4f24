/* SPDX-License-Identifier: Apache-2.0 */
/* run --explain: where experts were computed, and why there. */
#ifndef SL_CLI_EXPLAIN_H
#define SL_CLI_EXPLAIN_H

#include <jansson.h>

#include "sluice.h"

/* Some lines to stderr. */
void sl_explain_print(const struct sl_placement *p);
/* Of --json; NULL: no memory. */
json_t *sl_explain_json(const struct sl_placement *p);

#endif
