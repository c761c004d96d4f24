/* SPDX-License-Identifier: Apache-2.0 */
/* GPTQ releases, whole and in pieces, against checkpoints and logits that make_quantised.py wrote.
 */
#include "test_main.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slab_read.h"
#include "store/checkpoint.h"
#include "store/store.h"
#include "store_rig.h"
#include "temp_file.h"
#include "variant_rig.h"

#define INT4_G128 "quantised/gptq-int4-g128"
#define INT8_G32 "quantised/gptq-int8-g32"
#define ASYMMETRIC "quantised/gptq-int4-asymmetric-g64"
#define ROWS_V2 "quantised/gptq-int8-v2-rows"

static const char piece_name[] = "gptq_model-4bit-128g.safetensors";

/* ---- what is read --------------------------------------------------------------------------- */

static void int4_groups_of_128(void)
{
    variant_check_exact(INT4_G128);
}

static void int8_groups_of_32(void)
{
    variant_check_exact(INT8_G32);
}

static void asymmetric_groups_of_64(void)
{
    variant_check_exact(ASYMMETRIC);
}

static void whole_rows_as_gptq_v2(void)
{
    variant_check_exact(ROWS_V2);
}

static void on_the_fabric(void)
{
    static const char *const format[] = {"int4", "q8", "nf4", "mxfp4", "fp8"};
    for (size_t i = 0; i < 5; i++)
        variant_check_fabric(INT4_G128, format[i]);
    variant_check_fabric(INT8_G32, "q8");
    variant_check_fabric(ASYMMETRIC, "int4");
}

static void copy_of(char dir[RIG_PATH], const char *golden)
{
    char from[RIG_PATH];
    snprintf(from, sizeof from, "%s/%s", sl_golden_dir(), golden);
    rig_fresh(dir, from);
    unlink(rig_join(dir, "golden.safetensors"));
}

/* Opens, or prints and returns the error. */
static int open_dir(const char *dir)
{
    struct sl_checkpoint *c = NULL;
    int err = sl_checkpoint_open(&c, dir);
    CU_ASSERT((err == 0) == (c != NULL));
    sl_checkpoint_close(&c);
    return err;
}

static void expect_error(const char *dir, int code, const char *word)
{
    int err = open_dir(dir);
    CU_ASSERT_EQUAL(err, code);
    CU_ASSERT(err && strstr(sl_error_message(), word) && !strchr(sl_error_message(), '\n'));
    if (!err || err != code || !strstr(sl_error_message(), word))
        printf("[want '%s', got %d: %s] ", word, err, err ? sl_error_message() : "");
}

/* Replaces text in a file by another, in place when both have one length; returns how often. */
static unsigned replace(const char *path, const char *from, const char *to)
{
    size_t n, a = strlen(from), b = strlen(to), used = 0;
    unsigned hits = 0;
    char *in = (char *)rig_read(path, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    char *out = malloc((n + 1) * (b > a ? b : 1) + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (size_t i = 0; i < n;) {
        bool hit = i + a <= n && !memcmp(in + i, from, a);
        memcpy(out + used, hit ? to : in + i, hit ? b : 1);
        used += hit ? b : 1;
        i += hit ? a : 1;
        hits += hit;
    }
    rig_write(path, out, used);
    free(in);
    free(out);
    return hits;
}

/* By hand: column k holds q = k mod 8, row r has the zero point r, stored as r - 1 modulo 16. */
static void zero_points_wrap_around(void)
{
    static const char header[] =
        "{\"a.qweight\":{\"dtype\":\"I32\",\"shape\":[4,8],\"data_offsets\":[0,128]},"
        "\"a.qzeros\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[128,132]},"
        "\"a.scales\":{\"dtype\":\"F16\",\"shape\":[1,8],\"data_offsets\":[132,148]}}";
    static const char config[] = "{\"quantization_config\":{\"quant_method\":\"gptq\","
                                 "\"bits\":4,\"group_size\":32,\"sym\":false}}";
    char dir[256];
    uint8_t data[148];
    struct sl_checkpoint *c = NULL;
    const uint32_t q = 0x76543210, zero = 0x6543210F;
    const uint16_t half = 0x3800; /* 0.5 */
    for (unsigned i = 0; i < 32; i++)
        memcpy(data + 4 * i, &q, 4);
    memcpy(data + 128, &zero, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(data + 132 + 2 * i, &half, 2);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_safetensors_put(dir, "model.safetensors", header, data, sizeof data);
    temp_file_put(dir, "config.json", config, sizeof config - 1);
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&c, dir), 0);
    const struct sl_tensor *t = sl_checkpoint_find(c, "a.weight");
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT(t->n_dim == 2 && t->dim[0] == 8 && t->dim[1] == 32);
    float w[8][32];
    unsigned wrong = 0;
    sl_tensor_read_rows(t, 0, 8, w[0], 32);
    for (int r = 0; r < 8; r++)
        for (int k = 0; k < 32; k++)
            wrong += w[r][k] != 0.5f * (float)(k % 8 - r);
    CU_ASSERT_EQUAL(wrong, 0);
    sl_checkpoint_close(&c);
}

/* ---- pieces --------------------------------------------------------------------------------- */

static void move_piece(const char *dir, unsigned from, const char *to)
{
    char name[100], target[100];
    snprintf(name, sizeof name, "%s%02u", piece_name, from);
    snprintf(target, sizeof target, "%s%s", piece_name, to);
    CU_ASSERT_EQUAL(rename(rig_join(dir, name), rig_join(dir, target)), 0);
}

static void pieces_have_many_names(void)
{
    static const char *const names[][4] = {
        {"0", "1", "2", "3"},         {"1", "2", "3", "4"},
        {".00", ".01", ".02", ".03"}, {"-part1", "-part2", "-part3", "-part4"},
        {"aa", "ab", "ac", "ad"},     {"_000", "_001", "_002", "_003"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char dir[RIG_PATH];
        copy_of(dir, INT4_G128);
        for (unsigned p = 0; p < 4; p++)
            move_piece(dir, p, names[i][p]);
        CU_ASSERT_EQUAL(open_dir(dir), 0);
    }
}

/* AutoGPTQ's own name, of the only file there is. */
static void a_single_file_may_have_any_name(void)
{
    char dir[RIG_PATH];
    copy_of(dir, ASYMMETRIC);
    CU_ASSERT_EQUAL(
        rename(rig_join(dir, "model.safetensors"), rig_join(dir, "gptq_model-4bit.safetensors")),
        0);
    CU_ASSERT_EQUAL(open_dir(dir), 0);
    rig_write(rig_join(dir, "other.safetensors"), "x", 1);
    expect_error(dir, SL_ERR_IO, "model.safetensors");
}

/* Cut anywhere, the same tensors come out, byte by byte. */
static void every_cut_gives_the_same_tensors(void)
{
    char whole[RIG_PATH];
    size_t n;
    uint8_t *data = rig_read(rig_join(sl_golden_dir(), ROWS_V2 "/model.safetensors"), &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    snprintf(whole, sizeof whole, "%s/%s", sl_golden_dir(), ROWS_V2);
    static const size_t cuts[][2] = {{1, 2},       {7, 9},         {8, 4096},  {100, 5000},
                                     {4096, 8192}, {30000, 30001}, {0, 40000}, {50000, 50000}};
    struct sl_checkpoint *a = NULL, *b = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&a, whole), 0);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char dir[RIG_PATH];
        size_t c0 = cuts[i][0], c1 = cuts[i][1];
        copy_of(dir, ROWS_V2);
        unlink(rig_join(dir, "model.safetensors"));
        rig_write(rig_join(dir, "model.safetensors00"), data, c0);
        rig_write(rig_join(dir, "model.safetensors01"), data + c0, c1 - c0);
        rig_write(rig_join(dir, "model.safetensors02"), data + c1, n - c1);
        CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&b, dir), 0);
        CU_ASSERT_EQUAL_FATAL(sl_checkpoint_count(a), sl_checkpoint_count(b));
        unsigned wrong = 0;
        for (size_t k = 0; k < sl_checkpoint_count(a); k++) {
            const struct sl_tensor *x = sl_checkpoint_at(a, k), *y = sl_checkpoint_at(b, k);
            sl_tensor_release(y); /* a copy must come back too */
            wrong += strcmp(x->name, y->name) != 0 || x->n_bytes != y->n_bytes ||
                     memcmp(x->data, y->data, x->n_bytes) != 0;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        sl_checkpoint_close(&b);
    }
    sl_checkpoint_close(&a);
    free(data);
}

static void unlink_piece(const char *dir, unsigned i)
{
    char name[100];
    snprintf(name, sizeof name, "%s%02u", piece_name, i);
    CU_ASSERT_EQUAL(unlink(rig_join(dir, name)), 0);
}

static void missing_and_misplaced_pieces_are_told(void)
{
    char dir[RIG_PATH];
    static const char *const words[] = {"piece 0 of", "piece 1 of", "piece 2 of", "leave the file"};
    for (unsigned i = 0; i < 4; i++) {
        copy_of(dir, INT4_G128);
        unlink_piece(dir, i);
        if (i == 0) /* "01" alone may be a first piece */
            move_piece(dir, 1, "04");
        expect_error(dir, SL_ERR_FORMAT, words[i]);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "piece"));

    copy_of(dir, INT4_G128);
    unlink_piece(dir, 0);
    expect_error(dir, SL_ERR_FORMAT, "not safetensors");
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "piece"));

    copy_of(dir, INT4_G128);
    move_piece(dir, 0, "05");
    move_piece(dir, 1, "00");
    move_piece(dir, 5, "01");
    expect_error(dir, SL_ERR_FORMAT, "not safetensors");

    copy_of(dir, INT4_G128);
    CU_ASSERT_EQUAL(truncate(rig_join(dir, "gptq_model-4bit-128g.safetensors03"), 100), 0);
    expect_error(dir, SL_ERR_FORMAT, "leave the file");

    copy_of(dir, INT4_G128);
    rig_write(rig_join(dir, "gptq_model-4bit-128g.safetensors1"), "x", 1);
    expect_error(dir, SL_ERR_FORMAT, "same number");

    copy_of(dir, INT4_G128);
    rig_write(rig_join(dir, "other.safetensors00"), "x", 1);
    expect_error(dir, SL_ERR_FORMAT, "two files");
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void configurations_are_checked(void)
{
    static const struct {
        const char *from, *to;
        int code;
        const char *word;
    } list[] = {
        {"\"bits\": 8", "\"bits\": 3", SL_ERR_UNSUPPORTED, "'bits' is 3"},
        {"\"bits\": 8", "\"bits\": \"8\"", SL_ERR_FORMAT, "'bits'"},
        {"\"bits\": 8,", "", SL_ERR_FORMAT, "'bits' is missing"},
        {"\"bits\": 8", "\"bits\": 4", SL_ERR_SHAPE, "qzeros"},
        {"\"group_size\": -1", "\"group_size\": 48", SL_ERR_UNSUPPORTED, "'group_size' is 48"},
        {"\"group_size\": -1", "\"group_size\": 0", SL_ERR_UNSUPPORTED, "'group_size' is 0"},
        {"\"group_size\": -1", "\"group_size\": 32", SL_ERR_SHAPE, "qzeros"},
        {"\"group_size\": -1", "\"group_size\": null", SL_ERR_FORMAT, "'group_size'"},
        {"\"desc_act\": false", "\"desc_act\": true", SL_ERR_UNSUPPORTED, "'desc_act'"},
        {"\"desc_act\": false", "\"desc_act\": 0", SL_ERR_FORMAT, "'desc_act'"},
        {"\"sym\": true", "\"sym\": 1", SL_ERR_FORMAT, "'sym'"},
        {"gptq_v2", "marlin", SL_ERR_UNSUPPORTED, "'checkpoint_format' is \"marlin\""},
        {"gptq_v2", "gptq", SL_ERR_FORMAT, "qzeros"},
        {"\"gptq\"", "\"awq\"", SL_ERR_UNSUPPORTED, "\"awq\""},
        {"\"desc_act\": false", "\"is_marlin_format\": true", SL_ERR_UNSUPPORTED, "marlin"},
        {"\"desc_act\": false", "\"dynamic\": {\"x\": {}}", SL_ERR_UNSUPPORTED, "'dynamic'"},
        {"quantization_config", "not_the_configuration", SL_ERR_FORMAT, "no quantization_config"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char dir[RIG_PATH];
        copy_of(dir, ROWS_V2);
        CU_ASSERT(replace(rig_join(dir, "config.json"), list[i].from, list[i].to) > 0);
        expect_error(dir, list[i].code, list[i].word);
    }
}

static void gptq_without_packed_weights_is_refused(void)
{
    char dir[RIG_PATH];
    copy_of(dir, "variants/yuan-top1");
    CU_ASSERT_EQUAL(open_dir(dir), 0);
    static const char own[] = "{\"bits\": 4, \"group_size\": 128}";
    rig_write(rig_join(dir, "quantize_config.json"), own, sizeof own - 1);
    expect_error(dir, SL_ERR_FORMAT, "qweight");
}

#define EXPERT "model.layers.0.mlp.experts.1.w1"

static void tensors_are_checked(void)
{
    static const struct {
        const char *from, *to; /* of one length, in the header */
        int code;
        const char *word;
    } list[] = {
        {EXPERT ".scales", EXPERT ".scalex", SL_ERR_SHAPE, EXPERT ".scales"},
        {EXPERT ".qzeros", EXPERT ".qzerox", SL_ERR_SHAPE, EXPERT ".qzeros"},
        {EXPERT ".qweight\":{\"dtype\":\"I32\",\"shape\":[16,64]",
         EXPERT ".qweight\":{\"dtype\":\"F32\",\"shape\":[16,64]", SL_ERR_FORMAT, "F32"},
        {EXPERT ".qweight\":{\"dtype\":\"I32\",\"shape\":[16,64]",
         EXPERT ".qweight\":{\"dtype\":\"I32\",\"shape\":[64,16]", SL_ERR_SHAPE, EXPERT ".qzeros"},
        {EXPERT ".qweight\":{\"dtype\":\"I32\",\"shape\":[16,64]",
         EXPERT ".qweight\":{\"dtype\":\"I32\",\"shape\":[1024] ", SL_ERR_SHAPE, "packed matrix"},
        {EXPERT ".scales\":{\"dtype\":\"F16\",\"shape\":[1,64]",
         EXPERT ".scales\":{\"dtype\":\"F16\",\"shape\":[64,1]", SL_ERR_SHAPE, "[64, 1]"},
        {EXPERT ".g_idx\":{\"dtype\":\"I32\",\"shape\":[64]",
         EXPERT ".g_idx\":{\"dtype\":\"F32\",\"shape\":[64]", SL_ERR_FORMAT, "g_idx"},
    };
    char dir[RIG_PATH];
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        copy_of(dir, ROWS_V2);
        CU_ASSERT(replace(rig_join(dir, "model.safetensors"), list[i].from, list[i].to) > 0);
        expect_error(dir, list[i].code, list[i].word);
    }
    copy_of(dir, ROWS_V2); /* without its g_idx a linear has its columns in order */
    CU_ASSERT(replace(rig_join(dir, "model.safetensors"), EXPERT ".g_idx", EXPERT ".g_xxx") > 0);
    CU_ASSERT_EQUAL(open_dir(dir), 0);
}

static void flip(const char *dir, const char *tensor, size_t at, uint8_t mask)
{
    struct rig_tensor t;
    const char *path = rig_join(dir, "model.safetensors");
    CU_ASSERT_FATAL(rig_find(path, tensor, &t));
    rig_flip(path, t.offset + at, mask);
}

static void damaged_values_are_named(void)
{
    char dir[RIG_PATH];
    copy_of(dir, ROWS_V2);
    flip(dir, EXPERT ".g_idx", 4 * 63, 1);
    expect_error(dir, SL_ERR_UNSUPPORTED, EXPERT ".g_idx");
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "desc_act"));

    copy_of(dir, ROWS_V2);
    flip(dir, EXPERT ".qzeros", 5, 4);
    expect_error(dir, SL_ERR_FORMAT, EXPERT ".qzeros");

    copy_of(dir, ROWS_V2); /* an infinite scale is met when the weights are read */
    static const uint8_t infinite[2] = {0, 0x7C};
    struct rig_tensor t;
    size_t n;
    char path[RIG_PATH + 20];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    CU_ASSERT_FATAL(rig_find(path, EXPERT ".scales", &t));
    uint8_t *data = rig_read(path, &n);
    memcpy(data + t.offset + 2 * 7, infinite, 2);
    rig_write(path, data, n);
    free(data);
    struct sl_model *m = NULL;
    struct sl_model_params mp = {.path = dir, .n_threads = 1};
    CU_ASSERT_EQUAL(sl_model_open(&m, &mp), SL_ERR_RANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), EXPERT ".weight: element [7, "));
}

/* An embedding cannot be kept in I32. */
static void integers_are_no_values(void)
{
    char dir[RIG_PATH];
    copy_of(dir, ROWS_V2);
    static const char norm[] = "model.norm.weight\":{\"dtype\":\"F16\",\"shape\":[64]";
    static const char odd[] = "model.norm.weight\":{\"dtype\":\"I32\",\"shape\":[32]";
    CU_ASSERT(replace(rig_join(dir, "model.safetensors"), norm, odd) > 0);
    struct sl_model *m = NULL;
    struct sl_model_params mp = {.path = dir, .exact = true, .n_threads = 1};
    CU_ASSERT_NOT_EQUAL(sl_model_open(&m, &mp), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "model.norm.weight"));
}

/* ---- formats -------------------------------------------------------------------------------- */

/* A linear as its one file has it, symmetric, with its g_idx in order. */
struct linear {
    uint8_t *file;
    struct rig_tensor qweight, scales;
    uint32_t rows, columns, bits, group;
};

static void linear_open(struct linear *l, const char *path, const char *name)
{
    char part[200];
    size_t n;
    snprintf(part, sizeof part, "%s.qweight", name);
    CU_ASSERT_FATAL(rig_find(path, part, &l->qweight));
    snprintf(part, sizeof part, "%s.scales", name);
    CU_ASSERT_FATAL(rig_find(path, part, &l->scales));
    l->file = rig_read(path, &n);
    l->rows = (uint32_t)l->qweight.dim[1];
    l->columns = (uint32_t)l->qweight.dim[0] * 32 / l->bits;
}

/* q - 2^(bits - 1) */
static int linear_code(const struct linear *l, uint32_t r, uint32_t k)
{
    uint32_t per = 32 / l->bits, w;
    memcpy(&w, l->file + l->qweight.offset + 4 * ((uint64_t)(k / per) * l->rows + r), sizeof w);
    return (int)(w >> k % per * l->bits & ((1u << l->bits) - 1)) - (1 << (l->bits - 1));
}

static double linear_scale(const struct linear *l, uint32_t r, uint32_t k)
{
    uint16_t h;
    memcpy(&h, l->file + l->scales.offset + 2 * ((uint64_t)(k / l->group) * l->rows + r), sizeof h);
    int e = h >> 10 & 31, m = h & 1023;
    return e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
}

/* A copy whose pieces are one file. */
static void join_pieces(char dir[RIG_PATH], const char *golden, const char *stem, unsigned n)
{
    char name[100];
    copy_of(dir, golden);
    FILE *f = fopen(rig_join(dir, "model.safetensors"), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (unsigned i = 0; i < n; i++) {
        size_t bytes;
        snprintf(name, sizeof name, "%s%02u", stem, i);
        uint8_t *data = rig_read(rig_join(dir, name), &bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(data);
        CU_ASSERT_EQUAL(fwrite(data, 1, bytes, f), bytes);
        free(data);
        unlink(rig_join(dir, name));
    }
    CU_ASSERT_EQUAL(fclose(f), 0);
}

/* Matrix `part` of a slab is rows first .. first + n of the linear, code by code; a scale is the
 * nearest with six significant bits. */
static void check_kept(const uint8_t *slab, unsigned part, const struct linear *l, uint32_t first,
                       uint32_t n)
{
    unsigned wrong = 0;
    double worst = 0;
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t k = 0; k < l->columns; k++) {
            struct sl_weight_at w = sl_test_weight(slab, part, r, k);
            int q = linear_code(l, first + r, k);
            double s = linear_scale(l, first + r, k), got = q ? w.weight / q : s;
            wrong += w.value != q;
            worst = fmax(worst, fabs(got / s - 1));
        }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(worst > 0 && worst <= 1.0 / 64); /* half a step of 1 / 32 */
}

static void int4_keeps_the_codes(void)
{
    char dir[RIG_PATH], path[RIG_PATH + 20], out[RIG_PATH];
    struct sl_store *s = NULL;
    join_pieces(dir, INT4_G128, piece_name, 4);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    rig_fresh(out, NULL);
    struct sl_convert_params p = {.in_dir = dir, .out_dir = out, .format_dense = "int4"};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&s, out), 0);
    struct linear l = {.bits = 4, .group = 128};
    const uint8_t *expert = (const uint8_t *)sl_store_expert(s, 0, 2).header;
    linear_open(&l, path, "model.layers.0.mlp.experts.2.w1");
    check_kept(expert, 0, &l, 0, 160);
    check_kept(expert, 1, &l, 160, 160);
    free(l.file);
    linear_open(&l, path, "model.layers.0.mlp.experts.2.w2");
    check_kept(expert, 2, &l, 0, 128);
    free(l.file);
    linear_open(&l, path, "model.layers.0.self_attn.q_proj");
    check_kept((const uint8_t *)sl_store_matrix(s, SL_MATRIX_Q, 0).header, 0, &l, 0, 128);
    free(l.file);
    sl_store_close(&s);
}

/* Relative error of all of an expert's w1 in one format, and the worst error of a weight relative
 * to the root mean square of the weights. */
static void measure(const char *dir, struct linear *l, const char *format, double out[2])
{
    char path[RIG_PATH + 20], to[RIG_PATH];
    struct sl_store *s = NULL;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    linear_open(l, path, "model.layers.0.mlp.experts.1.w1");
    rig_fresh(to, NULL);
    struct sl_convert_params p = {.in_dir = dir, .out_dir = to, .format = format};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&s, to), 0);
    const uint8_t *slab = (const uint8_t *)sl_store_expert(s, 0, 1).header;
    double error = 0, power = 0, worst = 0;
    uint32_t half = l->rows / 2;
    for (uint32_t r = 0; r < l->rows; r++)
        for (uint32_t k = 0; k < l->columns; k++) {
            double want = linear_code(l, r, k) * linear_scale(l, r, k);
            double d = sl_test_weight(slab, r / half, r % half, k).weight - want;
            error += d * d;
            power += want * want;
            worst = fmax(worst, fabs(d));
        }
    out[0] = sqrt(error / power);
    out[1] = worst / sqrt(power / ((double)l->rows * l->columns));
    sl_store_close(&s);
    free(l->file);
}

/* What encoding again costs; the figures of docs/measurements.md are what this prints. */
static void weights_change_by_no_more_than_their_format_says(void)
{
    static const struct {
        const char *format;
        double from4, from8; /* bounds of the relative error */
    } list[] = {{"int4", 0.01, 0.12},
                {"q8", 0.007, 0.008},
                {"nf4", 0.11, 0.11},
                {"mxfp4", 0.13, 0.13},
                {"fp8", 0.03, 0.03}};
    char four[RIG_PATH], eight[RIG_PATH];
    join_pieces(four, INT4_G128, piece_name, 4);
    join_pieces(eight, INT8_G32, "yuan2-m32-int8.safetensors", 5);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct linear a = {.bits = 4, .group = 128}, b = {.bits = 8, .group = 32};
        double e4[2], e8[2];
        measure(four, &a, list[i].format, e4);
        measure(eight, &b, list[i].format, e8);
        printf("[%s: %.3f %% worst %.2f %%; from int8 %.3f %% worst %.2f %%] ", list[i].format,
               100 * e4[0], 100 * e4[1], 100 * e8[0], 100 * e8[1]);
        CU_ASSERT(e4[0] > 0 && e4[0] < list[i].from4);
        CU_ASSERT(e8[0] > 0 && e8[0] < list[i].from8);
    }
}

static void the_format_follows_the_source(void)
{
    static const char *const models[][2] = {
        {INT4_G128, "int4"}, {ASYMMETRIC, "int4"}, {INT8_G32, "q8"}, {"variants/yuan-top1", "q8"}};
    for (size_t i = 0; i < 4; i++) {
        char dir[RIG_PATH], out[RIG_PATH];
        copy_of(dir, models[i][0]);
        struct sl_model *m = NULL;
        struct sl_model_params mp = {.path = dir, .n_threads = 1};
        struct sl_model_info info;
        CU_ASSERT_EQUAL_FATAL(sl_model_open(&m, &mp), 0);
        sl_model_get_info(m, &info);
        CU_ASSERT_STRING_EQUAL(info.format, models[i][1]);
        CU_ASSERT_STRING_EQUAL(info.format_dense, "q8");
        sl_model_close(&m);
        uint64_t chosen = 0, named = 1;
        CU_ASSERT_EQUAL(sl_expert_bytes(dir, NULL, &chosen), 0);
        CU_ASSERT_EQUAL(sl_expert_bytes(dir, models[i][1], &named), 0);
        CU_ASSERT_EQUAL(chosen, named);
        rig_fresh(out, NULL);
        struct sl_convert_params cp = {.in_dir = dir, .out_dir = out, .n_threads = 1};
        CU_ASSERT_EQUAL_FATAL(sl_convert(&cp, NULL), 0);
        mp.path = out;
        CU_ASSERT_EQUAL_FATAL(sl_model_open(&m, &mp), 0);
        sl_model_get_info(m, &info);
        CU_ASSERT_STRING_EQUAL(info.format, models[i][1]);
        sl_model_close(&m);
    }
}

/* The same bytes with any number of threads, from pieces and from the whole. */
static void conversion_does_not_depend_on_pieces_or_threads(void)
{
    char dir[RIG_PATH], a[RIG_PATH], b[RIG_PATH];
    join_pieces(dir, INT4_G128, piece_name, 4);
    rig_fresh(a, NULL);
    rig_fresh(b, NULL);
    struct sl_convert_params one = {.in_dir = dir, .out_dir = a, .n_threads = 1};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&one, NULL), 0);
    copy_of(dir, INT4_G128);
    struct sl_convert_params two = {.in_dir = dir, .out_dir = b, .n_threads = 3};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&two, NULL), 0);
    CU_ASSERT(rig_same_dirs(a, b));

    struct sl_convert_params onto = {.in_dir = rig_join(sl_golden_dir(), "variants/yuan-top1"),
                                     .out_dir = dir};
    CU_ASSERT_EQUAL(sl_convert(&onto, NULL), SL_ERR_USAGE); /* dir holds a checkpoint */
}

const struct sl_suite suite_gptq = {
    "gptq", (const struct sl_case[]){
                {"int4_in_groups_of_128_and_unequal_pieces_equals_float64", int4_groups_of_128},
                {"int8_in_groups_of_32_and_whole_pages_equals_float64", int8_groups_of_32},
                {"asymmetric_int4_with_its_own_file_equals_float64", asymmetric_groups_of_64},
                {"int8_of_whole_rows_as_gptq_v2_equals_float64", whole_rows_as_gptq_v2},
                {"on_the_fabric_no_bit_depends_on_chunks", on_the_fabric},
                {"zero_points_wrap_around", zero_points_wrap_around},
                {"pieces_have_many_names", pieces_have_many_names},
                {"a_single_file_may_have_any_name", a_single_file_may_have_any_name},
                {"every_cut_gives_the_same_tensors", every_cut_gives_the_same_tensors},
                {"missing_and_misplaced_pieces_are_told", missing_and_misplaced_pieces_are_told},
                {"configurations_are_checked", configurations_are_checked},
                {"gptq_without_packed_weights_is_refused", gptq_without_packed_weights_is_refused},
                {"tensors_are_checked", tensors_are_checked},
                {"damaged_values_are_named", damaged_values_are_named},
                {"integers_are_no_values", integers_are_no_values},
                {"int4_keeps_the_codes", int4_keeps_the_codes},
                {"weights_change_by_no_more_than_their_format_says",
                 weights_change_by_no_more_than_their_format_says},
                {"the_format_follows_the_source", the_format_follows_the_source},
                {"conversion_does_not_depend_on_pieces_or_threads",
                 conversion_does_not_depend_on_pieces_or_threads},
                {NULL, NULL}}};
