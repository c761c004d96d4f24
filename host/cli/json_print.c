/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "console.h"
#include "verbs.h"

json_t *sl_json_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

int sl_json_print(json_t *object)
{
    int failed = !object || json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (failed)
        return sl_cli_error(SL_ERR_NOMEM, NULL, "the JSON result could not be built");
    putchar('\n');
    return sl_stdout_finish();
}

json_t *sl_json_real(float v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", (double)v);
    return json_real(strtod(text, NULL));
}

json_t *sl_json_ids(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}
