/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual clock of a device without a board, as a line of text and as JSON. */
#ifndef SL_CLI_TIME_REPORT_H
#define SL_CLI_TIME_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "sluice.h"

/* The clock when the model was open, when the prompt was read, and now. */
struct sl_report_clock {
    const struct sl_virtual_time *opened, *read, *now;
};

/* Lines of modelled seconds: rates of n_prefill and n_decode tokens, and where the time went. */
void sl_report_time(FILE *f, size_t n_prefill, size_t n_decode,
                    const struct sl_report_clock *clock);
/* The same; NULL without memory. */
json_t *sl_time_json(size_t n_prefill, size_t n_decode, const struct sl_report_clock *clock);

#endif
