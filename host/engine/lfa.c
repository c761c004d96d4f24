/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lfa.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/mathf.h"

static const float lfa_eps = 1e-6f; /* fixed in the architecture, whatever norm_eps says */

static size_t state_floats(const struct sl_lfa *lfa)
{
    return (size_t)lfa->d_model + lfa->d_model / 2;
}

int sl_lfa_open(struct sl_lfa *out, const struct sl_config *config, uint32_t n_batch,
                struct sl_pool *pool)
{
    struct sl_lfa lfa = {.d_model = config->d_model, .n_layer = config->n_layer};
    size_t d = config->d_model;
    lfa.state = sl_alloc(config->n_layer * state_floats(&lfa), sizeof(float));
    lfa.saved = sl_alloc(config->n_layer * state_floats(&lfa), sizeof(float));
    lfa.pairs = sl_alloc(n_batch * 2 * d, sizeof(float));
    lfa.conv1 = sl_alloc(n_batch * (d / 2), sizeof(float));
    lfa.conv2 = sl_alloc(n_batch * d, sizeof(float));
    bool ok = lfa.state && lfa.saved && lfa.pairs && lfa.conv1 && lfa.conv2;
    int err = ok ? sl_matmul_open(&lfa.mm, pool, 2 * d) : SL_ERR_NOMEM;
    if (err)
        sl_lfa_close(&lfa);
    else
        *out = lfa;
    return err;
}

void sl_lfa_close(struct sl_lfa *lfa)
{
    sl_matmul_close(&lfa->mm);
    free(lfa->state);
    free(lfa->saved);
    free(lfa->pairs);
    free(lfa->conv1);
    free(lfa->conv2);
    *lfa = (struct sl_lfa){0};
}

void sl_lfa_reset(struct sl_lfa *lfa)
{
    memset(lfa->state, 0, lfa->n_layer * state_floats(lfa) * sizeof(float));
}

void sl_lfa_save(struct sl_lfa *lfa)
{
    memcpy(lfa->saved, lfa->state, lfa->n_layer * state_floats(lfa) * sizeof(float));
}

void sl_lfa_restore(struct sl_lfa *lfa)
{
    memcpy(lfa->state, lfa->saved, lfa->n_layer * state_floats(lfa) * sizeof(float));
}

/* pairs[t] = (x[t-1][0], x[t][0], x[t-1][1], ...), x[-1] = prev: the order of the kernels. */
static void make_pairs(float *pairs, const float *prev, const float *x, size_t width, size_t n_tok)
{
    for (size_t t = 0; t < n_tok; t++, pairs += 2 * width) {
        const float *now = x + t * width, *old = t ? now - width : prev;
        for (size_t i = 0; i < width; i++) {
            pairs[2 * i] = old[i];
            pairs[2 * i + 1] = now[i];
        }
    }
}

void sl_lfa_run(struct sl_lfa *lfa, const struct sl_lfa_call *call)
{
    size_t d = lfa->d_model, half = d / 2, n = call->n_tok;
    const struct sl_layer_weights *w = call->weights;
    float *prev_a = lfa->state + call->layer * state_floats(lfa), *prev_conv1 = prev_a + d;
    struct sl_matmul_call conv = {.matrix = &w->lfa_conv1,
                                  .bias = w->lfa_bias1,
                                  .x = lfa->pairs,
                                  .x_stride = 2 * d,
                                  .y = lfa->conv1,
                                  .y_stride = half,
                                  .n_tok = n};
    make_pairs(lfa->pairs, prev_a, call->a, d, n);
    sl_matmul_run(&lfa->mm, &conv);
    make_pairs(lfa->pairs, prev_conv1, lfa->conv1, half, n);
    conv.matrix = &w->lfa_conv2;
    conv.bias = w->lfa_bias2;
    conv.x_stride = d;
    conv.y = lfa->conv2;
    conv.y_stride = d;
    sl_matmul_run(&lfa->mm, &conv);
    memcpy(prev_conv1, lfa->conv1 + (n - 1) * half, half * sizeof(float));
    memcpy(prev_a, call->a + (n - 1) * d, d * sizeof(float));
    for (size_t t = 0; t < n; t++) {
        float *f = call->f + t * d;
        for (size_t i = 0; i < d; i++)
            f[i] = lfa->conv2[t * d + i] + call->a[t * d + i];
        sl_rms_norm(f, f, w->lfa_norm, d, lfa_eps);
    }
}
