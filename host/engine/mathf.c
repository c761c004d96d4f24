/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mathf.h"

#include <string.h>

#include "engine/simd.h"

float sl_tree16(const float s[SL_N_PARTIAL])
{
    float t[SL_N_PARTIAL / 2];
    for (int l = 0; l < 8; l++)
        t[l] = s[l] + s[l + 8];
    for (int l = 0; l < 4; l++)
        t[l] = t[l] + t[l + 4];
    for (int l = 0; l < 2; l++)
        t[l] = t[l] + t[l + 2];
    return t[0] + t[1];
}

float sl_rms_inv(const float *x, size_t n, float eps)
{
    float mean = sl_simd_best()->dot(x, x, n) / (float)n;
    return 1.0f / sqrtf(mean + eps);
}

void sl_rms_norm(float *y, const float *x, const float *w, size_t n, float eps)
{
    float inv = sl_rms_inv(x, n, eps);
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * inv);
}

void sl_softmax(float *x, size_t n)
{
    const struct sl_simd *simd = sl_simd_best();
    simd->exp_sub(x, x, n, simd->max(x, n));
    float sum = simd->sum(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / sum;
}

bool sl_all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !bad;
}
