/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

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
