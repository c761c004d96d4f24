/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints section 7 of docs/numerics.md: the largest errors of the tabulated functions against long
 * double, over every input where the function is not constant (of fp32 exp: every 61st float).
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/mathf.h"
#include "primitives.h"

struct worst {
    long double error, at;
};

static void note(struct worst *w, long double error, long double at)
{
    error = fabsl(error);
    if (error > w->error) {
        w->error = error;
        w->at = at;
    }
}

static void row(const char *what, const char *range, const char *kind, const struct worst *w)
{
    printf("| %s | %s | %s | %.2Le | %.6Lg |\n", what, range, kind, w->error, w->at);
}

static void sigmoid_and_silu(void)
{
    struct worst sigmoid = {0, 0}, silu = {0, 0};
    for (int32_t g = -(1 << 21); g <= 1 << 21; g++) {
        long double x = g / 65536.0L, s = 1 / (1 + expl(-x));
        note(&sigmoid, sl_sigmoid(g) / 65536.0L - s, x);
        note(&silu, sl_silu(g) / 65536.0L - x * s, x);
    }
    row("`sl_sigmoid`", "every g; constant from 16 on", "absolute", &sigmoid);
    row("`sl_silu`", "-32 <= g <= 32, every g", "absolute", &silu);
}

static void exp_neg(void)
{
    struct worst absolute = {0, 0}, relative = {0, 0};
    for (uint32_t d = 0; d < 1u << 21; d++) {
        long double x = d / 65536.0L, e = expl(-x);
        note(&absolute, sl_exp_neg(d) / 1073741824.0L - e, x);
        if (d <= 1u << 19)
            note(&relative, sl_exp_neg(d) / 1073741824.0L / e - 1, x);
    }
    row("`sl_exp_neg`", "every d; 0 from 22.2 on", "absolute", &absolute);
    row("`sl_exp_neg`", "0 <= d <= 8, every d", "relative", &relative);
}

static void host_exp(void)
{
    struct worst relative = {0, 0};
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t bits = 0; bits < 0x42AE0000; bits += 61) {
            float x;
            uint32_t all = bits | sign << 31;
            memcpy(&x, &all, sizeof x);
            note(&relative, sl_expf(x) / expl(x) - 1, x);
        }
    row("`exp` of the host", "-87 < x < 87", "relative", &relative);
}

/* RNE of h to 7 bits and sign: what quantising a block costs at most, as a part of its largest
 * value. */
static void block(void)
{
    struct worst w = {0, 0};
    for (int64_t am = 1 << 16; am < 1 << 17; am++) {
        int32_t shift = (int32_t)sl_log2((uint64_t)am) - 6;
        int64_t q = sl_rne(am, shift);
        q = q > 127 ? 127 : q;
        note(&w, (long double)(q * (1 << shift) - am) / am, (long double)am / (1 << 16));
    }
    row("largest value of a block of h", "significand 1 <= s < 2", "relative", &w);
}

int main(void)
{
    printf("## 7. Error tables\n\n"
           "Printed by `make error-tables`; reference: long double.\n\n"
           "| function | inputs | error | largest | at |\n|---|---|---|---|---|\n");
    sigmoid_and_silu();
    exp_neg();
    host_exp();
    block();
    return 0;
}
