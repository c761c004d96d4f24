/* SPDX-License-Identifier: Apache-2.0 */
/* A model's memory, part by part, as a table and as JSON. */
#ifndef SL_CLI_MEMORY_REPORT_H
#define SL_CLI_MEMORY_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "sluice.h"

void sl_memory_table(FILE *f, const struct sl_memory *m);
json_t *sl_memory_json(const struct sl_memory *m);
/* "peak memory 3.21 GiB", where it is known. */
void sl_memory_peak_line(FILE *f);

#endif
