/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"
#include "slab_read.h"
#include "store/store.h"
#include "store_rig.h"
#include "test_main.h"

static const char *const formats[] = {"fp8", "q8", "nf4", "int4", "mxfp4"};

/* ---- helpers -------------------------------------------------------------------------------- */

static int convert(const char *in, const char *out, const char *format, const char *dense)
{
    struct sl_convert_report report;
    struct sl_convert_params p = {
        .in_dir = in, .out_dir = out, .format = format, .format_dense = dense, .n_threads = 2};
    return sl_convert(&p, &report);
}

static struct sl_store *must_open(const char *dir)
{
    struct sl_store *s = NULL;
    int err = sl_store_open(&s, dir);
    if (err)
        printf("[%s] ", sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return s;
}

/* A model quantised in memory, with its checkpoint. */
struct in_memory {
    struct sl_checkpoint *ckpt;
    struct sl_pool *pool;
    struct sl_store *store;
};

static struct in_memory quantise(const char *dir, const char *format, const char *dense, unsigned n)
{
    struct in_memory m = {0};
    struct sl_config config;
    struct sl_quant_params p = {0};
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&m.ckpt, dir), 0);
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&config, dir), 0);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&m.pool, n), 0);
    CU_ASSERT_EQUAL(sl_format_parse(&p.format, format), 0);
    CU_ASSERT_EQUAL(sl_format_parse(&p.format_dense, dense), 0);
    p.pool = m.pool;
    CU_ASSERT_EQUAL_FATAL(sl_store_quantise(&m.store, m.ckpt, &config, &p), 0);
    return m;
}

static void close_memory(struct in_memory *m)
{
    sl_store_close(&m->store);
    sl_pool_close(&m->pool);
    sl_checkpoint_close(&m->ckpt);
}

/* The i-th slab of a model in a fixed order; false behind the last. header may be NULL. */
static bool nth_slab(const struct sl_store *s, unsigned i, struct sl_slab_ref *out)
{
    const struct sl_config *c = sl_store_config(s);
    unsigned per_layer = 6 + c->n_expert, layer = i / per_layer, k = i % per_layer;
    if (layer >= c->n_layer) {
        *out = sl_store_matrix(s, SL_MATRIX_LM_HEAD, 0);
        return i == per_layer * c->n_layer;
    }
    if (k < 4)
        *out = sl_store_matrix(s, (enum sl_matrix)k, layer);
    else if (k < 6)
        *out = k == 4 ? sl_store_router(s, layer) : sl_store_shared(s, layer);
    else
        *out = sl_store_expert(s, layer, k - 6);
    return true;
}

static uint64_t count_differences(const struct sl_store *a, const struct sl_store *b)
{
    struct sl_slab_ref x, y;
    uint64_t wrong = 0;
    for (unsigned i = 0; nth_slab(a, i, &x); i++) {
        wrong += !nth_slab(b, i, &y) || !x.header != !y.header || x.n_beats != y.n_beats;
        if (x.header && y.header && x.n_beats == y.n_beats)
            wrong += memcmp(x.header, y.header, x.n_beats * 64) != 0;
    }
    return wrong;
}

/* ---- contents ------------------------------------------------------------------------------- */

static void test_directory_equals_memory(void)
{
    for (const char *const *model = rig_models(); *model; model++)
        for (size_t f = 0; f < 5; f++) {
            char out[RIG_PATH];
            if (model - rig_models() > 3 && f % 2) /* the larger ones: fp8, nf4, mxfp4 */
                continue;
            const char *dense = f % 2 ? "q8" : formats[f];
            rig_fresh(out, NULL);
            CU_ASSERT_EQUAL_FATAL(convert(*model, out, formats[f], dense), 0);
            struct in_memory m = quantise(*model, formats[f], dense, 3);
            struct sl_store *s = must_open(out);
            CU_ASSERT(sl_store_is_store(out) && !sl_store_is_store(*model));
            CU_ASSERT_EQUAL(count_differences(s, m.store), 0);
            CU_ASSERT_EQUAL(sl_store_bytes(s), sl_store_bytes(m.store));
            CU_ASSERT_STRING_EQUAL(sl_store_format(s), formats[f]);
            CU_ASSERT_STRING_EQUAL(sl_store_format_dense(s), dense);
            CU_ASSERT_EQUAL(
                memcmp(sl_store_config(s), sl_store_config(m.store), sizeof(struct sl_config)), 0);
            CU_ASSERT_EQUAL(sl_store_verify(s, m.pool), 0);
            CU_ASSERT_EQUAL(sl_store_verify(m.store, NULL), 0);
            sl_store_close(&s);
            close_memory(&m);
        }
}

/* Alignment, the readable beats behind the last one, and which slabs exist. */
static void test_shapes(void)
{
    for (const char *const *model = rig_models(); *model; model++) {
        struct in_memory m = quantise(*model, "nf4", "q8", 1);
        const struct sl_config *c = sl_store_config(m.store);
        struct sl_slab_ref s;
        unsigned slack = 0, unaligned = 0;
        for (unsigned i = 0; nth_slab(m.store, i, &s); i++) {
            if (!s.header)
                continue;
            unaligned += (uintptr_t)s.header % 64 != 0;
            const uint8_t *end = (const uint8_t *)s.header + s.n_beats * 64;
            for (unsigned b = 0; b < SL_SLACK_BEATS * 64; b++)
                slack += end[b];
        }
        CU_ASSERT_EQUAL(unaligned, 0);
        CU_ASSERT_EQUAL(slack, 0);
        for (uint32_t l = 0; l < c->n_layer; l++) {
            bool owner = l % c->cla_factor == 0;
            CU_ASSERT_EQUAL(sl_store_matrix(m.store, SL_MATRIX_K, l).header != NULL, owner);
            CU_ASSERT_EQUAL(sl_store_matrix(m.store, SL_MATRIX_V, l).header != NULL, owner);
            CU_ASSERT_EQUAL(sl_store_shared(m.store, l).header != NULL, c->d_ff_shared > 0);
            CU_ASSERT_EQUAL(sl_store_router(m.store, l).header->rows,
                            c->n_expert * (c->router == SL_ROUTER_ATTENTION ? 3 : 1));
            CU_ASSERT_EQUAL(sl_store_expert(m.store, l, 0).header->rows, (c->d_ff + 31) / 32 * 32);
        }
        CU_ASSERT_PTR_NULL(sl_store_expert(m.store, 0, c->n_expert).header);
        CU_ASSERT_PTR_NULL(sl_store_router(m.store, c->n_layer).header);
        close_memory(&m);
    }
}

/* One matrix of a slab against rows [first, first + rows) of a tensor. */
struct compare {
    const char *file, *name;
    struct sl_slab_ref slab;
    unsigned matrix, first, rows;
    uint32_t row_at; /* row of the slab that is the first */
    double tolerance;
};

/* The largest difference, as a fraction of the row's largest weight, must stay below the tolerance.
 */
static void check_values(const struct compare *c)
{
    struct rig_tensor t;
    float *v = rig_values(c->file, c->name, &t);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    double worst = 0;
    uint32_t rows = c->rows ? c->rows : (uint32_t)t.dim[0];
    for (uint32_t r = 0; r < rows; r++) {
        double top = 0, off = 0;
        for (uint32_t k = 0; k < t.dim[1]; k++) {
            double want = v[(c->first + r) * t.dim[1] + k];
            const uint8_t *slab = (const uint8_t *)c->slab.header;
            top = fmax(top, fabs(want));
            off = fmax(off, fabs(want - sl_test_weight(slab, c->matrix, c->row_at + r, k).weight));
        }
        worst = fmax(worst, off / (top + 1e-30));
    }
    if (worst > c->tolerance)
        printf("[%s: %g] ", c->name, worst);
    CU_ASSERT(worst <= c->tolerance);
    free(v);
}

/* q8: half a step of 1/127, and the step that the window of scales adds. */
static const double Q8 = 0.012, S16 = 0x1p-15;

static void check_hunyuan_layer(const struct sl_store *s, const char *file, uint32_t l)
{
    const struct sl_config *c = sl_store_config(s);
    char name[128];
    struct compare m = {.file = file, .name = name, .tolerance = Q8};
    static const char *const proj[] = {"q_proj", "k_proj", "v_proj", "o_proj"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "model.layers.%u.self_attn.%s.weight", l, proj[i]);
        m.slab = sl_store_matrix(s, (enum sl_matrix)i, l);
        if (m.slab.header)
            check_values(&m);
    }
    snprintf(name, sizeof name, "model.layers.%u.mlp.gate.wg.weight", l);
    m.slab = sl_store_router(s, l);
    m.tolerance = S16;
    check_values(&m);
    m.tolerance = Q8;
    static const char *const part[] = {"gate_proj", "up_proj", "down_proj"};
    for (m.matrix = 0; m.matrix < 3; m.matrix++) {
        snprintf(name, sizeof name, "model.layers.%u.mlp.shared_mlp.%s.weight", l, part[m.matrix]);
        m.slab = sl_store_shared(s, l);
        check_values(&m);
        uint32_t e = c->n_expert - 1 - l;
        snprintf(name, sizeof name, "model.layers.%u.mlp.experts.%u.%s.weight", l, e,
                 part[m.matrix]);
        m.slab = sl_store_expert(s, l, e);
        check_values(&m);
    }
}

static void check_yuan_layer(const struct sl_store *s, const char *file, uint32_t l)
{
    const struct sl_config *c = sl_store_config(s);
    char name[128];
    struct compare m = {.file = file, .name = name, .tolerance = Q8};
    static const char *const proj[] = {"q_proj", "k_proj", "v_proj", "o_proj"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "model.layers.%u.self_attn.%s.weight", l, proj[i]);
        m.slab = sl_store_matrix(s, (enum sl_matrix)i, l);
        check_values(&m);
    }
    static const char *const gate[] = {"query", "key", "value"};
    m.slab = sl_store_router(s, l);
    m.tolerance = S16;
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "model.layers.%u.mlp.gate.%s.weight", l, gate[i]);
        m.row_at = i * c->n_expert;
        check_values(&m);
    }
    m.row_at = 0;
    m.tolerance = Q8;
    m.slab = sl_store_expert(s, l, 5);
    snprintf(name, sizeof name, "model.layers.%u.mlp.experts.5.w2.weight", l);
    m.matrix = 2;
    check_values(&m);
    snprintf(name, sizeof name, "model.layers.%u.mlp.experts.5.w1.weight", l);
    m.rows = c->d_ff; /* the first half is activated: gate */
    m.matrix = 0;
    check_values(&m);
    m.first = c->d_ff;
    m.matrix = 1;
    check_values(&m);
}

static void test_right_tensors(void)
{
    for (const char *const *model = rig_models(); *model && model < rig_models() + 4; model++) {
        struct in_memory m = quantise(*model, "q8", "q8", 1);
        const struct sl_config *c = sl_store_config(m.store);
        const char *path = rig_join(*model, "model.safetensors");
        char file[RIG_PATH];
        snprintf(file, sizeof file, "%s", path);
        for (uint32_t l = 0; l < c->n_layer; l++)
            (c->family == SL_FAMILY_YUAN ? check_yuan_layer : check_hunyuan_layer)(m.store, file,
                                                                                   l);
        struct compare head = {.file = file,
                               .name = c->tied ? "model.embed_tokens.weight" : "lm_head.weight",
                               .slab = sl_store_matrix(m.store, SL_MATRIX_LM_HEAD, 0),
                               .tolerance = Q8};
        check_values(&head);
        close_memory(&m);
    }
}

/* The FP8 release keeps its codes: every weight is code * the scale that was rounded once. */
static void test_fp8_release(void)
{
    const char *dir = rig_models()[1];
    char file[RIG_PATH];
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    struct in_memory m = quantise(dir, "fp8", "fp8", 1);
    const uint8_t *slab = (const uint8_t *)sl_store_expert(m.store, 1, 3).header;
    static const char *const part[] = {"gate_proj", "up_proj", "down_proj"};
    size_t n;
    uint8_t *data = rig_read(file, &n);
    for (unsigned i = 0; i < 3; i++) {
        char name[128];
        struct rig_tensor t;
        snprintf(name, sizeof name, "model.layers.1.mlp.experts.3.%s.weight", part[i]);
        CU_ASSERT_FATAL(rig_find(file, name, &t));
        CU_ASSERT_STRING_EQUAL(t.dtype, "F8_E4M3");
        uint64_t wrong = 0;
        for (uint64_t k = 0; k < t.bytes; k++)
            wrong +=
                sl_test_weight(slab, i, (uint32_t)(k / t.dim[1]), (uint32_t)(k % t.dim[1])).code !=
                data[t.offset + k];
        CU_ASSERT_EQUAL(wrong, 0);
    }
    free(data);
    close_memory(&m);
}

/* Unquantised tensors are the checkpoint's bytes under its names; quantised ones are not kept. */
static void test_kept_tensors(void)
{
    for (const char *const *model = rig_models(); *model; model++) {
        char out[RIG_PATH], in_file[RIG_PATH], out_file[RIG_PATH];
        rig_fresh(out, NULL);
        snprintf(in_file, sizeof in_file, "%s/model.safetensors", *model);
        snprintf(out_file, sizeof out_file, "%s", rig_join(out, "tensors.safetensors"));
        CU_ASSERT_EQUAL_FATAL(convert(*model, out, "nf4", "q8"), 0);
        struct sl_store *s = must_open(out);
        const struct sl_checkpoint *kept = sl_store_tensors(s);
        size_t n_in, n_out;
        uint8_t *in = rig_read(in_file, &n_in), *copy = rig_read(out_file, &n_out);
        for (size_t i = 0; i < sl_checkpoint_count(kept); i++) {
            struct rig_tensor a, b;
            const char *name = sl_checkpoint_at(kept, i)->name;
            CU_ASSERT_FATAL(rig_find(in_file, name, &a) && rig_find(out_file, name, &b));
            CU_ASSERT_STRING_EQUAL(a.dtype, b.dtype);
            CU_ASSERT(a.bytes == b.bytes && !memcmp(in + a.offset, copy + b.offset, a.bytes));
            CU_ASSERT_PTR_NULL(strstr(name, "_proj.weight"));
            CU_ASSERT_PTR_NULL(strstr(name, "mlp."));
        }
        CU_ASSERT_PTR_NOT_NULL(sl_checkpoint_find(kept, "model.embed_tokens.weight"));
        CU_ASSERT_PTR_NOT_NULL(sl_checkpoint_find(kept, "model.layers.1.input_layernorm.weight"));
        CU_ASSERT_EQUAL(sl_checkpoint_find(kept, "model.layers.2.self_attn.lf_gate.conv2.bias") !=
                            NULL,
                        sl_store_config(s)->has_lfa);
        CU_ASSERT_EQUAL(sl_checkpoint_find(kept, "model.layers.1.self_attn.key_layernorm.weight") !=
                            NULL,
                        sl_store_config(s)->qk_norm);
        free(in);
        free(copy);
        sl_store_close(&s);
    }
}

/* ---- other spellings of the same model ------------------------------------------------------ */

static struct rig_entry *find_entry(struct rig_entry *e, size_t n, const char *fmt, uint32_t layer,
                                    const char *name)
{
    char want[128];
    snprintf(want, sizeof want, fmt, layer, name);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(e[i].name, want))
            return &e[i];
    return NULL;
}

/* Takes n rows of `from` into `to`, which grows; the rows are gone from nowhere. */
static void append_rows(struct rig_entry *to, const struct rig_entry *from, uint64_t first,
                        uint64_t n)
{
    to->cols = from->cols;
    to->data = realloc(to->data, (to->rows + n) * to->cols * sizeof(float));
    memcpy(to->data + to->rows * to->cols, from->data + first * from->cols,
           n * from->cols * sizeof(float));
    to->rows += n;
}

/* q, k, v of an owner layer as qkv_proj: per KV head its query heads, its key, its value. */
static void fuse_qkv(struct rig_entry *e, size_t n, uint32_t layer, const struct sl_config *c)
{
    static const char fmt[] = "model.layers.%u.self_attn.%s.weight";
    struct rig_entry *q = find_entry(e, n, fmt, layer, "q_proj"),
                     *k = find_entry(e, n, fmt, layer, "k_proj"),
                     *v = find_entry(e, n, fmt, layer, "v_proj"), fused = {0};
    if (!k)
        return; /* a layer that uses another's keys */
    uint32_t d = c->head_dim, group = c->n_head / c->n_kv_head * d;
    for (uint32_t h = 0; h < c->n_kv_head; h++) {
        append_rows(&fused, q, h * group, group);
        append_rows(&fused, k, h * d, d);
        append_rows(&fused, v, h * d, d);
    }
    free(q->data);
    snprintf(fused.name, sizeof fused.name, fmt, layer, "qkv_proj");
    *q = fused;
    k->name[0] = v->name[0] = 'x'; /* no longer found */
}

/* gate and up as gate_and_up_proj: up first. */
static void fuse_mlp(struct rig_entry *e, size_t n, uint32_t layer, const char *mlp)
{
    char fmt[96];
    snprintf(fmt, sizeof fmt, "model.layers.%%u.mlp.%s.%%s.weight", mlp);
    struct rig_entry *gate = find_entry(e, n, fmt, layer, "gate_proj"),
                     *up = find_entry(e, n, fmt, layer, "up_proj"), fused = {0};
    append_rows(&fused, up, 0, up->rows);
    append_rows(&fused, gate, 0, gate->rows);
    free(gate->data);
    snprintf(fused.name, sizeof fused.name, "model.layers.%u.mlp.%s.gate_and_up_proj.weight", layer,
             mlp);
    *gate = fused;
    up->name[0] = 'x';
}

static void test_fused(void)
{
    char dir[RIG_PATH];
    size_t n;
    struct in_memory plain = quantise(rig_models()[0], "q8", "nf4", 2);
    const struct sl_config *c = sl_store_config(plain.store);
    rig_fresh(dir, rig_models()[0]);
    struct rig_entry *e = rig_load(rig_join(dir, "model.safetensors"), &n);
    for (uint32_t l = 0; l < c->n_layer; l++) {
        fuse_qkv(e, n, l, c);
        fuse_mlp(e, n, l, "shared_mlp");
        for (uint32_t i = 0; i < c->n_expert; i++) {
            char name[32];
            snprintf(name, sizeof name, "experts.%u", i);
            fuse_mlp(e, n, l, name);
        }
    }
    rig_save(rig_join(dir, "model.safetensors"), e, n);
    rig_free(e, n);
    struct in_memory fused = quantise(dir, "q8", "nf4", 2);
    CU_ASSERT_EQUAL(count_differences(plain.store, fused.store), 0);
    close_memory(&plain);
    close_memory(&fused);
}

/* Attention biases stay tensors; layers that own no keys have none for them. */
static void test_biases(void)
{
    char dir[RIG_PATH], out[RIG_PATH];
    size_t n, n_text;
    rig_fresh(dir, rig_models()[0]);
    rig_fresh(out, NULL);
    struct rig_entry *e = rig_load(rig_join(dir, "model.safetensors"), &n);
    e = realloc(e, (n + 16) * sizeof *e);
    static const char *const proj[] = {"q_proj", "k_proj", "v_proj", "o_proj"};
    for (uint32_t l = 0; l < 4; l++)
        for (unsigned p = 0; p < 4; p++) {
            if (l % 2 && (p == 1 || p == 2))
                continue;
            struct rig_entry *b = &e[n++];
            *b = (struct rig_entry){.rows = p == 1 || p == 2 ? 16 : 64};
            snprintf(b->name, sizeof b->name, "model.layers.%u.self_attn.%s.bias", l, proj[p]);
            b->data = calloc(b->rows, sizeof(float));
            b->data[3] = (float)(l * 4 + p);
        }
    rig_save(rig_join(dir, "model.safetensors"), e, n);
    rig_free(e, n);
    char *text = (char *)rig_read(rig_join(dir, "config.json"), &n_text);
    char *at = strstr(text, "\"attention_bias\": false");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, "\"attention_bias\": true ", 23);
    rig_write(rig_join(dir, "config.json"), text, n_text);
    free(text);
    CU_ASSERT_EQUAL_FATAL(convert(dir, out, "q8", "q8"), 0);
    struct sl_store *s = must_open(out);
    const struct sl_checkpoint *kept = sl_store_tensors(s);
    const struct sl_tensor *t = sl_checkpoint_find(kept, "model.layers.2.self_attn.v_proj.bias");
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    float v[16];
    sl_tensor_read(t, 0, 16, v);
    CU_ASSERT_EQUAL(v[3], 10);
    CU_ASSERT_PTR_NOT_NULL(sl_checkpoint_find(kept, "model.layers.3.self_attn.o_proj.bias"));
    CU_ASSERT_PTR_NULL(sl_checkpoint_find(kept, "model.layers.3.self_attn.k_proj.bias"));
    sl_store_close(&s);
}

/* ---- damage --------------------------------------------------------------------------------- */

static void expect_refused(const char *dir, int code, const char *word)
{
    struct sl_store *s = NULL;
    int err = sl_store_open(&s, dir);
    if (err != code || !strstr(sl_error_message(), word))
        printf("[%d: %s; wanted \"%s\"] ", err, sl_error_message(), word);
    CU_ASSERT_EQUAL(err, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), word));
    CU_ASSERT_PTR_NULL(s);
    sl_store_close(&s);
}

static void test_damaged_files(void)
{
    char good[RIG_PATH], bad[RIG_PATH];
    static const char *const files[] = {"layer-0000.slab", "layer-0003.slab", "head.slab",
                                        "tensors.safetensors"};
    rig_fresh(good, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(rig_models()[0], good, "nf4", "q8"), 0);
    for (size_t i = 0; i < 4; i++) {
        struct stat st;
        rig_fresh(bad, good);
        CU_ASSERT_EQUAL(stat(rig_join(bad, files[i]), &st), 0);
        CU_ASSERT_EQUAL(truncate(rig_join(bad, files[i]), st.st_size - 1), 0);
        expect_refused(bad, SL_ERR_FORMAT, files[i]);
        CU_ASSERT_EQUAL(truncate(rig_join(bad, files[i]), 0), 0);
        expect_refused(bad, SL_ERR_FORMAT, files[i]);
        CU_ASSERT_EQUAL(truncate(rig_join(bad, files[i]), st.st_size + 4096), 0);
        expect_refused(bad, SL_ERR_FORMAT, files[i]);
        unlink(rig_join(bad, files[i]));
        expect_refused(bad, SL_ERR_IO, files[i]);
        CU_ASSERT_EQUAL(mkdir(rig_join(bad, files[i]), 0755), 0);
        expect_refused(bad, SL_ERR_IO, files[i]);
    }
    /* Every byte of a slab's header counts. */
    for (size_t at = 0; at < 16; at++) {
        rig_fresh(bad, good);
        rig_flip(rig_join(bad, "layer-0001.slab"), at, 0x11);
        expect_refused(bad, SL_ERR_FORMAT, "layers.1.q");
    }
    rig_fresh(bad, good);
    rig_flip(rig_join(bad, "tensors.safetensors"), 9, 0xFF);
    expect_refused(bad, SL_ERR_FORMAT, "tensors.safetensors");
    unlink(rig_join(bad, "manifest.json"));
    expect_refused(bad, SL_ERR_IO, "manifest.json");
}

static void test_flipped_bytes(void)
{
    char dir[RIG_PATH];
    struct sl_pool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 2), 0);
    rig_fresh(dir, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(rig_models()[3], dir, "q8", "q8"), 0);
    static const struct {
        const char *file;
        size_t at;
        const char *name;
    } flips[] = {{"layer-0000.slab", 64, "layers.0.q"},
                 {"head.slab", 5000, "head"},
                 {"tensors.safetensors", 0, "tensors"}};
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        const char *path = rig_join(dir, flips[i].file);
        CU_ASSERT_EQUAL(stat(path, &st), 0);
        size_t at = flips[i].at ? flips[i].at : (size_t)st.st_size - 1;
        rig_flip(path, at, 1);
        struct sl_store *s = must_open(dir); /* opening does not read everything */
        CU_ASSERT_EQUAL(sl_store_verify(s, pool), SL_ERR_FORMAT);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), flips[i].name));
        sl_store_close(&s);
        rig_flip(rig_join(dir, flips[i].file), at, 1);
    }
    struct sl_store *s = must_open(dir);
    CU_ASSERT_EQUAL(sl_store_verify(s, pool), 0);
    sl_store_close(&s);
    sl_pool_close(&pool);
}

/* Replaces the first occurrence of a text in manifest.json. */
static void edit_manifest(const char *dir, const char *from, const char *to)
{
    size_t n;
    char *text = (char *)rig_read(rig_join(dir, "manifest.json"), &n);
    char *at = strstr(text, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    char *out = malloc(n + strlen(to) + 1);
    int len = sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    rig_write(rig_join(dir, "manifest.json"), out, (size_t)len);
    free(out);
    free(text);
}

static void test_damaged_manifests(void)
{
    char good[RIG_PATH], bad[RIG_PATH];
    rig_fresh(good, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(rig_models()[0], good, "nf4", "q8"), 0);
    static const struct {
        const char *from, *to;
        int code;
        const char *word;
    } edits[] = {
        {"\"sluice_store\": 1", "\"sluice_store\": 2", SL_ERR_ABI, "version 2"},
        {"\"sluice_store\": 1", "\"sluice_store\": \"1\"", SL_ERR_FORMAT, "sluice_store"},
        {"\"abi_version\": ", "\"abi_version\": 1", SL_ERR_ABI, "contract"},
        {"\"abi_version\": ", "\"abi_version\": -", SL_ERR_FORMAT, "abi_version"},
        {"\"format\": \"nf4\"", "\"format\": \"nf5\"", SL_ERR_FORMAT, "format"},
        {"\"format\": \"nf4\"", "\"format\": \"q8\"", SL_ERR_FORMAT, "layer-0000.slab"},
        {"\"format_dense\"", "\"format_sparse\"", SL_ERR_FORMAT, "format_dense"},
        {"\"identity\": \"", "\"identity\": \"0", SL_ERR_FORMAT, "identity"},
        {"\"groups\"", "\"grapes\"", SL_ERR_FORMAT, "groups"},
        {"\"config\": {", "\"config\": [], \"x\": {", SL_ERR_FORMAT, "config"},
        {"\"num_experts\": 16", "\"num_experts\": 17", SL_ERR_FORMAT, "layer-0000.slab"},
        {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 2", SL_ERR_FORMAT, "parts"},
        {"layer-0001.slab", "../layer-01.slab", SL_ERR_FORMAT, "layer-0001.slab"},
        {"\"name\": \"layers.2.o\"", "\"name\": \"layers.2.q\"", SL_ERR_FORMAT, "layers.2.o"},
        {"\"offset\": 0", "\"offset\": 64", SL_ERR_FORMAT, "layers.0.q"},
        {"\"beats\": ", "\"beats\": 9", SL_ERR_FORMAT, "layers.0.q"},
        {"\"beats\": ", "\"beats\": -9", SL_ERR_FORMAT, "layers.0.q"},
        {"\"xxh3\": \"", "\"xxh3\": \"-", SL_ERR_FORMAT, "tensors"},
        {"\"parts\": [", "\"parts\": [1,", SL_ERR_FORMAT, "parts"},
        {"\"slabs\": [", "\"slabs\": {}, \"x\": [", SL_ERR_FORMAT, "slabs"},
        {"{", "{,", SL_ERR_FORMAT, "line 1"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        rig_fresh(bad, good);
        edit_manifest(bad, edits[i].from, edits[i].to);
        expect_refused(bad, edits[i].code, edits[i].word);
    }
    size_t n;
    uint8_t *text = rig_read(rig_join(good, "manifest.json"), &n);
    for (size_t cut = 0; cut < n; cut += n / 50 + 1) {
        rig_write(rig_join(bad, "manifest.json"), text, cut);
        expect_refused(bad, SL_ERR_FORMAT, "manifest");
    }
    free(text);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static bool stop_at_third(void *user, const char *what, uint64_t done, uint64_t total)
{
    unsigned *calls = user;
    CU_ASSERT(what && done <= total);
    return ++*calls < 3;
}

static void test_stop(void)
{
    struct sl_checkpoint *ckpt;
    struct sl_config config;
    struct sl_store *s = NULL;
    unsigned calls = 0;
    struct sl_quant_params p = {.format = SL_FORMAT_Q8,
                                .format_dense = SL_FORMAT_Q8,
                                .progress = stop_at_third,
                                .progress_user = &calls};
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&ckpt, rig_models()[0]), 0);
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&config, rig_models()[0]), 0);
    CU_ASSERT_EQUAL(sl_store_quantise(&s, ckpt, &config, &p), SL_ERR_INTERRUPTED);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL(calls, 3);
    config.mlp_bias = true;
    CU_ASSERT_EQUAL(sl_store_quantise(&s, ckpt, &config, &p), SL_ERR_UNSUPPORTED);
    config.mlp_bias = false;
    config.d_model = 40000;
    CU_ASSERT_EQUAL(sl_store_quantise(&s, ckpt, &config, &p), SL_ERR_UNSUPPORTED);
    sl_checkpoint_close(&ckpt);
}

static void test_formats(void)
{
    for (size_t i = 0; i < 5; i++) {
        int f = -1;
        CU_ASSERT_EQUAL(sl_format_parse(&f, formats[i]), 0);
        CU_ASSERT_STRING_EQUAL(sl_format_name(f), formats[i]);
    }
    int f = -1;
    CU_ASSERT_EQUAL(sl_format_parse(&f, "q4"), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "nf4"));
    CU_ASSERT_EQUAL(f, -1);
}

static const struct sl_case cases[] = {
    {"a converted directory equals the model quantised in memory", test_directory_equals_memory},
    {"slabs are aligned, followed by readable beats, and exist where the model has them",
     test_shapes},
    {"every slab holds the weights of its tensor", test_right_tensors},
    {"the codes of the FP8 release survive", test_fp8_release},
    {"tensors that are not quantised are kept byte for byte", test_kept_tensors},
    {"fused tensors give the same slabs", test_fused},
    {"attention biases are kept", test_biases},
    {"damaged or missing files are refused by name", test_damaged_files},
    {"a flipped byte is found by its slab", test_flipped_bytes},
    {"damaged manifests are refused by what is wrong", test_damaged_manifests},
    {"quantisation stops when asked and refuses what the core lacks", test_stop},
    {"format names go both ways", test_formats},
    {NULL, NULL},
};
const struct sl_suite suite_store = {"store", cases};
