/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels for AVX2 share, whatever they compute. Static functions only. */
#ifndef SL_BASE_AVX2_H
#define SL_BASE_AVX2_H

#ifdef __x86_64__
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

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

/* 16 bytes each of two rows, side by side. */
SL_V256 __m256i sl_two_rows256(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)low)),
                                   _mm_loadu_si128((const void *)high), 1);
}

/* row[i]: rows i and i + 4 of eight, as above. Lane u of out[i]: word i of row u. */
SL_V256 void sl_turn256(const __m256i row[4], __m256i out[4])
{
    __m256i a = _mm256_unpacklo_epi32(row[0], row[1]), b = _mm256_unpackhi_epi32(row[0], row[1]);
    __m256i c = _mm256_unpacklo_epi32(row[2], row[3]), d = _mm256_unpackhi_epi32(row[2], row[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

/* Bytes 0 and 1 of each lane (high: 2 and 3) in the upper halves of its two s16, above zeros. */
SL_V256 __m256i sl_spread256(__m256i words, bool high)
{
    __m128i pair = _mm_set_epi32(0x0D800C80, 0x09800880, 0x05800480, 0x01800080);
    pair = _mm_add_epi32(pair, _mm_set1_epi32(high ? 0x02000200 : 0));
    return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(pair));
}

/* Signed, as s16. */
SL_V256 __m256i sl_bytes256(__m256i words, bool high)
{
    return _mm256_srai_epi16(sl_spread256(words, high), 8);
}

/* sum + a . b, two products of s16 in each lane, in sum's own register: gcc moves many sums about
 * otherwise, and spills them. */
SL_V256 __m256i sl_madd256(__m256i sum, __m256i a, __m256i b)
{
    __m256i products = _mm256_madd_epi16(a, b);
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
}
#endif

#endif
