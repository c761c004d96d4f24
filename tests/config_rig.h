/* SPDX-License-Identifier: Apache-2.0 */
/* Altered copies of released config.json files. Run from the repository's root. */
#ifndef SL_TEST_CONFIG_RIG_H
#define SL_TEST_CONFIG_RIG_H

#include "engine/config.h"

int config_parse(struct sl_config *out, const char *text);
/* A released config with the key at `path` ("a" or "a.b") set to a JSON value; NULL: removed. */
int config_parse_with(struct sl_config *out, const char *file, const char *path, const char *value);

struct config_refusal {
    const char *file, *path, *value; /* as above */
    int err;
};
/* Asserts that it is refused so, by the key's name, in one line, and that nothing is written. */
void config_check_refusal(const struct config_refusal *r);

#endif
