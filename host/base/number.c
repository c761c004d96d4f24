/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <stdlib.h>

bool sl_parse_real(const char *text, double min, double max, double *out)
{
    char *end;
    const bool digit = *text >= '0' && *text <= '9';
    const double v = digit ? strtod(text, &end) : 0;
    if (!digit || *end || !(v >= min && v <= max))
        return false;
    *out = v;
    return true;
}
