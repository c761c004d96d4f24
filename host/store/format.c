/* SPDX-License-Identifier: Apache-2.0 */
#include "store/format.h"

#include <string.h>

#include "base/err.h"
#include "sl_abi.h"

static const char *const format_names[] = {
    [SL_FORMAT_FP8] = "fp8",   [SL_FORMAT_Q8] = "q8",       [SL_FORMAT_NF4] = "nf4",
    [SL_FORMAT_INT4] = "int4", [SL_FORMAT_MXFP4] = "mxfp4",
};
enum { N_FORMAT = sizeof format_names / sizeof format_names[0] };

int sl_format_parse(int *out, const char *name)
{
    for (int i = 0; i < N_FORMAT; i++) {
        if (!strcmp(name, format_names[i])) {
            *out = i;
            return 0;
        }
    }
    return sl_fail(SL_ERR_USAGE, "formats: nf4 int4 mxfp4 q8 fp8", "unknown format \"%.40s\"",
                   name);
}

const char *sl_format_name(int format)
{
    return format >= 0 && format < N_FORMAT ? format_names[format] : "?";
}
