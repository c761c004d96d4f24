/* SPDX-License-Identifier: Apache-2.0 */
/* The portable set: what every other set must equal bit by bit. */
#include "engine/simd_kernels.h"

const struct sl_simd *sl_simd_generic(void)
{
    return &table_generic;
}
