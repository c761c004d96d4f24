/* SPDX-License-Identifier: Apache-2.0 */
/* What the families' readers of config.json share. Every reader fills a config that holds zeros but
 * for the defaults of config.c; SL_ERR_FORMAT and SL_ERR_UNSUPPORTED name the key. */
#ifndef SL_ENGINE_CONFIG_FAMILY_H
#define SL_ENGINE_CONFIG_FAMILY_H

#include "engine/config.h"
#include "engine/config_keys.h"
#include "engine/ops.h"

enum { SL_CONFIG_MAX_WIDTH = 1 << 20, SL_CONFIG_MAX_HEAD_DIM = 256 };

/* `large`: HunYuanForCausalLM, whose published code is followed where it differs from the other. */
int sl_config_read_hunyuan(struct sl_config *c, const json_t *o, bool large);
int sl_config_read_yuan(struct sl_config *c, const json_t *o);
/* Whether config_llama.c knows this entry of `architectures`; if so, the reader. */
bool sl_config_is_llama(const char *class);
int sl_config_read_llama(struct sl_config *c, const json_t *o, const char *class);

/* Layers, widths, heads, vocabulary, context, epsilon, the tied head; quantisation is checked. */
int sl_config_read_common(struct sl_config *c, const json_t *o);
/* n_kv_head and head_dim, which keep their values where keys are missing; head_dim 0: a head's
 * share of hidden_size. */
int sl_config_read_heads(struct sl_config *c, const json_t *o);
/* SL_ERR_UNSUPPORTED: the key asks for a model without routed experts. */
int sl_config_refuse_dense(const char *key);

#endif
