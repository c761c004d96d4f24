/* SPDX-License-Identifier: Apache-2.0 */
/* What a run should have taken (sl_expect), as a line of text and as JSON. */
#ifndef SL_CLI_EXPECT_REPORT_H
#define SL_CLI_EXPECT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "options.h"
#include "sluice.h"

struct sl_expect_run {
    const struct sl_options *o;
    size_t n_prompt, n_decoded;
    const struct sl_placement *read, *now; /* when the prompt was read; at the end */
};

/* Nothing where nothing is expected; a note where it fails. */
void sl_expect_print(FILE *f, const struct sl_expect_run *run);
/* null where nothing is expected. */
json_t *sl_expect_json(const struct sl_expect_run *run);

#endif
