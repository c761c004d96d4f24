/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding: the first n_rot channels of each head, pairs (i, i + n_rot / 2). */
#ifndef SL_ENGINE_ROPE_H
#define SL_ENGINE_ROPE_H

#include "engine/config.h"

struct sl_rope {
    uint32_t n_rot;
    enum sl_rope_table table;
    float position_scale; /* linear scaling: positions are divided by it; else 1 */
    double *inv_freq;     /* [n_rot / 2], rounded as the table variant says */
};

/* SL_ERR_NOMEM. */
int sl_rope_open(struct sl_rope *out, const struct sl_config *config);
void sl_rope_close(struct sl_rope *rope);

/* cos and sin, [n_rot / 2] each, of absolute position `pos`. */
void sl_rope_angles(const struct sl_rope *rope, uint32_t pos, float *cos_out, float *sin_out);
/* Rotates one head vector in place by those. */
void sl_rope_apply(const struct sl_rope *rope, const float *cos_tab, const float *sin_tab,
                   float *head);

#endif
