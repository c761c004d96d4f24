/* SPDX-License-Identifier: Apache-2.0 */
/* FP8 releases: codes that stay what they are, fused tensors with one scale, and what is refused.
 */
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tensor_map.h"
#include "slab_read.h"
#include "store/checkpoint.h"
#include "store/pack.h"
#include "store/slab.h"
#include "store/store.h"
#include "store_rig.h"
#include "temp_file.h"
#include "variant_rig.h"

#define FUSED "quantised/fp8-fused-shards"

static void fused_shards_exact(void)
{
    variant_check_exact(FUSED);
}

static void fused_shards_on_the_fabric(void)
{
    variant_check_fabric(FUSED, "fp8");
}

/* ---- codes ---------------------------------------------------------------------------------- */

/* A tensor of the fused model, in whichever shard it lies. */
static uint8_t *shard_data(const char *name, struct rig_tensor *t, uint8_t **file)
{
    for (int s = 1; s <= 3; s++) {
        char path[RIG_PATH];
        size_t n;
        snprintf(path, sizeof path, "%s/%s/model-%05d-of-00003.safetensors", sl_golden_dir(), FUSED,
                 s);
        if (!rig_find(path, name, t))
            continue;
        *file = rig_read(path, &n);
        return *file + t->offset;
    }
    CU_FAIL_FATAL("no such tensor");
    return NULL;
}

static float shard_scale(const char *name)
{
    char scale[200];
    struct rig_tensor t;
    uint8_t *file;
    float x;
    snprintf(scale, sizeof scale, "%s_scale", name);
    memcpy(&x, shard_data(scale, &t, &file), sizeof x);
    free(file);
    return x;
}

/* Rows [first, first + n) of the tensor are matrix `part` of the slab, code by code. */
struct part {
    const char *name;
    uint32_t first, n;
    unsigned part;
};

static void check_codes(const uint8_t *slab, const struct part *p)
{
    struct rig_tensor t;
    uint8_t *file;
    const uint8_t *code = shard_data(p->name, &t, &file);
    uint32_t columns = (uint32_t)t.dim[1];
    unsigned wrong = 0;
    CU_ASSERT_STRING_EQUAL(t.dtype, "F8_E4M3");
    for (uint32_t r = 0; r < p->n; r++)
        for (uint32_t k = 0; k < columns; k++)
            wrong += sl_test_weight(slab, p->part, r, k).code != code[(p->first + r) * columns + k];
    CU_ASSERT_EQUAL(wrong, 0);
    free(file);

    struct sl_slab h;
    memcpy(&h, slab, sizeof h);
    uint16_t mant[] = {h.mant0, h.mant1, h.mant2};
    int16_t exp[] = {h.exp0, h.exp1, h.exp2};
    CU_ASSERT(mant[p->part] >= 32768);
    double got = ldexp(mant[p->part], exp[p->part] + 9), want = shard_scale(p->name);
    CU_ASSERT(fabs(got - want) <= ldexp(0.5, exp[p->part] + 9));
}

/* Experts and attention in fp8 hold the release's codes; gate and up share the fused scale. */
static void codes_of_fused_tensors_are_kept(void)
{
    char out[RIG_PATH];
    struct sl_store *s = NULL;
    rig_fresh(out, NULL);
    struct sl_convert_params p = {.in_dir = rig_join(sl_golden_dir(), FUSED),
                                  .out_dir = out,
                                  .format = "fp8",
                                  .format_dense = "fp8",
                                  .n_threads = 2};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&s, out), 0);
    static const char gate_up[] = "model.layers.1.mlp.experts.2.gate_and_up_proj.weight";
    static const char shared[] = "model.layers.2.mlp.shared_mlp.gate_and_up_proj.weight";
    static const char down[] = "model.layers.1.mlp.experts.2.down_proj.weight";
    const uint8_t *expert = (const uint8_t *)sl_store_expert(s, 1, 2).header;
    const uint8_t *both = (const uint8_t *)sl_store_shared(s, 2).header;
    check_codes(expert, &(struct part){gate_up, 16, 16, 0});
    check_codes(expert, &(struct part){gate_up, 0, 16, 1});
    check_codes(expert, &(struct part){down, 0, 32, 2});
    check_codes(both, &(struct part){shared, 16, 16, 0});
    check_codes(both, &(struct part){shared, 0, 16, 1});

    /* qkv_proj: per KV head two query heads, the key, the value, of 8 rows each. */
    static const char qkv[] = "model.layers.2.self_attn.qkv_proj.weight";
    const uint8_t *k = (const uint8_t *)sl_store_matrix(s, SL_MATRIX_K, 2).header;
    const uint8_t *q = (const uint8_t *)sl_store_matrix(s, SL_MATRIX_Q, 2).header;
    check_codes(k, &(struct part){qkv, 16, 8, 0});
    check_codes(q, &(struct part){qkv, 0, 16, 0});
    sl_store_close(&s);
}

/* The F32 router loses nothing before it is rounded to its 16 bits. */
static void the_f32_router_is_rounded_once(void)
{
    struct rig_tensor t;
    uint8_t *file;
    char out[RIG_PATH];
    struct sl_store *s = NULL;
    rig_fresh(out, NULL);
    struct sl_convert_params p = {
        .in_dir = rig_join(sl_golden_dir(), FUSED), .out_dir = out, .n_threads = 1};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&s, out), 0);
    const uint8_t *slab = (const uint8_t *)sl_store_router(s, 0).header;
    const uint8_t *data = shard_data("model.layers.0.mlp.gate.wg.weight", &t, &file);
    CU_ASSERT_STRING_EQUAL(t.dtype, "F32");
    double worst = 0;
    unsigned fine = 0;
    for (uint32_t r = 0; r < t.dim[0]; r++) {
        float row[32], top = 0;
        CU_ASSERT_EQUAL_FATAL(t.dim[1], 32);
        memcpy(row, data + r * sizeof row, sizeof row);
        for (unsigned k = 0; k < 32; k++)
            top = fmaxf(top, fabsf(row[k]));
        double step = ldexp(1, ilogbf(top) - 14);
        for (unsigned k = 0; k < 32; k++) {
            double got = sl_test_weight(slab, 0, r, k).weight;
            worst = fmax(worst, fabs(got - (double)row[k]) / step);
            uint32_t bits;
            memcpy(&bits, &row[k], sizeof bits);
            fine += (bits & 0xFFFF) != 0; /* more than BF16 holds */
        }
    }
    CU_ASSERT(worst > 0 && worst <= 1);
    CU_ASSERT(fine > 64);
    free(file);
    sl_store_close(&s);
}

/* A NaN code is met in every format, and named. */
static void nan_codes_are_named(void)
{
    static const char name[] = "model.layers.1.mlp.experts.3.up_proj.weight";
    static const char *const format[] = {"fp8", "q8", "nf4"};
    for (size_t i = 0; i < 3; i++) {
        char dir[RIG_PATH], path[RIG_PATH + 20];
        struct rig_tensor t;
        rig_fresh(dir, rig_join(sl_golden_dir(), "hunyuan-large-fp8-dequant"));
        snprintf(path, sizeof path, "%s/model.safetensors", dir);
        CU_ASSERT_FATAL(rig_find(path, name, &t));
        size_t n;
        uint8_t *data = rig_read(path, &n);
        data[t.offset + 3 * t.dim[1] + 5] = i ? 0xFF : 0x7F;
        rig_write(path, data, n);
        free(data);
        struct sl_model *m = NULL;
        struct sl_model_params mp = {.path = dir, .format = format[i], .n_threads = 2};
        CU_ASSERT_EQUAL(sl_model_open(&m, &mp), SL_ERR_RANGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), name));
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "[3, 5] is NaN"));
    }
}

/* ---- distance ------------------------------------------------------------------------------- */

static double log_sum(const float *x, uint32_t n, double top)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    return top + log(sum);
}

/* KL(want || got) of one row, in nats. */
static double divergence(const float *want, const float *got, uint32_t n)
{
    double a = want[0], b = got[0], kl = 0;
    for (uint32_t i = 0; i < n; i++) {
        a = fmax(a, (double)want[i]);
        b = fmax(b, (double)got[i]);
    }
    a = log_sum(want, n, a);
    b = log_sum(got, n, b);
    for (uint32_t i = 0; i < n; i++)
        kl += exp((double)want[i] - a) * (((double)want[i] - a) - ((double)got[i] - b));
    return kl;
}

/* From the logits of the authors' code on the dequantised weights; what it prints is in
 * docs/measurements.md. */
static void logits_stay_near_the_reference(void)
{
    static const char *const format[][2] = {{"fp8", "fp8"}, {"fp8", "q8"}, {"q8", "q8"}};
    static const char name[] = "hunyuan-large-fp8-dequant";
    struct variant_rig r;
    size_t n;
    variant_open(&r, name);
    const float *want = golden_f32(&r.g, "logits", &n);
    CU_ASSERT_FATAL(want && n == r.n * r.n_vocab);
    for (size_t f = 0; f < 3; f++) {
        struct sl_model_params mp = {
            .path = r.path, .format = format[f][0], .format_dense = format[f][1], .n_threads = 2};
        struct sl_session_params sp = {.n_ctx = 64};
        float *got = variant_run(&r, &mp, &sp, 5);
        double sum = 0, worst = 0;
        for (size_t t = 0; t < r.n; t++) {
            double kl = divergence(want + t * r.n_vocab, got + t * r.n_vocab, r.n_vocab);
            sum += kl;
            worst = fmax(worst, kl);
        }
        printf("[%s, dense %s: mean KL %.5f, worst %.5f] ", format[f][0], format[f][1],
               sum / (double)r.n, worst);
        CU_ASSERT(sum > 0 && sum / (double)r.n < 0.02);
        free(got);
    }
    variant_close(&r);
}

/* ---- what is refused ------------------------------------------------------------------------ */

#define F8(name, at) "\"" name "\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,2],\"data_offsets\":" at "}"
#define F32(name, at) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":" at "}"
#define BF16(name, at) "\"" name "\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":" at "}"
#define WEIGHT F8("a.weight", "[0,4]")
#define SCALE F32("a.weight_scale", "[4,8]")
#define FP8(more) "{\"quantization_config\":{\"quant_method\":\"fp8\"" more "}}"
#define STATIC FP8(",\"activation_scheme\":\"static\",\"ignored_layers\":[\"lm_head\",\"gate.wg\"]")

struct release {
    const char *config, *header;
    float value[2]; /* behind the four codes */
    int code;       /* 0: opens */
    const char *word;
};

static void open_release(const struct release *r)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    uint8_t data[12] = {0x38, 0xC0, 0, 0x7E};
    size_t n = strstr(r->header, ",12]") ? 12 : strstr(r->header, "[4,8]") ? 8 : 4;
    memcpy(data + 4, r->value, 8);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "model.safetensors", r->header, data, n);
    temp_file_put(dir, "config.json", r->config, strlen(r->config));
    int err = sl_checkpoint_open(&c, dir);
    bool told = err == 0 || strstr(sl_error_message(), r->word) != NULL;
    CU_ASSERT_EQUAL(err, r->code);
    CU_ASSERT(told);
    if (err != r->code || !told)
        printf("[want '%s', got %d: %s] ", r->word, err, err ? sl_error_message() : "");
    sl_checkpoint_close(&c);
}

static void configuration_and_files_must_agree(void)
{
    static const struct release list[] = {
        {STATIC, "{" WEIGHT "," SCALE "}", {0.5f}, 0, ""},
        {FP8(""), "{" WEIGHT "," SCALE "}", {0.5f}, 0, ""},
        {FP8(",\"activation_scheme\":\"dynamic\""), "{" WEIGHT "," SCALE "}", {0.5f}, 0, ""},
        {FP8(",\"activation_scheme\":\"token\""),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_UNSUPPORTED,
         "'activation_scheme' is \"token\""},
        {FP8(",\"fmt\":\"e5m2\""), "{" WEIGHT "," SCALE "}", {0.5f}, SL_ERR_UNSUPPORTED, "e5m2"},
        {FP8(",\"weight_block_size\":[128,128]"),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_UNSUPPORTED,
         "'weight_block_size' is [128,128]"},
        {FP8(",\"ignored_layers\":\"a\""),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_FORMAT,
         "ignored_layers"},
        {FP8(",\"ignored_layers\":[7]"),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_FORMAT,
         "ignored_layers"},
        {FP8(",\"ignored_layers\":[\"re:.*\"]"),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_UNSUPPORTED,
         "re:.*"},
        {FP8(",\"ignored_layers\":[\"a\"]"),
         "{" WEIGHT "," SCALE "}",
         {0.5f},
         SL_ERR_FORMAT,
         "'a.weight' is F8_E4M3, but ignored_layers names it"},
        {STATIC, "{" WEIGHT "}", {0}, SL_ERR_SHAPE, "'a.weight_scale' is missing"},
        {STATIC,
         "{" BF16("a.weight", "[0,4]") "}",
         {0},
         SL_ERR_FORMAT,
         "'a.weight' is BF16, but ignored_layers does not name it"},
        {STATIC, "{" BF16("gate.wg.weight", "[0,4]") "}", {0}, 0, ""},
        {STATIC, "{" BF16("gate.wgx.weight", "[0,4]") "}", {0}, SL_ERR_FORMAT, "gate.wgx"},
        {STATIC, "{" BF16("model.embed_tokens.weight", "[0,4]") "}", {0}, 0, ""},
        {"{}", "{" BF16("a.weight", "[0,4]") "," SCALE "}", {1}, SL_ERR_FORMAT, "is BF16"},
        {"{}", "{" F8("b.weight", "[0,4]") "," SCALE "}", {1}, SL_ERR_FORMAT, "is missing"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        open_release(&list[i]);
}

static void other_scales_are_checked(void)
{
#define WITH(name) "{" WEIGHT "," SCALE "," F32(name, "[8,12]") "}"
    static const struct release list[] = {
        {STATIC, WITH("a.input_scale"), {1, 0.25f}, 0, ""},
        {STATIC, WITH("a.input_scale"), {1, 0}, SL_ERR_RANGE, "'a.input_scale' is 0"},
        {STATIC, WITH("a.input_scale"), {1, -1}, SL_ERR_RANGE, "'a.input_scale' is -1"},
        {STATIC, WITH("a.input_scale"), {1, NAN}, SL_ERR_RANGE, "'a.input_scale' is"},
        {STATIC, WITH("a.input_scale"), {1, INFINITY}, SL_ERR_RANGE, "'a.input_scale' is inf"},
        {STATIC,
         "{" WEIGHT ",\"a.input_scale\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         {1, 1},
         SL_ERR_SHAPE,
         "'a.input_scale' has 2 elements"},
        {STATIC,
         "{" WEIGHT
         ",\"a.weight_scale\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[4,12]}}",
         {1, 1},
         SL_ERR_SHAPE,
         "'a.weight_scale' has 2 elements"},
        {STATIC, WITH("self_attn.k_scale"), {1, 1}, 0, ""},
        {STATIC, WITH("self_attn.k_scale"), {1, 2}, SL_ERR_UNSUPPORTED, "k_scale' is 2"},
        {STATIC, WITH("self_attn.v_scale"), {1, 0.5f}, SL_ERR_UNSUPPORTED, "v_scale' is 0.5"},
        {STATIC, WITH("self_attn.kv_scale"), {1, NAN}, SL_ERR_UNSUPPORTED, "kv_scale' is"},
        {STATIC, WITH("k_proj.output_scale"), {1, 3}, SL_ERR_UNSUPPORTED, "output_scale' is 3"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        open_release(&list[i]);
}

const struct sl_suite suite_fp8_release = {
    "fp8_release",
    (const struct sl_case[]){
        {"fused_tensors_with_one_scale_in_shards_equal_float64", fused_shards_exact},
        {"fused_tensors_on_the_fabric_do_not_depend_on_chunks", fused_shards_on_the_fabric},
        {"codes_of_fused_tensors_are_kept", codes_of_fused_tensors_are_kept},
        {"the_f32_router_is_rounded_once", the_f32_router_is_rounded_once},
        {"nan_codes_are_named", nan_codes_are_named},
        {"logits_stay_near_the_reference", logits_stay_near_the_reference},
        {"configuration_and_files_must_agree", configuration_and_files_must_agree},
        {"other_scales_are_checked", other_scales_are_checked},
        {NULL, NULL}}};
