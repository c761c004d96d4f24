/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rope.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/half.h"

static float round_bf16(float x)
{
    return sl_bf16_to_f32(sl_f32_to_bf16(x));
}

static double rope_base(const struct sl_config *c)
{
    double theta = c->rope_theta, rot = c->n_rot;
    if (c->rope != SL_ROPE_NTK_ALPHA || c->n_rot <= 2)
        return theta;
    return theta * pow(c->rope_alpha, rot / (rot - 2));
}

/* Llama 3: wave lengths up to ctx / high stay, those from ctx / low on are stretched by factor,
 * between them both frequencies are mixed. */
static double stretch(const struct sl_config *c, double freq)
{
    const double turns = c->rope_ctx * freq / (2 * acos(-1)); /* within the original context */
    const double keep = (turns - c->rope_low) / (c->rope_high - (double)c->rope_low);
    const double share = keep < 0 ? 0 : keep > 1 ? 1 : keep;
    return (1 - share) * freq / c->rope_factor + share * freq;
}

int sl_rope_open(struct sl_rope *out, const struct sl_config *config)
{
    uint32_t half = config->n_rot / 2;
    double *inv_freq = sl_alloc(half, sizeof *inv_freq);
    if (!inv_freq)
        return SL_ERR_NOMEM;
    double base = rope_base(config);
    for (uint32_t i = 0; i < half; i++) {
        inv_freq[i] = pow(base, -2.0 * i / config->n_rot);
        if (config->rope == SL_ROPE_LLAMA3)
            inv_freq[i] = stretch(config, inv_freq[i]);
        if (config->rope_table != SL_ROPE_TABLE_F32)
            inv_freq[i] = round_bf16((float)inv_freq[i]);
    }
    *out = (struct sl_rope){.n_rot = config->n_rot,
                            .table = config->rope_table,
                            .position_scale =
                                config->rope == SL_ROPE_LINEAR ? config->rope_factor : 1.0f,
                            .inv_freq = inv_freq};
    return 0;
}

void sl_rope_close(struct sl_rope *rope)
{
    free(rope->inv_freq);
    *rope = (struct sl_rope){0};
}

/* In double: an angle of 131,000 rad rounded to fp32 is off by up to 0.004, differently at each
 * position, and what attention sees is the difference of two. */
void sl_rope_angles(const struct sl_rope *rope, uint32_t pos, float *cos_out, float *sin_out)
{
    bool all = rope->table == SL_ROPE_TABLE_BF16_ALL;
    double t = (double)pos / (double)rope->position_scale;
    t = all ? round_bf16((float)t) : t;
    for (uint32_t i = 0; i < rope->n_rot / 2; i++) {
        double angle = t * rope->inv_freq[i];
        angle = all ? round_bf16((float)angle) : angle;
        /* Then rounded: the last bit does not depend on the C library. */
        cos_out[i] = (float)cos(angle);
        sin_out[i] = (float)sin(angle);
        if (all) {
            cos_out[i] = round_bf16(cos_out[i]);
            sin_out[i] = round_bf16(sin_out[i]);
        }
    }
}

void sl_rope_apply(const struct sl_rope *rope, const float *cos_tab, const float *sin_tab,
                   float *head)
{
    uint32_t half = rope->n_rot / 2;
    for (uint32_t i = 0; i < half; i++) {
        float a = head[i], b = head[i + half];
        head[i] = a * cos_tab[i] - b * sin_tab[i];
        head[i + half] = b * cos_tab[i] + a * sin_tab[i];
    }
}
