/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the AVX2 implementation share: cpu_avx2.c (weights, few tokens),
 * cpu_avx2_tile.c (more), cpu_avx2_ffn.c (what is beside them). */
#ifndef SL_ACCEL_CPU_AVX2_H
#define SL_ACCEL_CPU_AVX2_H

#include "accel/cpu_kernels.h"

/* cpu_avx2_ffn.c: entries of struct sl_cpu_ops. */
bool sl_x_ok_avx2(const struct sl_cpu_x *x);
void sl_swiglu_avx2(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n, int8_t *h,
                    uint8_t *he, struct sl_cpu_counts *counts);
bool sl_x16_ok_avx2(const uint8_t *xe, const uint8_t *code, uint32_t k);
void sl_router_avx2(const struct sl_cpu_router *r, void *work);
/* cpu_avx2_kv.c. */
bool sl_kv_item_ok_avx2(uint32_t d, const uint8_t *item);
void sl_kv_pack_avx2(int format, uint32_t d, const uint8_t *item, uint8_t *record);

/* cpu_avx2_tile.c: x as pairs of s16 in chunks of 256 columns, tokens rounded up to four side by
 * side; exponents of each group, by token. */
enum { SL_TILE_MIN_AVX2 = 8 /* tokens: from here on it is worth it */ };
struct sl_tile_work_avx2 {
    _Alignas(32) int16_t x[SL_MAX_TOKENS * SL_MAX_K];
    uint8_t xe[SL_CPU_MAX_GROUPS][SL_MAX_TOKENS];
};
/* As struct sl_cpu_ops has load and sums. */
void sl_tile_load_avx2(const struct sl_cpu_x *x, struct sl_tile_work_avx2 *w);
void sl_tile_sums_avx2(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                       const struct sl_tile_work_avx2 *w, struct sl_cpu_work *out);

#ifdef __x86_64__
#include <immintrin.h>

#define SL_AVX2 __attribute__((target("avx2,fma")))
#define SL_V256 SL_AVX2 static inline __attribute__((always_inline))

SL_V256 __m256i sl_load256(const void *p)
{
    return _mm256_loadu_si256(p);
}

SL_V256 __m256i sl_odd_lanes256(__m256i v)
{
    return _mm256_srli_epi64(v, 32);
}

#endif

#endif
