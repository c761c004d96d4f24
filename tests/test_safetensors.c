/* SPDX-License-Identifier: Apache-2.0 */
/* The reader against hand-made files: what is right is read, everything else is refused with a
 * reason. */
#include "test_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/safetensors.h"
#include "temp_file.h"

static const float two[2] = {1.5f, -2.0f};

static void reads_names_shapes_and_data(void)
{
    char dir[256];
    struct sl_safetensors st;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[3,1],\"data_offsets\":[8,11]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"s\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[11,13]}}";
    uint8_t data[13] = {0};
    memcpy(data, two, 8);
    data[8] = 0x38; /* 1.0 */
    data[11] = 0x80, data[12] = 0x3F;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "x", header, data, sizeof data);
    CU_ASSERT_EQUAL_FATAL(sl_safetensors_open(&st, temp_path(dir, "x")), 0);
    CU_ASSERT_EQUAL_FATAL(st.n_tensor, 3);
    CU_ASSERT_STRING_EQUAL(st.tensor[0].name, "a");
    CU_ASSERT_EQUAL(st.tensor[0].n_dim, 1);
    CU_ASSERT_EQUAL(st.tensor[1].n_elem, 3);
    CU_ASSERT_EQUAL(st.tensor[1].dtype, SL_DTYPE_F8_E4M3);
    CU_ASSERT_EQUAL(st.tensor[2].n_elem, 1);
    float out[2];
    sl_tensor_read(&st.tensor[0], 0, 2, out);
    CU_ASSERT_EQUAL(memcmp(out, two, sizeof two), 0);
    sl_tensor_read(&st.tensor[1], 0, 1, out);
    CU_ASSERT_EQUAL(out[0], 1.0f);
    sl_tensor_read(&st.tensor[2], 0, 1, out);
    CU_ASSERT_EQUAL(out[0], 1.0f);
    sl_safetensors_close(&st);
}

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* Header, bytes of data, words that the message must contain. */
static const struct refusal {
    const char *header;
    size_t n;
    const char *word;
} refusals[] = {
    {"", 0, "header"},
    {"[]", 0, "not an object"},
    {"{", 0, "header"},
    {"{\"a\":1}", 0, "wrong type"},
    {"{\"a\":{}}", 0, "missing"},
    {"{" T("a", "F32", "[2]", "[0,8]") "," T("a", "F32", "[2]", "[0,8]") "}", 8, "duplicate"},
    {"{" T("a", "F64", "[1]", "[0,8]") "}", 8, "F64"},
    {"{" T("a", "F32", "[2]", "[0,4]") "}", 4, "do not fit"},
    {"{" T("a", "F32", "[2]", "[0,8]") "}", 7, "leave the file"},
    {"{" T("a", "F32", "[2]", "[0,8]") "}", 9, "behind the last"},
    {"{" T("a", "F32", "[2]", "[8,0]") "}", 8, "leave the file"},
    {"{" T("a", "F32", "[2]", "[-8,0]") "}", 8, "leave the file"},
    {"{" T("a", "F32", "[-2]", "[0,8]") "}", 8, "shape"},
    {"{" T("a", "F32", "[1.0]", "[0,4]") "}", 4, "shape"},
    {"{" T("a", "F32", "2", "[0,8]") "}", 8, "shape"},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, "shape"},
    {"{" T("a", "F32", "[4294967296,4294967296]", "[0,8]") "}", 8, "shape"},
    {"{" T("a", "F32", "[4611686018427387904]", "[0,8]") "}", 8, "do not fit"},
    {"{" T("a", "F32", "[9223372036854775808]", "[0,8]") "}", 8, "header"},
    {"{" T("a", "F32", "[2]", "[0,8,16]") "}", 8, "missing"},
    {"{" T("a", "F32", "[2]", "[\"0\",\"8\"]") "}", 8, "missing"},
    {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[1]", "[4,8]") "}", 8, "overlaps"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[8,12]") "}", 12, "gap"},
    {"{" T("a", "F32", "[1]", "[4,8]") "}", 8, "gap"},
    {"{" T("a", "F32\\n", "[1]", "[0,4]") "}", 4, "'?'"},
    {"{\"a\\nb\":{}}", 0, "control characters"},
    {"{\"\\\n\":{}}", 0, "header"},
    {"{\"\\ud800\":{}}", 0, "header"},
    {"{\"a\\u0000b\":{}}", 0, "header"},
    {"{\"\xff\":{}}", 0, "header"},
};

static void refuses_headers_that_lie(void)
{
    char dir[256];
    const uint8_t data[16] = {0};
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct sl_safetensors st;
        temp_safetensors_put(dir, "bad", refusals[i].header, data, refusals[i].n);
        int err = sl_safetensors_open(&st, temp_path(dir, "bad"));
        CU_ASSERT(err == SL_ERR_FORMAT || err == SL_ERR_UNSUPPORTED);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), refusals[i].word));
        CU_ASSERT_PTR_NULL(strchr(sl_error_message(), '\n'));
        if (!strstr(sl_error_message(), refusals[i].word))
            printf("case %zu: %s\n", i, sl_error_message());
    }
}

static void refuses_deep_nesting(void)
{
    enum { DEPTH = 100000 };
    char dir[256], *text = malloc(DEPTH + 16);
    struct sl_safetensors st;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    text[5 + DEPTH] = 0;
    temp_safetensors_put(dir, "deep", text, NULL, 0);
    CU_ASSERT_EQUAL(sl_safetensors_open(&st, temp_path(dir, "deep")), SL_ERR_FORMAT);
    free(text);
}

static void refuses_impossible_lengths_and_truncation(void)
{
    char dir[256];
    struct sl_safetensors st;
    static const uint64_t lengths[] = {1, 3, 1u << 30, 1ull << 62, UINT64_MAX};
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    for (size_t i = 0; i < 5; i++) {
        uint8_t raw[10] = {0};
        memcpy(raw, &lengths[i], 8);
        memcpy(raw + 8, "{}", 2);
        temp_file_put(dir, "t", raw, sizeof raw);
        CU_ASSERT_EQUAL(sl_safetensors_open(&st, temp_path(dir, "t")), SL_ERR_FORMAT);
    }
    for (size_t n = 0; n < 8; n++) {
        temp_file_put(dir, "t", "\2\0\0\0\0\0\0\0", n);
        CU_ASSERT_EQUAL(sl_safetensors_open(&st, temp_path(dir, "t")), SL_ERR_FORMAT);
    }
}

static void empty_tensors_take_no_room(void)
{
    char dir[256];
    struct sl_safetensors st;
    static const char header[] = "{" T("e", "F32", "[0,7]", "[4,4]") "," T(
        "a", "F32", "[1]", "[0,4]") "," T("f", "BF16", "[3,0]", "[0,0]") "}";
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "x", header, two, 4);
    CU_ASSERT_EQUAL_FATAL(sl_safetensors_open(&st, temp_path(dir, "x")), 0);
    CU_ASSERT_EQUAL(st.n_tensor, 3);
    CU_ASSERT_STRING_EQUAL(st.tensor[1].name, "a");
    CU_ASSERT_EQUAL(st.tensor[2].n_elem, 0);
    sl_safetensors_close(&st);
}

/* Every prefix of a good file is refused. */
static void refuses_every_truncation(void)
{
    char dir[256];
    struct sl_safetensors st;
    static const char header[] = "{" T("a", "F32", "[2]", "[0,8]") "}";
    uint8_t whole[128] = {sizeof header - 1};
    memcpy(whole + 8, header, sizeof header - 1);
    size_t size = 8 + sizeof header - 1 + 8;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    for (size_t n = 0; n < size; n++) {
        temp_file_put(dir, "t", whole, n);
        CU_ASSERT_EQUAL(sl_safetensors_open(&st, temp_path(dir, "t")), SL_ERR_FORMAT);
    }
    temp_file_put(dir, "t", whole, size);
    CU_ASSERT_EQUAL_FATAL(sl_safetensors_open(&st, temp_path(dir, "t")), 0);
    sl_safetensors_close(&st);
}

static void names_what_it_cannot_open(void)
{
    char dir[256];
    struct sl_safetensors st;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL(sl_safetensors_open(&st, temp_path(dir, "none")), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "none"));
    CU_ASSERT_EQUAL(sl_safetensors_open(&st, dir), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "regular"));
}

const struct sl_suite suite_safetensors = {
    "safetensors",
    (const struct sl_case[]){
        {"reads_names_shapes_and_data", reads_names_shapes_and_data},
        {"refuses_headers_that_lie", refuses_headers_that_lie},
        {"refuses_deep_nesting", refuses_deep_nesting},
        {"refuses_impossible_lengths_and_truncation", refuses_impossible_lengths_and_truncation},
        {"empty_tensors_take_no_room", empty_tensors_take_no_room},
        {"refuses_every_truncation", refuses_every_truncation},
        {"names_what_it_cannot_open", names_what_it_cannot_open},
        {NULL, NULL}}};
