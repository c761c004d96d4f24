/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as config.json: refused, or a config whose numbers fit together. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/config.h"
#include "engine/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every user of a config relies on without asking. */
static void check_config(const struct sl_config *c)
{
    assert(c->n_layer >= 1 && c->n_layer <= SL_MAX_LAYER);
    assert(c->n_head >= 1 && c->n_kv_head >= 1 && c->n_head % c->n_kv_head == 0);
    assert(c->head_dim >= 2 && c->head_dim <= 256 && c->head_dim % 2 == 0);
    assert(c->d_attn == c->n_head * c->head_dim && c->d_model >= 1 && c->n_vocab >= 1);
    assert(c->n_rot >= 2 && c->n_rot <= c->head_dim && c->n_rot % 2 == 0);
    assert(c->n_expert <= SL_MAX_EXPERT && c->n_expert_used <= SL_MAX_EXPERT_USED);
    assert(c->n_expert ? c->n_expert >= 2 && c->n_expert_used >= 1 && c->d_ff >= 1
                       : !c->n_expert_used && c->d_ff_shared);
    assert(c->n_expert_used <= c->n_expert && c->cla_factor >= 1);
    assert(!c->qk_norm_first || (c->qk_norm && c->cla_factor == 1));
    assert(c->rope != SL_ROPE_LLAMA3 || (c->rope_high > c->rope_low && c->rope_ctx >= 1));
    assert((c->n_shared_expert == 0) == (c->d_ff_shared == 0));
    assert(c->norm_eps > 0 && c->rope_theta >= 1 && c->rope_factor >= 1);
    assert(c->rope != SL_ROPE_NTK_ALPHA || c->rope_alpha > 0);
    assert(!c->has_lfa || c->d_model % 2 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_config c;
    struct sl_model_info info;
    if (sl_config_parse(&c, (const char *)data, size)) {
        assert(sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
        return 0;
    }
    check_config(&c);
    sl_config_get_info(&c, &info);
    assert(info.n_param >= info.n_param_active && info.n_param_active > 0);
    assert(info.kv_bytes_int4 < info.kv_bytes_int8 && info.kv_bytes_bf16 <= info.kv_bytes_mha_bf16);
    return 0;
}
