/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as a table and as JSON. */
#ifndef SL_CLI_PROFILE_REPORT_H
#define SL_CLI_PROFILE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "sluice.h"

void sl_profile_table(FILE *f, const struct sl_profile *profile);
/* NULL: out of memory. */
json_t *sl_profile_json(const struct sl_profile *profile, const char *path);

#endif
