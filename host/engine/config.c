/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "engine/config_family.h"
#include "store/quant_config.h"

enum { MAX_CONFIG_BYTES = 1 << 24, MAX_VOCAB = 1 << 24 };

/* ---- what the families share ---------------------------------------------------------------- */

static int read_quantisation(const json_t *o)
{
    struct sl_quant_config q; /* the checkpoint reads it again, beside its tensors */
    int err = sl_quant_parse(&q, json_object_get(o, "quantization_config"));
    sl_quant_close(&q);
    return err;
}

int sl_config_read_common(struct sl_config *c, const json_t *o)
{
    static const struct sl_fixed_key keys[] = {
        {"hidden_act", "silu", 0},
        {"logit_scale", NULL, 1},
    };
    int err = SL_KEYS_CHECK_FIXED(o, keys);
    err = err ? err : read_quantisation(o);
    err = err ? err
              : sl_key_need_count(o, (struct sl_count_key){"num_hidden_layers", 1, SL_MAX_LAYER, 0},
                                  &c->n_layer);
    err =
        err ? err
            : sl_key_need_count(o, (struct sl_count_key){"hidden_size", 1, SL_CONFIG_MAX_WIDTH, 0},
                                &c->d_model);
    err = err ? err
              : sl_key_need_count(
                    o, (struct sl_count_key){"num_attention_heads", 1, SL_CONFIG_MAX_WIDTH, 0},
                    &c->n_head);
    err = err ? err
              : sl_key_need_count(o, (struct sl_count_key){"vocab_size", 1, MAX_VOCAB, 0},
                                  &c->n_vocab);
    err =
        err ? err
            : sl_key_get_count(o, (struct sl_count_key){"max_position_embeddings", 1, INT32_MAX, 0},
                               &c->n_ctx_train);
    err = err ? err
              : sl_key_get_real(o, (struct sl_real_key){"rms_norm_eps", 1e-30, 1}, &c->norm_eps);
    return err ? err : sl_key_get_bool(o, "tie_word_embeddings", &c->tied);
}

int sl_config_read_heads(struct sl_config *c, const json_t *o)
{
    static const struct sl_count_key names[] = {
        {"attention_head_dim", 2, SL_CONFIG_MAX_HEAD_DIM, 0},
        {"head_dim", 2, SL_CONFIG_MAX_HEAD_DIM, 0}};
    const struct sl_count_key kv = {"num_key_value_heads", 1, c->n_head, 0};
    int err = sl_key_get_count(o, kv, &c->n_kv_head);
    for (int i = 0; !err && i < 2; i++)
        err = sl_key_get_count(o, names[i], &c->head_dim);
    if (err || c->head_dim)
        return err;
    c->head_dim = c->d_model / c->n_head;
    return c->d_model % c->n_head ? sl_key_bad("num_attention_heads", "does not divide hidden_size")
                                  : 0;
}

/* What must hold between the numbers. */
static int check_shape(const struct sl_config *c)
{
    if (c->n_head % c->n_kv_head)
        return sl_key_bad("num_key_value_heads", "does not divide num_attention_heads");
    if (c->head_dim < 2 || c->head_dim > SL_CONFIG_MAX_HEAD_DIM || c->head_dim % 2)
        return sl_key_unsupported("head_dim", "must be even and at most 256");
    if (c->n_rot < 2 || c->n_rot > c->head_dim || c->n_rot % 2)
        return sl_key_unsupported("num_attention_heads",
                                  "gives an odd or too large number of rotated channels");
    if (c->n_expert_used > c->n_expert)
        return sl_key_bad("moe_topk", "is larger than the number of experts");
    return 0;
}

int sl_config_refuse_dense(const char *key)
{
    return sl_key_unsupported(
        key, "asks for a dense model: of this family only mixtures of experts run");
}

/* ---- entry points --------------------------------------------------------------------------- */

static int refuse_architecture(const json_t *name)
{
    char text[SL_KEY_VALUE_TEXT];
    sl_key_value_text(text, name);
    return sl_fail(SL_ERR_UNSUPPORTED,
                   "HunYuan, HunYuanMoEV1, Yuan, Llama, Mistral, Mixtral, Qwen2, Qwen3, Qwen3Moe "
                   "and Olmoe ForCausalLM run",
                   "config.json: architecture %s is not implemented", text);
}

static int read_config(struct sl_config *c, const json_t *o)
{
    const json_t *first = json_array_get(json_object_get(o, "architectures"), 0);
    const char *name = json_string_value(first);
    *c = (struct sl_config){.rope_theta = 10000, .rope_factor = 1};
    int err;
    if (!name)
        return sl_key_bad("architectures", "is missing");
    if (!strcmp(name, "HunYuanForCausalLM"))
        err = sl_config_read_hunyuan(c, o, true);
    else if (!strcmp(name, "HunYuanMoEV1ForCausalLM"))
        err = sl_config_read_hunyuan(c, o, false);
    else if (!strcmp(name, "YuanForCausalLM"))
        err = sl_config_read_yuan(c, o);
    else if (sl_config_is_llama(name))
        err = sl_config_read_llama(c, o, name);
    else
        return refuse_architecture(first);
    if (err)
        return err;
    if ((uint64_t)c->n_head * c->head_dim > SL_CONFIG_MAX_WIDTH)
        return sl_key_bad("head_dim", "times num_attention_heads is too large");
    c->d_attn = c->n_head * c->head_dim;
    return check_shape(c);
}

int sl_config_parse(struct sl_config *out, const char *json, size_t len)
{
    json_error_t why;
    struct sl_config c;
    json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        const char *text = o ? "not an object" : why.text; /* may quote a piece with a newline */
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "config.json: %.*s (line %d)",
                       (int)strcspn(text, "\n"), text, o ? 1 : why.line);
    }
    int err = read_config(&c, o);
    json_decref(o);
    if (!err)
        *out = c;
    return err;
}

int sl_config_load(struct sl_config *out, const char *path)
{
    struct stat st;
    char file[4096], *text;
    size_t size;
    bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (snprintf(file, sizeof file, is_dir ? "%s/config.json" : "%s", path) >= (int)sizeof file)
        return sl_fail(SL_ERR_IO, "use a shorter path", "path too long: %.100s...", path);
    int err = sl_file_read(&text, &size, file, MAX_CONFIG_BYTES);
    if (err)
        return err;
    err = sl_config_parse(out, text, size);
    free(text);
    return err;
}
