/* SPDX-License-Identifier: Apache-2.0 */
#include "test_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/checkpoint.h"
#include "temp_file.h"

#define ONE(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
#define FP8(scale_dtype, scale_shape, n)                                                           \
    "{\"w.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"                  \
    "\"w.weight_scale\":{\"dtype\":\"" scale_dtype "\",\"shape\":" scale_shape                     \
    ",\"data_offsets\":[2," n "]}}"

static const float one = 1;

static void put_two_shards(char *dir, size_t cap, const char *index)
{
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, cap), 0);
    temp_safetensors_put(dir, "s1.safetensors", ONE("a"), &one, 4);
    temp_safetensors_put(dir, "s2.safetensors", ONE("b"), &one, 4);
    temp_file_put(dir, "model.safetensors.index.json", index, strlen(index));
}

static void joins_shards_by_their_index(void)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    put_two_shards(dir, sizeof dir,
                   "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"s1.safetensors\","
                   "\"b\":\"s2.safetensors\"}}");
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, dir), 0);
    CU_ASSERT_EQUAL(sl_checkpoint_count(c), 2);
    CU_ASSERT_EQUAL(sl_checkpoint_bytes(c), 8);
    CU_ASSERT_PTR_NOT_NULL(sl_checkpoint_find(c, "a"));
    CU_ASSERT_PTR_NOT_NULL(sl_checkpoint_find(c, "b"));
    CU_ASSERT_PTR_NULL(sl_checkpoint_find(c, "c"));
    CU_ASSERT_STRING_EQUAL(sl_checkpoint_at(c, 1)->name, "b");
    sl_checkpoint_close(&c);
    CU_ASSERT_PTR_NULL(c);
}

static void refuses_indexes_that_lie(void)
{
    static const struct {
        const char *index, *word;
    } cases[] = {
        {"", "index"},
        {"[]", "weight_map"},
        {"{\"weight_map\":[]}", "weight_map"},
        {"{\"weight_map\":{\"a\":5}}", "'a'"},
        {"{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", "../s1"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "/etc/passwd"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "'..'"},
        {"{\"weight_map\":{\"a\":\"\"}}", "'a'"},
        {"{\"weight_map\":{\"a\":\"s3.safetensors\"}}", "s3.safetensors"},
        {"{\"weight_map\":{\"x\":\"s1.safetensors\"}}", "'x'"},
        {"{\"weight_map\":{\"a\":\"s2.safetensors\",\"b\":\"s1.safetensors\"}}",
         "does not hold it"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"a_scale\":\"s1.safetensors\"}}", "'a_scale'"},
        {"{\"weight_map\":{\"a\\n\":\"s1\\n\"}}", "'?'"},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}}", "duplicate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char dir[256];
        struct sl_checkpoint *c = NULL;
        put_two_shards(dir, sizeof dir, cases[i].index);
        CU_ASSERT_NOT_EQUAL(sl_checkpoint_open(&c, dir), 0);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), cases[i].word));
        if (!strstr(sl_error_message(), cases[i].word))
            printf("case %zu: %s\n", i, sl_error_message());
    }
}

static void refuses_a_tensor_in_two_shards(void)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    put_two_shards(dir, sizeof dir,
                   "{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"}}");
    temp_safetensors_put(dir, "s2.safetensors", ONE("a"), &one, 4);
    CU_ASSERT_EQUAL(sl_checkpoint_open(&c, dir), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "two shards"));
}

static void names_missing_and_misshapen_tensors(void)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    const struct sl_tensor *t = NULL;
    uint64_t dim[2] = {1, 7};
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "model.safetensors", ONE("a"), &one, 4);
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, dir), 0);
    CU_ASSERT_EQUAL(sl_checkpoint_need(c, &t, "a", 1, dim), 0);
    CU_ASSERT_PTR_EQUAL(t, sl_checkpoint_find(c, "a"));
    CU_ASSERT_EQUAL(sl_checkpoint_need(c, &t, "a", 2, dim), SL_ERR_SHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "[1], expected [1, 7]"));
    CU_ASSERT_EQUAL(sl_checkpoint_need(c, &t, "q", 2, dim), SL_ERR_SHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "'q' [1, 7] is missing"));
    sl_checkpoint_close(&c);
}

static int open_fp8(const char *header, const void *data, size_t n, float *out)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "model.safetensors", header, data, n);
    int err = sl_checkpoint_open(&c, dir);
    if (!err)
        sl_tensor_read(sl_checkpoint_find(c, "w.weight"), 0, 2, out);
    sl_checkpoint_close(&c);
    return err;
}

static void fp8_weights_take_their_scale(void)
{
    uint8_t data[6] = {0x38, 0xC0}; /* 1 and -2 */
    float scale = 0.375f, out[2];
    memcpy(data + 2, &scale, 4);
    CU_ASSERT_EQUAL_FATAL(open_fp8(FP8("F32", "[]", "6"), data, 6, out), 0);
    CU_ASSERT_EQUAL(out[0], 0.375f);
    CU_ASSERT_EQUAL(out[1], -0.75f);
    CU_ASSERT_EQUAL(open_fp8(FP8("F32", "[1]", "6"), data, 6, out), 0);
}

static void impossible_scales_are_refused(void)
{
    static const uint32_t bad[] = {0x7FC00000, 0x7F800000, 0, 0xBF800000}; /* NaN, inf, 0, -1 */
    uint8_t data[10] = {0x38, 0xC0};
    float out[2];
    for (size_t i = 0; i < 4; i++) {
        memcpy(data + 2, &bad[i], 4);
        CU_ASSERT_EQUAL(open_fp8(FP8("F32", "[]", "6"), data, 6, out), SL_ERR_RANGE);
    }
    CU_ASSERT_EQUAL(open_fp8(FP8("F32", "[2]", "10"), data, 10, out), SL_ERR_SHAPE);
}

static void scales_of_blocks_are_refused(void)
{
    static const char header[] =
        "{\"w.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"w.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[2,6]}}";
    uint8_t data[6] = {0};
    float out[2];
    CU_ASSERT_EQUAL(open_fp8(header, data, 6, out), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "w.weight_scale_inv"));
}

static void fp8_weights_without_a_scale_are_their_codes(void)
{
    static const char header[] =
        "{\"w.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"w.input_scale\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[2,6]}}";
    uint8_t data[6] = {0x38, 0xC0};
    float input_scale = 5, out[2];
    memcpy(data + 2, &input_scale, 4);
    CU_ASSERT_EQUAL_FATAL(open_fp8(header, data, 6, out), 0);
    CU_ASSERT_EQUAL(out[0], 1.0f);
    CU_ASSERT_EQUAL(out[1], -2.0f);
}

static void a_directory_without_weights_is_named(void)
{
    char dir[256];
    struct sl_checkpoint *c = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL(sl_checkpoint_open(&c, dir), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "model.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "pytorch_model.bin"));
    CU_ASSERT(!sl_checkpoint_exists(dir));
    CU_ASSERT_EQUAL(sl_checkpoint_open(&c, "/nonexistent"), SL_ERR_IO);
}

/* The FP8 release's layout, written by an independent program. */
static void golden_fp8_checkpoint_opens(void)
{
    char dir[512];
    struct sl_checkpoint *c = NULL;
    snprintf(dir, sizeof dir, "%s/hunyuan-large-fp8-dequant", sl_golden_dir());
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, dir), 0);
    const struct sl_tensor *w = sl_checkpoint_find(c, "model.layers.0.self_attn.q_proj.weight");
    const struct sl_tensor *s =
        sl_checkpoint_find(c, "model.layers.0.self_attn.q_proj.weight_scale");
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    float scale;
    memcpy(&scale, s->data, 4);
    CU_ASSERT_EQUAL(w->dtype, SL_DTYPE_F8_E4M3);
    CU_ASSERT_EQUAL(w->scale, scale);
    CU_ASSERT_NOT_EQUAL(w->scale, 1.0f);
    CU_ASSERT_EQUAL(sl_checkpoint_find(c, "model.norm.weight")->scale, 1.0f);
    sl_checkpoint_close(&c);
}

const struct sl_suite suite_checkpoint = {
    "checkpoint",
    (const struct sl_case[]){
        {"joins_shards_by_their_index", joins_shards_by_their_index},
        {"refuses_indexes_that_lie", refuses_indexes_that_lie},
        {"refuses_a_tensor_in_two_shards", refuses_a_tensor_in_two_shards},
        {"names_missing_and_misshapen_tensors", names_missing_and_misshapen_tensors},
        {"fp8_weights_take_their_scale", fp8_weights_take_their_scale},
        {"impossible_scales_are_refused", impossible_scales_are_refused},
        {"scales_of_blocks_are_refused", scales_of_blocks_are_refused},
        {"fp8_weights_without_a_scale_are_their_codes",
         fp8_weights_without_a_scale_are_their_codes},
        {"a_directory_without_weights_is_named", a_directory_without_weights_is_named},
        {"golden_fp8_checkpoint_opens", golden_fp8_checkpoint_opens},
        {NULL, NULL}}};
