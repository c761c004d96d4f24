/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/code_names.h"

/* clang-format off */
#define CODE_FORMAT(name, value)
#define CODE_MODE(name, value)
#define CODE_KVREC(name, value)
#define CODE_KIND(name, value)
#define CODE_FLAG(name, value)
#define CODE_SLAB(name, value)
#define CODE_CORE(name, value)
#define CODE(group, name, value, doc) CODE_##group(name, value)

static const char *const status_names[] = {
#define CODE_OP(name, value)
#define CODE_STATUS(name, value) [value] = #name,
#include "codes.def"
#undef CODE_OP
#undef CODE_STATUS
};
static const char *const op_names[] = {
#define CODE_OP(name, value) [value] = #name,
#define CODE_STATUS(name, value)
#include "codes.def"
};
/* clang-format on */

static const char *at(const char *const *names, unsigned n, unsigned i, const char *none)
{
    return i < n && names[i] ? names[i] : none;
}

const char *sl_status_name(unsigned status)
{
    return at(status_names, sizeof status_names / sizeof status_names[0], status,
              "an unknown status");
}

const char *sl_op_name(unsigned op)
{
    return at(op_names, sizeof op_names / sizeof op_names[0], op, "an unknown operation");
}
