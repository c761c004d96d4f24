/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/simd.h"

#include <stdlib.h>
#include <string.h>

const struct sl_simd *sl_simd_at(enum sl_simd_level level)
{
    switch (level) {
    case SL_SIMD_GENERIC: return sl_simd_generic();
#ifdef __x86_64__
    case SL_SIMD_AVX2:
        /* Every processor with AVX2 and FMA has F16C too (compilers cannot ask for it by name). */
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? sl_simd_avx2()
                                                                               : NULL;
    case SL_SIMD_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vnni")
                   ? sl_simd_avx512()
                   : NULL;
#endif
    default: return NULL;
    }
}

enum sl_simd_level sl_simd_limit(void)
{
    static const char *const names[SL_N_SIMD_LEVEL] = {"generic", "avx2", "avx512"};
    const char *env = getenv("SLUICE_SIMD");
    for (int level = 0; env && level < SL_N_SIMD_LEVEL; level++)
        if (!strcmp(env, names[level]))
            return (enum sl_simd_level)level;
    return SL_N_SIMD_LEVEL - 1;
}

const struct sl_simd *sl_simd_best(void)
{
    for (int level = sl_simd_limit(); level > SL_SIMD_GENERIC; level--) {
        const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
        if (simd)
            return simd;
    }
    return sl_simd_generic();
}
