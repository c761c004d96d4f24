/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tensor_map.h"

#include <stdio.h>
#include <string.h>

#include "engine/simd.h"
#include "store/names.h"

enum tail { WEIGHT, BIAS };

/* What is looked for: the tensor of one role, or, where the checkpoint has none, a fused tensor. */
struct want {
    const struct sl_checkpoint *ckpt;
    const struct sl_config *config;
    uint32_t layer, expert;
    enum tail tail;
};

/* Rows of a GPTQ linear lie beside each other: those that follow one another are read together. */
static void read_beside(const struct sl_rows *m, uint32_t r, uint32_t n, float *dst, size_t stride)
{
    for (uint32_t done = 0; done < n;) {
        uint32_t at = (r + done) % m->block, some = m->block - at;
        some = some < n - done ? some : n - done;
        uint64_t row = m->first + (uint64_t)((r + done) / m->block) * m->stride + at;
        sl_tensor_read_rows(m->tensor, row, some, dst + done * stride, stride);
        done += some;
    }
}

void sl_rows_read_many(const struct sl_rows *m, uint32_t r, uint32_t n, float *dst, size_t stride)
{
    if (m->tensor->gptq)
        read_beside(m, r, n, dst, stride);
    else
        for (uint32_t i = 0; i < n; i++)
            sl_rows_read(m, r + i, dst + i * stride);
}

static uint64_t tensor_row(const struct sl_rows *m, uint32_t r)
{
    return m->first + (uint64_t)(r / m->block) * m->stride + r % m->block;
}

const uint8_t *sl_rows_stored(const struct sl_rows *m, uint32_t r)
{
    const struct sl_tensor *t = m->tensor;
    return t->gptq ? NULL : t->data + tensor_row(m, r) * m->cols * sl_dtype_size(t->dtype);
}

void sl_rows_read(const struct sl_rows *m, uint32_t r, float *dst)
{
    const struct sl_tensor *t = m->tensor;
    const uint8_t *src = sl_rows_stored(m, r);
    if (src)
        sl_simd_best()->widen(t->dtype, src, m->cols, t->scale, dst);
    else
        sl_tensor_read_rows(t, tensor_row(m, r), 1, dst, m->cols);
}

static struct sl_rows whole(const struct sl_tensor *t, uint32_t rows, uint32_t cols)
{
    return (struct sl_rows){.tensor = t, .rows = rows, .cols = cols, .block = rows};
}

static void role_name(char name[SL_NAME_MAX], const struct want *w, enum sl_role role)
{
    sl_tensor_name(name, w->config->family,
                   (struct sl_tensor_id){.role = role, .layer = w->layer, .expert = w->expert});
    size_t n = strlen(name), cut = sizeof "weight" - 1;
    if (w->tail == BIAS && n > cut)
        snprintf(name + n - cut, SL_NAME_MAX - (n - cut), "bias");
}

/* "a.b.q_proj.weight" -> "a.b.qkv_proj.weight" */
static void fused_name(char out[SL_NAME_MAX], const char *name, const char *module)
{
    const char *tail = strrchr(name, '.'), *dot = tail;
    while (dot > name && dot[-1] != '.')
        dot--;
    int n =
        tail ? snprintf(out, SL_NAME_MAX, "%.*s%s%s", (int)(dot - name), name, module, tail) : -1;
    if (n < 0 || n >= SL_NAME_MAX)
        out[0] = 0;
}

static int need(const struct want *w, const struct sl_tensor **out, const char *name,
                const uint64_t dim[2])
{
    return sl_checkpoint_need(w->ckpt, out, name, w->tail == BIAS ? 1 : 2, dim);
}

/* Fills out with one tensor per matrix, or leaves out->tensor NULL when there is no such tensor and
 * `module` names a fused one that exists (its name is then in `name`). */
static int find_plain(const struct want *w, enum sl_role role, const char *module,
                      char name[SL_NAME_MAX], struct sl_rows *out)
{
    const struct sl_tensor *t;
    char fused[SL_NAME_MAX];
    role_name(name, w, role);
    if (module)
        fused_name(fused, name, module);
    if (module && !sl_checkpoint_find(w->ckpt, name) && sl_checkpoint_find(w->ckpt, fused)) {
        memcpy(name, fused, sizeof fused);
        return 0;
    }
    uint64_t dim[2] = {out->rows, out->cols};
    int err = need(w, &t, name, dim);
    if (!err)
        *out = whole(t, out->rows, out->cols);
    return err;
}

/* Q, K or V, with their biases. */
static int map_qkv(const struct want *w, enum sl_matrix matrix, struct sl_rows *out)
{
    static const enum sl_role role[] = {SL_ROLE_Q, SL_ROLE_K, SL_ROLE_V};
    const struct sl_config *c = w->config;
    const char *module = c->family == SL_FAMILY_HUNYUAN ? "qkv_proj" : NULL;
    char name[SL_NAME_MAX];
    uint32_t rows_kv = c->n_kv_head * c->head_dim, group = c->d_attn / c->n_kv_head;
    out->rows = matrix == SL_MATRIX_Q ? c->d_attn : rows_kv;
    int err = find_plain(w, role[matrix], module, name, out);
    if (err || out->tensor)
        return err;
    const struct sl_tensor *t;
    uint64_t dim[2] = {(uint64_t)c->d_attn + 2 * (uint64_t)rows_kv, out->cols};
    err = need(w, &t, name, dim);
    if (err)
        return err;
    out->tensor = t;
    out->stride = group + 2 * c->head_dim;
    out->block = matrix == SL_MATRIX_Q ? group : c->head_dim;
    out->first = matrix == SL_MATRIX_Q ? 0 : matrix == SL_MATRIX_K ? group : group + c->head_dim;
    return 0;
}

static int map_any(const struct want *w, enum sl_matrix matrix, struct sl_rows *out)
{
    const struct sl_config *c = w->config;
    char name[SL_NAME_MAX];
    *out = (struct sl_rows){.cols = w->tail == BIAS ? 1 : c->d_model};
    switch (matrix) {
    case SL_MATRIX_O:
        out->rows = c->d_model;
        out->cols = w->tail == BIAS ? 1 : c->d_attn;
        return find_plain(w, SL_ROLE_O, NULL, name, out);
    case SL_MATRIX_LM_HEAD:
        out->rows = c->n_vocab;
        return find_plain(w, c->tied ? SL_ROLE_EMBED : SL_ROLE_LM_HEAD, NULL, name, out);
    default: return map_qkv(w, matrix, out);
    }
}

int sl_map_matrix(struct sl_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
                  enum sl_matrix matrix, uint32_t layer)
{
    struct want w = {.ckpt = ckpt, .config = c, .layer = layer, .tail = WEIGHT};
    return map_any(&w, matrix, out);
}

int sl_map_bias(struct sl_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
                enum sl_matrix matrix, uint32_t layer)
{
    struct want w = {.ckpt = ckpt, .config = c, .layer = layer, .tail = BIAS};
    *out = (struct sl_rows){0};
    if (matrix == SL_MATRIX_LM_HEAD || !(matrix == SL_MATRIX_O ? c->o_bias : c->attention_bias))
        return 0;
    return map_any(&w, matrix, out);
}

int sl_map_router(struct sl_rows out[3], const struct sl_checkpoint *ckpt,
                  const struct sl_config *c, uint32_t layer)
{
    static const enum sl_role role[] = {SL_ROLE_ROUTER, SL_ROLE_ROUTER_KEY, SL_ROLE_ROUTER_VALUE};
    struct want w = {.ckpt = ckpt, .config = c, .layer = layer, .tail = WEIGHT};
    char name[SL_NAME_MAX];
    int n = c->router == SL_ROUTER_ATTENTION ? 3 : 1, err = 0;
    for (int i = 0; !err && i < n; i++) {
        out[i] = (struct sl_rows){.rows = c->n_expert, .cols = c->d_model};
        err = find_plain(&w, role[i], NULL, name, &out[i]);
    }
    return err;
}

/* ---- MLPs ----------------------------------------------------------------------------------- */

/* Two matrices of d_ff rows in one tensor: `first` says in which half this one lies. */
static int map_half(const struct want *w, const char *name, uint32_t half, struct sl_rows *out)
{
    const struct sl_tensor *t;
    uint64_t dim[2] = {2 * (uint64_t)out->rows, out->cols};
    int err = need(w, &t, name, dim);
    if (err)
        return err;
    *out = whole(t, out->rows, out->cols);
    out->first = half * out->rows;
    return 0;
}

struct mlp_roles {
    enum sl_role gate, up, down;
};

static int map_separate(const struct want *w, const struct mlp_roles *r, struct sl_rows gate_up[2])
{
    const char *module = w->config->family == SL_FAMILY_HUNYUAN ? "gate_and_up_proj" : NULL;
    char name[SL_NAME_MAX];
    int err = find_plain(w, r->gate, module, name, &gate_up[0]);
    if (!err && !gate_up[0].tensor) {
        err = map_half(w, name, 1, &gate_up[0]);
        return err ? err : map_half(w, name, 0, &gate_up[1]);
    }
    return err ? err : find_plain(w, r->up, NULL, name, &gate_up[1]);
}

/* Weights or biases of one MLP: gate, up, down. */
static int map_mlp_part(const struct want *w, const struct mlp_roles *r, uint32_t d_ff,
                        struct sl_rows out[3])
{
    const struct sl_config *c = w->config;
    bool bias = w->tail == BIAS;
    char name[SL_NAME_MAX];
    out[0] = out[1] = (struct sl_rows){.rows = d_ff, .cols = bias ? 1 : c->d_model};
    out[2] = (struct sl_rows){.rows = c->d_model, .cols = bias ? 1 : d_ff};
    int err;
    if (c->family == SL_FAMILY_YUAN) {
        role_name(name, w, SL_ROLE_EXPERT_GATE_UP);
        err = map_half(w, name, 0, &out[0]);
        err = err ? err : map_half(w, name, 1, &out[1]);
    } else {
        err = map_separate(w, r, out);
    }
    return err ? err : find_plain(w, r->down, NULL, name, &out[2]);
}

int sl_map_mlp(struct sl_mlp_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
               uint32_t layer, int expert)
{
    static const struct mlp_roles routed = {SL_ROLE_EXPERT_GATE, SL_ROLE_EXPERT_UP,
                                            SL_ROLE_EXPERT_DOWN};
    static const struct mlp_roles shared = {SL_ROLE_SHARED_GATE, SL_ROLE_SHARED_UP,
                                            SL_ROLE_SHARED_DOWN};
    bool is_shared = expert == SL_SHARED_EXPERT;
    const struct mlp_roles *r = is_shared ? &shared : &routed;
    uint32_t d_ff = is_shared ? c->d_ff_shared : c->d_ff;
    struct want w = {.ckpt = ckpt,
                     .config = c,
                     .layer = layer,
                     .expert = is_shared ? 0 : (uint32_t)expert,
                     .tail = WEIGHT};
    struct sl_rows weight[3], bias[3] = {{0}};
    int err = map_mlp_part(&w, r, d_ff, weight);
    w.tail = BIAS;
    if (!err && c->mlp_bias)
        err = map_mlp_part(&w, r, d_ff, bias);
    if (!err)
        *out = (struct sl_mlp_rows){weight[0], weight[1], weight[2], bias[0], bias[1], bias[2]};
    return err;
}
