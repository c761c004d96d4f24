/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the AVX2 implementation share: cpu_avx2.c (weights, few tokens),
 * cpu_avx2_tile.c (more), cpu_avx2_ffn.c (what is beside them). */
#ifndef SL_ACCEL_CPU_AVX2_H
#define SL_ACCEL_CPU_AVX2_H

#include "accel/cpu_kernels.h"
#include "base/avx2.h"

/* cpu_avx2_ffn.c: entries of struct sl_cpu_ops. */
bool sl_x_ok_avx2(const struct sl_cpu_x *x);
void sl_swiglu_avx2(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n, int8_t *h,
                    uint8_t *he, struct sl_cpu_counts *counts);
bool sl_x16_ok_avx2(const uint8_t *xe, const uint8_t *code, uint32_t k);
void sl_router_avx2(const struct sl_cpu_router *r, void *work);
/* cpu_avx2_kv.c. */
bool sl_kv_item_ok_avx2(uint32_t d, const uint8_t *item);
void sl_kv_pack_avx2(int format, uint32_t d, const uint8_t *item, uint8_t *record);

/* cpu_avx2_tile.c. x: s16 in chunks of 256 columns, tokens rounded up to four side by side; xe of
 * each group, by token. The rest is of a tile: a chunk of 16 rows. */
enum {
    SL_TILE_MIN_AVX2 = 8, /* tokens: from here on it is worth it */
    SL_TILE_UNITS_AVX2 = 8,
    SL_TILE_GROUPS_AVX2 = 8
};
struct sl_tile_work_avx2 {
    _Alignas(32) int16_t x[SL_MAX_TOKENS * SL_MAX_K];
    uint8_t xe[SL_CPU_MAX_GROUPS][SL_MAX_TOKENS];
    /* Pairs of columns of 8 units: low and high rows in [0]; fp8: two digits of low rows in [0], of
     * high ones in [1]. */
    _Alignas(32) int16_t w[SL_TILE_GROUPS_AVX2][SL_BLOCK / 2][2][2][2 * SL_TILE_UNITS_AVX2];
    _Alignas(32) int32_t scale[SL_TILE_GROUPS_AVX2][2][SL_TILE_UNITS_AVX2];
    /* Of low and high rows: even units, odd units. */
    _Alignas(32) int64_t sum[SL_MAX_TOKENS][2][2][SL_TILE_UNITS_AVX2 / 2];
};
/* As struct sl_cpu_ops has load and sums. */
void sl_tile_load_avx2(const struct sl_cpu_x *x, struct sl_tile_work_avx2 *w);
void sl_tile_sums_avx2(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                       struct sl_tile_work_avx2 *w, struct sl_cpu_work *out);

#ifdef __x86_64__

/* What vpshufb knows of an E4M3 exponent e: the significand's leading one, and the bytes of 2^s, s
 * = max(e, 1) - 1 <= 14, the power of two that the significand is an integer of. */
struct sl_fp8_tables {
    __m256i lead, low, high;
};

SL_V256 struct sl_fp8_tables sl_fp8_tables(void)
{
    static const uint8_t t[3][16] = {{0, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8},
                                     {1, 1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0},
                                     {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64}};
    __m256i v[3];
    for (int i = 0; i < 3; i++)
        v[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)t[i]));
    return (struct sl_fp8_tables){v[0], v[1], v[2]};
}

/* (32 + (b & 31)) << (b >> 5) of eight scale bytes. */
SL_V256 __m256i sl_scales256(const uint8_t *p)
{
    __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));
    __m256i sig =
        _mm256_or_si256(_mm256_and_si256(b, _mm256_set1_epi32(31)), _mm256_set1_epi32(SL_SIG_BASE));
    return _mm256_sllv_epi32(sig, _mm256_srli_epi32(b, 5));
}
#endif

#endif
