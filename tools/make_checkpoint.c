/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a checkpoint of any config as a released model has it: shards of safetensors and their
 * index, with the tensors' names, shapes and types, for conversions at full size where no weights
 * are at hand.
 *
 *     build/make_checkpoint CONFIG.json OUT_DIR [--dtype bf16|fp8] [--shards N] [--layers N]
 *                           [--random] [--seed S]
 *
 * Files are sparse: all weights are zeros and take no room on the disk. --random fills them:
 * matrices of K columns with a standard deviation of 1 / sqrt(K), norms with ones.
 * fp8: every linear layer is F8_E4M3 with an F32 weight_scale and input_scale, Hunyuan's router is
 * F32, the rest BF16; bf16: everything is BF16. Shards are cut where equal shares of the bytes end.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/half.h"
#include "store/names.h"
#include "store/outfile.h"
#include "synthetic.h"

enum { CHUNK = 8 << 20, TENSOR_NAME = SL_NAME_MAX + 16 };

enum content { MATRIX, ONES, SCALE };

struct tensor {
    char name[TENSOR_NAME];
    const char *dtype;
    uint64_t dim[4], bytes;
    unsigned n_dim;
    enum content content;
    float scale; /* content SCALE: its value */
};

struct maker {
    const char *out_dir;
    struct sl_config config;
    char *config_json;
    bool fp8, random;
    uint64_t seed;
    unsigned n_shard;
    struct tensor *tensor;
    size_t n, cap;
    uint64_t total;
    uint8_t *chunk;
};

/* ---- the tensors ---------------------------------------------------------------------------- */

static struct tensor *add(struct maker *k)
{
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 1024;
        k->tensor = realloc(k->tensor, k->cap * sizeof *k->tensor);
        if (!k->tensor)
            abort();
    }
    struct tensor *t = &k->tensor[k->n++];
    *t = (struct tensor){.dtype = "BF16"};
    return t;
}

static bool is_linear(enum sl_role role)
{
    return (role >= SL_ROLE_Q && role <= SL_ROLE_O) || role >= SL_ROLE_SHARED_GATE;
}

/* E4M3 codes of make_bytes have this root mean square. */
static const double rms_code = 1.69;

/* weight_scale and input_scale beside "<linear>.weight". */
static void add_scales(struct maker *k, const char *weight, uint64_t columns)
{
    static const char *const tail[] = {"weight_scale", "input_scale"};
    const int cut = (int)(strlen(weight) - strlen("weight"));
    char stem[TENSOR_NAME];
    snprintf(stem, sizeof stem, "%.*s", cut, weight);
    for (unsigned i = 0; i < 2; i++) {
        struct tensor *t = add(k);
        snprintf(t->name, sizeof t->name, "%.*s%s", SL_NAME_MAX, stem, tail[i]);
        t->dtype = "F32";
        t->bytes = 4;
        t->content = SCALE;
        t->scale = i ? 1 : (float)(1 / sqrt((double)columns) / rms_code);
    }
}

static void add_role(struct maker *k, struct sl_tensor_id id)
{
    if (!sl_tensor_exists(&k->config, id))
        return;
    struct tensor *t = add(k);
    uint64_t n = 1;
    sl_tensor_name(t->name, k->config.family, id);
    t->n_dim = sl_tensor_shape(&k->config, id.role, t->dim);
    for (unsigned d = 0; d < t->n_dim; d++)
        n *= t->dim[d];
    t->bytes = 2 * n;
    t->content = t->n_dim == 1 && !strstr(t->name, "bias") ? ONES : MATRIX;
    if (k->fp8 && id.role == SL_ROLE_ROUTER) {
        t->dtype = "F32";
        t->bytes = 4 * n;
    }
    if (k->fp8 && is_linear(id.role)) {
        const uint64_t columns = t->dim[1];
        char name[TENSOR_NAME];
        memcpy(name, t->name, sizeof name);
        t->dtype = "F8_E4M3";
        t->bytes = n;
        add_scales(k, name, columns);
    }
}

static void add_level(struct maker *k, enum sl_role_level level, uint32_t layer, uint32_t expert)
{
    for (int role = 0; role < SL_N_ROLE; role++)
        if (sl_role_level((enum sl_role)role) == level)
            add_role(k, (struct sl_tensor_id){(enum sl_role)role, layer, expert});
}

static void add_all(struct maker *k)
{
    add_level(k, SL_LEVEL_MODEL, 0, 0);
    for (uint32_t layer = 0; layer < k->config.n_layer; layer++) {
        add_level(k, SL_LEVEL_LAYER, layer, 0);
        for (uint32_t e = 0; e < k->config.n_expert; e++)
            add_level(k, SL_LEVEL_EXPERT, layer, e);
    }
    for (size_t i = 0; i < k->n; i++)
        k->total += k->tensor[i].bytes;
}

/* ---- their bytes ---------------------------------------------------------------------------- */

/* n bytes of the tensor from `start` on, in place of random ones. */
static void make_bytes(const struct tensor *t, uint8_t *p, uint64_t n)
{
    const float scale = (float)(sqrt(3.0 / (double)t->dim[t->n_dim > 1]) / 32768);
    if (!strcmp(t->dtype, "F8_E4M3")) {
        /* Exponents 5 to 8: a quarter to 3.75, neither zeros nor NaN. */
        for (uint64_t i = 0; i < n; i++)
            p[i] = (uint8_t)((p[i] & 0x80) | (5 + (p[i] >> 3 & 3)) << 3 | (p[i] & 7));
    } else if (!strcmp(t->dtype, "F32")) {
        for (uint64_t i = 0; i + 4 <= n; i += 4) {
            int16_t v;
            memcpy(&v, p + i, 2);
            const float f = (float)v * scale;
            memcpy(p + i, &f, 4);
        }
    } else {
        for (uint64_t i = 0; i + 2 <= n; i += 2) {
            int16_t v;
            memcpy(&v, p + i, 2);
            const uint16_t h = sl_f32_to_bf16(t->content == ONES ? 1 : (float)v * scale);
            memcpy(p + i, &h, 2);
        }
    }
}

/* The offset moves on even where nothing is written: the file stays sparse. */
static int write_tensor(struct maker *k, size_t i, struct sl_outfile *f)
{
    const struct tensor *t = &k->tensor[i];
    if (t->content == SCALE)
        return sl_outfile_write(f, &t->scale, 4);
    if (!k->random) {
        f->bytes += t->bytes;
        return lseek(f->fd, (off_t)t->bytes, SEEK_CUR) < 0
                   ? sl_fail(SL_ERR_IO, NULL, "%s: %s", f->name, strerror(errno))
                   : 0;
    }
    int err = 0;
    uint64_t start = synthetic_mix(k->seed ^ synthetic_mix(i));
    for (uint64_t done = 0; done < t->bytes && !err; done += CHUNK) {
        const uint64_t n = t->bytes - done < CHUNK ? t->bytes - done : CHUNK;
        synthetic_fill(k->chunk, (n + 7) / 8 * 8, start = synthetic_mix(start));
        make_bytes(t, k->chunk, n);
        err = sl_outfile_write(f, k->chunk, n);
    }
    return err;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void shard_name(const struct maker *k, unsigned shard, char out[64])
{
    if (k->n_shard == 1)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05u-of-%05u.safetensors", shard + 1, k->n_shard);
}

/* Tensors [first, end) as one file. */
static int write_shard(struct maker *k, unsigned shard, size_t first, size_t end)
{
    char name[64];
    json_t *header = json_object();
    uint64_t at = 0;
    size_t n;
    struct sl_outfile f;
    for (size_t i = first; i < end; i++) {
        const struct tensor *t = &k->tensor[i];
        synthetic_entry(header, t->name, t->dtype, t->dim, t->n_dim, t->bytes, &at);
    }
    char *head = synthetic_header(header, &n);
    json_decref(header);
    if (!head)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory");
    shard_name(k, shard, name);
    int err = sl_outfile_open(&f, k->out_dir, name);
    err = err ? err : sl_outfile_write(&f, head, n);
    for (size_t i = first; i < end && !err; i++)
        err = write_tensor(k, i, &f);
    if (!err && ftruncate(f.fd, (off_t)f.bytes))
        err = sl_fail(SL_ERR_IO, NULL, "%s: %s", name, strerror(errno));
    err = err ? err : sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    free(head);
    return err;
}

static int write_index(const struct maker *k, json_t *map)
{
    json_t *index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)k->total,
                              "weight_map", map);
    char *text = json_dumps(index, JSON_INDENT(1));
    int err =
        text ? sl_outfile_put(k->out_dir, "model.safetensors.index.json", text, strlen(text), true)
             : sl_fail(SL_ERR_NOMEM, NULL, "out of memory");
    free(text);
    json_decref(index);
    return err;
}

static int write_all(struct maker *k)
{
    char name[64];
    json_t *map = json_object();
    uint64_t before = 0;
    int err = 0;
    for (size_t first = 0, end = 0; first < k->n && !err; first = end) {
        const unsigned shard = (unsigned)(before * k->n_shard / k->total);
        shard_name(k, shard, name);
        do {
            before += k->tensor[end].bytes;
            json_object_set_new(map, k->tensor[end++].name, json_string(name));
        } while (end < k->n && before * k->n_shard / k->total == shard);
        err = write_shard(k, shard, first, end);
    }
    if (!err && k->n_shard > 1)
        err = write_index(k, map);
    json_decref(map);
    return err ? err
               : sl_outfile_put(k->out_dir, "config.json", k->config_json, strlen(k->config_json),
                                true);
}

/* ---- the program ---------------------------------------------------------------------------- */

static int make(struct maker *k, const char *config, long layers)
{
    int err = synthetic_config(&k->config, &k->config_json, config, layers);
    if (err)
        return err;
    if (mkdir(k->out_dir, 0755) && errno != EEXIST)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", k->out_dir, strerror(errno));
    k->chunk = sl_alloc(1, CHUNK);
    if (!k->chunk)
        return SL_ERR_NOMEM;
    add_all(k);
    return write_all(k);
}

static int usage(void)
{
    fprintf(stderr, "usage: make_checkpoint CONFIG.json OUT_DIR [--dtype bf16|fp8] [--shards N] "
                    "[--layers N] [--random] [--seed S]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dtype", required_argument, NULL, 'd'},  {"shards", required_argument, NULL, 'n'},
        {"layers", required_argument, NULL, 'l'}, {"random", no_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},   {0}};
    struct maker k = {.n_shard = 1};
    long layers = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': k.fp8 = !strcmp(optarg, "fp8"); break;
        case 'n': k.n_shard = (unsigned)atoi(optarg); break;
        case 'l': layers = atol(optarg); break;
        case 'r': k.random = true; break;
        case 's': k.seed = strtoull(optarg, NULL, 10); break;
        default: return usage();
        }
    }
    if (argc - optind != 2 || k.n_shard < 1 || k.n_shard > 99999)
        return usage();
    k.out_dir = argv[optind + 1];
    int err = make(&k, argv[optind], layers);
    if (err)
        fprintf(stderr, "error: %s%s%s\n", sl_error_message(), *sl_error_hint() ? "; hint: " : "",
                sl_error_hint());
    else
        printf("%s: %zu tensors, %llu bytes\n", k.out_dir, k.n, (unsigned long long)k.total);
    free(k.tensor);
    free(k.chunk);
    free(k.config_json);
    return err ? 1 : 0;
}
