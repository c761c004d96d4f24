/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fp8_release.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { NAME = 512 };

static bool ends_with(const char *name, const char *tail)
{
    size_t n = strlen(name), k = strlen(tail);
    return n > k && !strcmp(name + n - k, tail);
}

static int read_scalar(const struct sl_tensor *t, float *out)
{
    if (t->n_elem != 1 || t->dtype == SL_DTYPE_I32)
        return sl_fail(SL_ERR_SHAPE, "one scale per tensor is read",
                       "tensor '%.200s' has %" PRIu64 " elements of %s, expected one number",
                       t->name, t->n_elem, sl_dtype_name(t->dtype));
    sl_tensor_read(t, 0, 1, out);
    return 0;
}

/* It is not applied, but a value that cannot be right shows that the file is damaged. */
static int check_input_scale(const struct sl_tensor *t)
{
    float x;
    int err = read_scalar(t, &x);
    if (err || (isfinite(x) && x > 0))
        return err;
    return sl_fail(SL_ERR_RANGE, "copy the file again", "tensor '%.200s' is %g", t->name,
                   (double)x);
}

/* Scales of the attention's own quantisation: the KV cache here has others, so only 1 is harmless.
 */
static bool is_attention_scale(const char *name)
{
    static const char *const tails[] = {".k_scale", ".v_scale",    ".kv_scale",
                                        ".q_scale", ".prob_scale", ".output_scale"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        if (ends_with(name, tails[i]))
            return true;
    return false;
}

static int check_attention_scale(const struct sl_tensor *t)
{
    float x;
    int err = read_scalar(t, &x);
    if (err || x == 1)
        return err;
    return sl_fail(SL_ERR_UNSUPPORTED, "only the scale 1 of keys, values and outputs is read",
                   "tensor '%.200s' is %g", t->name, (double)x);
}

/* What has a scale must be F8: on another tensor it would silently not be applied. */
static int check_weight_scale(const struct sl_checkpoint *c, const struct sl_tensor *scale)
{
    char name[NAME];
    size_t n = strlen(scale->name) - strlen("_scale");
    if (n >= sizeof name)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)n, scale->name);
    const struct sl_tensor *w = sl_checkpoint_find(c, name);
    if (w && w->dtype == SL_DTYPE_F8_E4M3)
        return 0;
    return sl_fail(SL_ERR_FORMAT, "copy the release again",
                   "tensor '%.200s' belongs to no F8_E4M3 tensor: '%.200s' is %s", scale->name,
                   name, w ? sl_dtype_name(w->dtype) : "missing");
}

/* A matrix that multiplies: embeddings are looked up, norms and biases are vectors. */
static bool is_linear(const struct sl_tensor *t)
{
    return t->n_dim == 2 && ends_with(t->name, ".weight") && !strstr(t->name, "embed_tokens");
}

static int check_linear(const struct sl_checkpoint *c, const struct sl_quant_config *q,
                        const struct sl_tensor *t)
{
    char name[NAME];
    size_t n = strlen(t->name) - strlen(".weight");
    if (n >= sizeof name - sizeof ".weight_scale")
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)n, t->name);
    bool ignored = sl_quant_ignores(q, name), is_f8 = t->dtype == SL_DTYPE_F8_E4M3;
    if (ignored && is_f8)
        return sl_fail(SL_ERR_FORMAT, "config.json is of another export",
                       "tensor '%.200s' is F8_E4M3, but ignored_layers names it", t->name);
    if (!ignored && !is_f8)
        return sl_fail(SL_ERR_FORMAT, "add it to ignored_layers if it is meant to be so",
                       "tensor '%.200s' is %s, but ignored_layers does not name it", t->name,
                       sl_dtype_name(t->dtype));
    snprintf(name, sizeof name, "%s_scale", t->name);
    if (is_f8 && !sl_checkpoint_find(c, name))
        return sl_fail(SL_ERR_SHAPE, "the checkpoint is incomplete", "tensor '%.200s' is missing",
                       name);
    return 0;
}

static int check_tensor(const struct sl_checkpoint *c, const struct sl_quant_config *q,
                        const struct sl_tensor *t)
{
    if (ends_with(t->name, ".input_scale"))
        return check_input_scale(t);
    if (ends_with(t->name, ".weight_scale"))
        return check_weight_scale(c, t);
    if (is_attention_scale(t->name))
        return check_attention_scale(t);
    return q->method == SL_QUANT_FP8 && is_linear(t) ? check_linear(c, q, t) : 0;
}

int sl_fp8_check(const struct sl_checkpoint *c, const struct sl_quant_config *q)
{
    int err = 0;
    for (size_t i = 0; !err && i < sl_checkpoint_count(c); i++)
        err = check_tensor(c, q, sl_checkpoint_at(c, i));
    return err;
}
