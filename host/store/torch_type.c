/* SPDX-License-Identifier: Apache-2.0 */
#include "store/torch_type.h"

#include <string.h>

#define OTHER(storage, name, size)                                                                 \
    {                                                                                              \
        storage, name, size, false, SL_DTYPE_F32                                                   \
    }

static const struct sl_torch_type types[] = {
    {"FloatStorage", "float32", 4, true, SL_DTYPE_F32},
    {"BFloat16Storage", "bfloat16", 2, true, SL_DTYPE_BF16},
    {"HalfStorage", "float16", 2, true, SL_DTYPE_F16},
    {NULL, "float8_e4m3fn", 1, true, SL_DTYPE_F8_E4M3},
    OTHER("DoubleStorage", "float64", 8),
    OTHER("LongStorage", "int64", 8),
    OTHER("IntStorage", "int32", 4),
    OTHER("ShortStorage", "int16", 2),
    OTHER("CharStorage", "int8", 1),
    OTHER("ByteStorage", "uint8", 1),
    OTHER("BoolStorage", "bool", 1),
    OTHER("ComplexFloatStorage", "complex64", 8),
    OTHER("ComplexDoubleStorage", "complex128", 16),
    OTHER(NULL, "float8_e5m2", 1),
    OTHER(NULL, "float8_e4m3fnuz", 1),
    OTHER(NULL, "float8_e5m2fnuz", 1),
    OTHER(NULL, "float8_e8m0fnu", 1),
    OTHER(NULL, "uint16", 2),
    OTHER(NULL, "uint32", 4),
    OTHER(NULL, "uint64", 8),
};
static const struct sl_torch_type untyped = OTHER("UntypedStorage", "bytes", 1);

static bool is_text(const char *want, const char *text, size_t n)
{
    return want && strlen(want) == n && !memcmp(want, text, n);
}

const struct sl_torch_type *sl_torch_type_of_storage(const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (is_text(types[i].storage, text, n))
            return &types[i];
    return NULL;
}

const struct sl_torch_type *sl_torch_type_of_name(const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (is_text(types[i].name, text, n))
            return &types[i];
    return NULL;
}

const struct sl_torch_type *sl_torch_type_untyped(void)
{
    return &untyped;
}
