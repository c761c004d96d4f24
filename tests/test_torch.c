/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that torch.save wrote (make_torch.py): every tensor has the bytes that its twin in a
 * safetensors file has, whatever view of which storage it is. */
#include "test_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_rig.h"
#include "sluice.h"
#include "store/checkpoint.h"
#include "store/torch_file.h"
#include "store_rig.h"
#include "temp_file.h"
#include "zip_rig.h"

static const char *golden(const char *name)
{
    static char path[2][RIG_PATH];
    static unsigned next;
    char *out = path[next++ % 2];
    snprintf(out, RIG_PATH, "%s/%s", sl_golden_dir(), name);
    return out;
}

/* The tensor of the same name in a safetensors file has the same type, shape and bytes. */
static bool is_twin(const struct sl_tensor *t, const char *path)
{
    struct rig_tensor want;
    size_t n;
    if (!rig_find(path, t->name, &want))
        return false;
    uint8_t *file = rig_read(path, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_STRING_EQUAL(sl_dtype_name(t->dtype), want.dtype);
    CU_ASSERT_EQUAL(t->n_dim, want.n_dim);
    CU_ASSERT_EQUAL(memcmp(t->dim, want.dim, t->n_dim * sizeof t->dim[0]), 0);
    CU_ASSERT_EQUAL_FATAL(t->n_bytes, want.bytes);
    const bool same = !memcmp(t->data, file + want.offset, t->n_bytes);
    if (!same)
        printf("\n  %s differs\n", t->name);
    CU_ASSERT(same);
    free(file);
    return true;
}

static void check_views(const char *name)
{
    enum { N_TENSOR = 16, N_COPY = 5 };
    struct sl_torch_file f;
    size_t n_copy = 0;
    CU_ASSERT_EQUAL_FATAL(sl_torch_file_open(&f, golden(name)), 0);
    CU_ASSERT_EQUAL(f.n_tensor, N_TENSOR);
    for (size_t i = 0; i < f.n_tensor; i++) {
        sl_tensor_release(&f.tensor[i]); /* of what it lies in, copies must stay */
        CU_ASSERT(is_twin(&f.tensor[i], golden("torch/views.safetensors")));
        CU_ASSERT_EQUAL(f.tensor[i].scale, 1.0f);
        n_copy += f.tensor[i].is_copy;
    }
    CU_ASSERT_EQUAL(n_copy, N_COPY);
    CU_ASSERT_EQUAL(f.n_unread, 3);
    CU_ASSERT_STRING_EQUAL(sl_torch_file_unread(&f, "int64"), "int64");
    CU_ASSERT_STRING_EQUAL(sl_torch_file_unread(&f, "double"), "float64");
    CU_ASSERT_STRING_EQUAL(sl_torch_file_unread(&f, "flag"), "bool");
    CU_ASSERT_PTR_NULL(sl_torch_file_unread(&f, "whole"));
    CU_ASSERT_PTR_NULL(sl_torch_file_unread(&f, "inner"));
    sl_torch_file_close(&f);
}

static void views_have_the_values_of_their_twins(void)
{
    check_views("torch/views-protocol2.bin");
}

static void protocol_4_says_the_same(void)
{
    check_views("torch/views-protocol4.bin");
}

static void contiguous_views_of_one_storage_lie_in_one_place(void)
{
    struct sl_torch_file f;
    const uint8_t *whole = NULL, *tied = NULL, *rows = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_torch_file_open(&f, golden("torch/views-protocol2.bin")), 0);
    for (size_t i = 0; i < f.n_tensor; i++) {
        const struct sl_tensor *t = &f.tensor[i];
        const bool inside = t->data >= f.map.data && t->data < f.map.data + f.map.size;
        CU_ASSERT_EQUAL(inside, !t->is_copy);
        whole = strcmp(t->name, "whole") ? whole : t->data;
        tied = strcmp(t->name, "tied") ? tied : t->data;
        rows = strcmp(t->name, "rows") ? rows : t->data;
    }
    CU_ASSERT(whole && whole == tied && rows == whole + 2 * 10 * 4);
    sl_torch_file_close(&f);
}

static void shards_hold_what_their_safetensors_twins_hold(void)
{
    struct sl_checkpoint *c = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, golden("torch/shards")), 0);
    CU_ASSERT(sl_checkpoint_count(c) > 50);
    for (size_t i = 0; i < sl_checkpoint_count(c); i++) {
        unsigned found = 0;
        for (int s = 1; s <= 3; s++) {
            char path[RIG_PATH];
            snprintf(path, sizeof path, "%s/model-%05d-of-00003.safetensors",
                     golden("variants/bf16-shards-untied"), s);
            found += is_twin(sl_checkpoint_at(c, i), path);
        }
        CU_ASSERT_EQUAL(found, 1);
    }
    sl_checkpoint_close(&c);
}

static void a_single_file_holds_tied_and_shared_tensors_and_parameters(void)
{
    struct sl_checkpoint *c = NULL;
    size_t twins = 0;
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, golden("torch/single")), 0);
    for (size_t i = 0; i < sl_checkpoint_count(c); i++)
        twins += is_twin(sl_checkpoint_at(c, i), golden("variants/yuan-top1/model.safetensors"));
    CU_ASSERT_EQUAL(twins + 1, sl_checkpoint_count(c)); /* all but inv_freq */
    CU_ASSERT_PTR_EQUAL(sl_checkpoint_find(c, "lm_head.weight")->data,
                        sl_checkpoint_find(c, "model.embed_tokens.weight")->data);
    CU_ASSERT(sl_checkpoint_find(c, "model.layers.0.self_attn.o_proj.weight")->is_copy);
    sl_checkpoint_close(&c);
}

static void a_type_that_is_not_read_hinders_only_who_wants_it(void)
{
    struct sl_checkpoint *c = NULL;
    const struct sl_tensor *t = NULL;
    const uint64_t dim = 8;
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, golden("torch/single")), 0);
    CU_ASSERT_PTR_NULL(sl_checkpoint_find(c, "model.position_ids"));
    CU_ASSERT_EQUAL(sl_checkpoint_need(c, &t, "model.position_ids", 1, &dim), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "'model.position_ids' has type int64"));
    sl_checkpoint_close(&c);
}

/* The third form of a tensor: bytes, and a type of its own (FP8). */
#define V3(type, size)                                                                             \
    "ctorch._utils\n_rebuild_tensor_v3\n("                                                         \
    "(" PKL_SHORT7("storage") "ctorch.storage\nUntypedStorage\n" PKL_SHORT1("0")                   \
        PKL_SHORT3("cpu") "K\100tQ"                                                                \
                          "K\2"                                                                    \
                          "K" size "\205K\1\205\211" PKL_NO_HOOKS "ctorch\n" type "\ntR"

static void fp8_tensors_are_views_of_bytes(void)
{
    static const char pickle[] = "\200\2}(" PKL_SHORT1("a") V3("float8_e4m3fn", "\76")
        PKL_SHORT1("b") V3("float8_e5m2", "\1") "u.";
    char dir[RIG_PATH];
    struct sl_torch_file f;
    float got[2];
    rig_fresh(dir, NULL);
    torch_rig_put(rig_join(dir, "x"), pickle, sizeof pickle - 1);
    CU_ASSERT_EQUAL_FATAL(sl_torch_file_open(&f, rig_join(dir, "x")), 0);
    CU_ASSERT_EQUAL_FATAL(f.n_tensor, 1);
    CU_ASSERT_EQUAL(f.tensor[0].dtype, SL_DTYPE_F8_E4M3);
    CU_ASSERT_EQUAL(f.tensor[0].n_bytes, 62);
    CU_ASSERT_EQUAL(f.tensor[0].data[0], 2);
    sl_tensor_read(&f.tensor[0], 0x38 - 2, 2, got);
    CU_ASSERT_EQUAL(got[0], 1.0f);
    CU_ASSERT_EQUAL(got[1], 1.125f);
    CU_ASSERT_STRING_EQUAL(sl_torch_file_unread(&f, "b"), "float8_e5m2");
    sl_torch_file_close(&f);
}

/* More than 4 GiB: a storage past 32 bits of place, another past 32 bits of size, elements that
 * take a LONG1 to count. Holes take no room on the disk. */
static void files_past_4_gib_are_read(void)
{
    static const char pickle[] = "\200\2}(" PKL_SHORT1("a")
        PKL_TENSOR(PKL_STORAGE("torch\nFloatStorage", PKL_SHORT1("0"), "K\2"), "K\1", "K\1\205",
                   "K\1\205") PKL_SHORT1("b")
            PKL_TENSOR(PKL_STORAGE("torch\nBFloat16Storage", PKL_SHORT1("1"), "\212\5\0\0\0\0\1"),
                       "\212\4\377\377\377\177", "K\2\205", "K\1\205") "u.";
    static const float two[2] = {1, -7.5f};
    char dir[RIG_PATH];
    struct zip_rig z;
    struct sl_torch_file f;
    float got[2];
    rig_fresh(dir, NULL);
    zip_rig_open(&z, rig_join(dir, "x"));
    zip_rig_add(&z, "x/data.pkl", pickle, sizeof pickle - 1);
    zip_rig_add_zeros(&z, "x/data/1", 2ull << 32);
    zip_rig_add(&z, "x/data/0", two, sizeof two);
    zip_rig_close(&z);
    const int err = sl_torch_file_open(&f, rig_join(dir, "x"));
    if (err)
        printf("\n  %s\n", sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL_FATAL(f.n_tensor, 2);
    sl_tensor_read(&f.tensor[0], 0, 1, got);
    CU_ASSERT_EQUAL(got[0], -7.5f);
    CU_ASSERT_EQUAL(f.tensor[1].data - f.map.data > INT32_MAX, true);
    sl_tensor_read(&f.tensor[1], 0, 2, got);
    CU_ASSERT(got[0] == 0 && got[1] == 0);
    sl_torch_file_close(&f);
    unlink(rig_join(dir, "x"));
}

static void safetensors_is_read_where_both_are_there(void)
{
    char dir[RIG_PATH];
    struct sl_checkpoint *c = NULL;
    rig_fresh(dir, golden("torch/single"));
    temp_safetensors_put(dir, "model.safetensors",
                         "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                         "\0\0\0", 4);
    CU_ASSERT(sl_checkpoint_exists(dir));
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, dir), 0);
    CU_ASSERT_EQUAL(sl_checkpoint_count(c), 1);
    sl_checkpoint_close(&c);
}

static void info_counts_the_bytes_of_its_files(void)
{
    static struct cli_result r;
    char line[2 * RIG_PATH], want[64];
    uint64_t bytes = 0;
    for (int s = 1; s <= 3; s++) {
        struct stat st;
        snprintf(line, sizeof line, "%s/pytorch_model-%05d-of-00003.bin", golden("torch/shards"),
                 s);
        CU_ASSERT_EQUAL_FATAL(stat(line, &st), 0);
        bytes += (uint64_t)st.st_size;
    }
    snprintf(line, sizeof line, "info %s --json", golden("torch/shards"));
    snprintf(want, sizeof want, "\"weight_bytes\":%llu,", (unsigned long long)bytes);
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, want));
}

static void converts_into_the_same_files_as_its_twin(void)
{
    char from_torch[RIG_PATH], from_twin[RIG_PATH];
    struct sl_convert_params p = {.format = "nf4", .format_dense = "q8", .n_threads = 2};
    rig_fresh(from_torch, NULL);
    rig_fresh(from_twin, NULL);
    p.in_dir = golden("torch/shards");
    p.out_dir = from_torch;
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    p.in_dir = golden("variants/bf16-shards-untied");
    p.out_dir = from_twin;
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT(rig_same_dirs(from_torch, from_twin));
}

static void a_conversion_does_not_replace_a_torch_checkpoint(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, golden("torch/single"));
    const struct sl_convert_params p = {.in_dir = golden("torch/shards"), .out_dir = dir};
    CU_ASSERT_EQUAL(sl_convert(&p, NULL), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "holds a checkpoint"));
}

/* A copy of the shards with another index. */
static int open_with_index(const char *index)
{
    char dir[RIG_PATH];
    struct sl_checkpoint *c = NULL;
    rig_fresh(dir, golden("torch/shards"));
    rig_write(rig_join(dir, "pytorch_model.bin.index.json"), index, strlen(index));
    const int err = sl_checkpoint_open(&c, dir);
    sl_checkpoint_close(&c);
    return err;
}

static void indexes_of_torch_shards_are_checked(void)
{
#define SHARD(n) "pytorch_model-0000" n "-of-00003.bin"
    static const struct {
        const char *index, *word;
    } cases[] = {
        {"{\"weight_map\":{\"lm_head.weight\":\"../" SHARD("1") "\"}}", "../"},
        {"{\"weight_map\":{\"lm_head.weight\":\"" SHARD("4") "\"}}", SHARD("4")},
        {"{\"weight_map\":{\"lm_head.weight\":\"" SHARD("2") "\"}}", "does not hold it"},
        {"{\"weight_map\":{\"nothing\":\"" SHARD("1") "\"}}", "'nothing'"},
        {"{\"weight_map\":{}", "index"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_NOT_EQUAL(open_with_index(cases[i].index), 0);
        const bool told = strstr(sl_error_message(), cases[i].word);
        if (!told)
            printf("\n  case %zu: %s\n", i, sl_error_message());
        CU_ASSERT(told);
    }
    CU_ASSERT_EQUAL(open_with_index("{\"weight_map\":{\"lm_head.weight\":\"" SHARD("1") "\"}}"), 0);
}

static void an_index_may_name_tensors_that_are_not_read(void)
{
    static const char index[] = "{\"weight_map\":{\"model.position_ids\":\"s.bin\","
                                "\"lm_head.weight\":\"s.bin\"}}";
    char dir[RIG_PATH];
    struct sl_checkpoint *c = NULL;
    rig_fresh(dir, golden("torch/single"));
    CU_ASSERT_EQUAL_FATAL(rename(rig_join(dir, "pytorch_model.bin"), rig_join(dir, "s.bin")), 0);
    rig_write(rig_join(dir, "pytorch_model.bin.index.json"), index, sizeof index - 1);
    CU_ASSERT_EQUAL(sl_checkpoint_open(&c, dir), 0);
    sl_checkpoint_close(&c);
}

const struct sl_suite suite_torch = {
    "torch",
    (const struct sl_case[]){
        {"views_have_the_values_of_their_twins", views_have_the_values_of_their_twins},
        {"protocol_4_says_the_same", protocol_4_says_the_same},
        {"contiguous_views_of_one_storage_lie_in_one_place",
         contiguous_views_of_one_storage_lie_in_one_place},
        {"shards_hold_what_their_safetensors_twins_hold",
         shards_hold_what_their_safetensors_twins_hold},
        {"a_single_file_holds_tied_and_shared_tensors_and_parameters",
         a_single_file_holds_tied_and_shared_tensors_and_parameters},
        {"a_type_that_is_not_read_hinders_only_who_wants_it",
         a_type_that_is_not_read_hinders_only_who_wants_it},
        {"fp8_tensors_are_views_of_bytes", fp8_tensors_are_views_of_bytes},
        {"files_past_4_gib_are_read", files_past_4_gib_are_read},
        {"safetensors_is_read_where_both_are_there", safetensors_is_read_where_both_are_there},
        {"info_counts_the_bytes_of_its_files", info_counts_the_bytes_of_its_files},
        {"converts_into_the_same_files_as_its_twin", converts_into_the_same_files_as_its_twin},
        {"a_conversion_does_not_replace_a_torch_checkpoint",
         a_conversion_does_not_replace_a_torch_checkpoint},
        {"indexes_of_torch_shards_are_checked", indexes_of_torch_shards_are_checked},
        {"an_index_may_name_tensors_that_are_not_read",
         an_index_may_name_tensors_that_are_not_read},
        {NULL, NULL}}};
