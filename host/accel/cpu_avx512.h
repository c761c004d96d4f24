/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512 with VNNI and VBMI: what the row form (cpu_avx512.c: one or two tokens) and the tile form
 * (cpu_avx512_tile.c: more) share.
 *
 * vpdpbusd adds four products u8 * s8 to an s32 without saturation. Weights are the unsigned side,
 * raised by 128 (q8, 4-bit), which a term of x alone takes back: sum (w + 128) x - 128 sum x. A
 * raised group sum is at most 32 * 255 * 127 < 2^20, the group sum itself 2^19.
 */
#ifndef SL_ACCEL_CPU_AVX512_H
#define SL_ACCEL_CPU_AVX512_H

#include "accel/cpu_kernels.h"

enum {
    SL_ROW_TOKENS = 2, /* of the row form */
    SL_CHUNK = 256,    /* columns that the tile form takes together: 8 groups */
    SL_CHUNK_GROUPS = SL_CHUNK / SL_BLOCK,
    SL_MAX_CHUNKS = SL_MAX_K / SL_CHUNK,
    SL_TILE_UNITS = 16, /* units whose rows fill the lanes of two registers */
    SL_TILE_ROWS = 2 * SL_TILE_UNITS,
    SL_N_LIMB = 3 /* bytes of an fp8 weight */
};

/* What belongs to the x of a block of 8 beats (4-bit: 4 beats), in the order of sl_reduce8. */
struct sl_row_block {
    int32_t raise[16]; /* 128 * sum of the group's x; fp8: not used */
    /* xe of the groups in even and odd lanes (4-bit: even for both; fp8: 2^xe) */
    int64_t even[8], odd[8];
};

/* Everything 64-byte aligned. */
struct sl_row_work {
    int8_t x[SL_ROW_TOKENS][SL_MAX_K];
    struct sl_row_block block[SL_ROW_TOKENS][SL_MAX_CHUNKS];
};

struct sl_tile_work {
    /* [chunk][token]: tokens are as many as the call has, rounded up to 4. */
    int8_t x[SL_MAX_CHUNKS * SL_MAX_TOKENS][SL_CHUNK];
    int64_t xe[SL_MAX_CHUNKS * SL_MAX_TOKENS][SL_CHUNK_GROUPS]; /* fp8: 2^xe */
    int32_t start[SL_MAX_CHUNKS * SL_MAX_TOKENS][SL_CHUNK_GROUPS];
    /* Of the chunk: lane u of a register is unit u, four columns of it; low row, high row. */
    uint8_t w[SL_CHUNK_GROUPS * SL_N_LIMB * 8][2][64];
    int64_t scale[SL_CHUNK_GROUPS][2][2][8]; /* of group, row, part: see there */
    int64_t acc[SL_MAX_TOKENS][2][2][8];
};

struct sl_work_avx512 {
    struct sl_cpu_work base;
    uint8_t xe[SL_CPU_MAX_GROUPS + 64]; /* of a token, zeros behind */
    union {
        struct sl_row_work row;
        struct sl_tile_work tile;
    };
};

/* load and sums of more than SL_ROW_TOKENS tokens. */
void sl_tile_load_avx512(const struct sl_cpu_x *x, int format, struct sl_work_avx512 *work);
void sl_tile_sums_avx512(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                         struct sl_work_avx512 *work);

/* cpu_avx512_ffn.c. */
bool sl_x_ok_avx512(const struct sl_cpu_x *x);
void sl_swiglu_avx512(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n, int8_t *h,
                      uint8_t *he, struct sl_cpu_counts *counts);
bool sl_x16_ok_avx512(const uint8_t *xe, const uint8_t *code, uint32_t k);
void sl_router_avx512(const struct sl_cpu_router *r, void *work);
/* cpu_avx512_kv.c. */
bool sl_kv_item_ok_avx512(uint32_t d, const uint8_t *item);
void sl_kv_pack_avx512(int format, uint32_t d, const uint8_t *item, uint8_t *record);

#ifdef __x86_64__
#include <immintrin.h>

#define SL_AVX512                                                                                  \
    __attribute__((                                                                                \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx2,fma,bmi2")))
#define SL_V512 SL_AVX512 static inline __attribute__((always_inline))

/* Sum of neighbouring 64-bit halves of 128 bits: {a0+a2, b0+b2, a1+a3, b1+b3} becomes one sum each
 * of a, b, c, d. */
SL_V512 __m512i sl_add_quads(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/* Group sums of 8 beats (lanes 0-7 of v[i] are group 2i, lanes 8-15 group 2i + 1), in the order
 * 0 2 4 6 1 3 5 7 8 10 12 14 9 11 13 15. */
SL_V512 __m512i sl_reduce8(const __m512i v[8])
{
    __m512i low = sl_add_quads(v[0], v[1], v[2], v[3]);
    __m512i high = sl_add_quads(v[4], v[5], v[6], v[7]);
    __m512i first = _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(2, 0, 2, 0));
    return _mm512_add_epi32(first, _mm512_shuffle_i32x4(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
}

/* (32 + (b & 31)) << (b >> 5) of the scale byte in each 32-bit lane: below 2^13. */
SL_V512 __m512i sl_scale_of(__m512i b)
{
    enum { AND_OR = 0xEA }; /* (a & b) | c */
    __m512i sig =
        _mm512_ternarylogic_epi32(b, _mm512_set1_epi32(31), _mm512_set1_epi32(SL_SIG_BASE), AND_OR);
    return _mm512_sllv_epi32(sig, _mm512_srli_epi32(b, 5));
}

SL_V512 __m512i sl_odd_lanes(__m512i v)
{
    return _mm512_srli_epi64(v, 32);
}

/* The values of a 4-bit format raised by 128, four times: vpermb looks at six bits of an index,
 * of which the upper two then do not matter. */
SL_V512 __m512i sl_book512(int format)
{
    __m128i book = _mm_loadu_si128((const void *)sl_cpu_book(format));
    return _mm512_xor_si512(_mm512_broadcast_i32x4(book), _mm512_set1_epi8(-128));
}

/* Copies a token's codes in chunks `stride` bytes apart, n_chunk of them (zeros from n_col on), and
 * its exponents into xe. */
SL_V512 void sl_load_token(const struct sl_cpu_x *x, uint32_t t, int8_t *dst, size_t stride,
                           uint32_t n_chunk, uint8_t *xe)
{
    const uint32_t k = x->n_col, n_block = k / SL_BLOCK;
    for (uint32_t at = 0; at < n_chunk * SL_CHUNK_GROUPS; at += 64) {
        uint32_t left = at < n_block ? n_block - at : 0;
        __mmask64 in = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
        _mm512_storeu_si512(xe + at, _mm512_maskz_loadu_epi8(in, x->xe[t] + at));
    }
    for (uint32_t at = 0; at < n_chunk * SL_CHUNK; at += 64) {
        uint32_t left = at < k ? k - at : 0;
        __mmask64 in = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
        _mm512_store_si512(dst + at / SL_CHUNK * stride + at % SL_CHUNK,
                           _mm512_maskz_loadu_epi8(in, x->code[t] + at));
    }
}

/* Sums of four columns each. */
SL_V512 __m512i sl_quad_sums(const int8_t *x)
{
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_load_si512(x));
}

/*
 * sl_cpu_round of 8 sums for SL_CPU_E_MIN <= e <= SL_CPU_E_MAX. The magnitude times mant is hi *
 * 2^32 + low; from 2^64 on it is taken as 2^16 * q with the lost bits kept in q's last place.
 */
SL_V512 __m256 sl_round8(__m512i v, uint16_t mant, int e)
{
    const __m512i m = _mm512_set1_epi64(mant), low32 = _mm512_set1_epi64(UINT32_MAX);
    __m512i a = _mm512_abs_epi64(v), low = _mm512_mul_epu32(a, m);
    __m512i hi = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), m);
    hi = _mm512_add_epi64(hi, _mm512_srli_epi64(low, 32));
    low = _mm512_and_si512(low, low32);
    __mmask8 wide = _mm512_cmpgt_epu64_mask(hi, low32);
    __mmask8 lost = _mm512_test_epi64_mask(low, _mm512_set1_epi64(0xFFFF));
    __m512i q = _mm512_or_si512(_mm512_slli_epi64(hi, 32), low);
    __m512i jam = _mm512_or_si512(_mm512_slli_epi64(hi, 16), _mm512_srli_epi64(low, 16));
    jam = _mm512_mask_or_epi64(jam, lost, jam, _mm512_set1_epi64(1));
    q = _mm512_mask_mov_epi64(q, wide, jam);
    __m256 f = _mm512_cvt_roundepu64_ps(q, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 power = _mm256_mask_mov_ps(_mm256_set1_ps(sl_cpu_pow2(e)), wide,
                                      _mm256_set1_ps(sl_cpu_pow2(e + 16)));
    __m256i sign = _mm512_cvtepi64_epi32(_mm512_srai_epi64(v, 63));
    sign = _mm256_slli_epi32(sign, 31);
    return _mm256_or_ps(_mm256_mul_ps(f, power), _mm256_castsi256_ps(sign));
}

#endif

#endif
