/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a converted model of any config with random weights, as fast as the disk takes it: for
 * measurements at full size where no weights are at hand.
 *
 *     build/make_model CONFIG.json OUT_DIR [--format nf4] [--format-dense q8] [--layers N]
 *                      [--seed S] [--threads N]
 *
 * Codes are uniform over the format's own, group scales over their 32 significands, and the
 * matrices' exponents such that a matrix of K columns has a standard deviation within a factor of
 * sqrt(2) of 1 / sqrt(K): activations stay of order one through any number of layers. Norms are
 * ones. The bytes depend on the config, the formats and the seed only. A run that was stopped goes
 * on behind the last part that was finished. There is no tokenizer: give token ids (--tokens).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/pool.h"
#include "store/format.h"
#include "store/kept.h"
#include "store/manifest.h"
#include "store/names.h"
#include "store/outfile.h"
#include "store/slab.h"
#include "synthetic.h"

enum { PORTION_BYTES = 32 << 20, STAGE_BYTES = 64 << 20, TOP_WE = 7, E4M3_ONE = 9 };

struct maker {
    const char *out_dir;
    char *config_json;
    struct sl_manifest m;
    struct sl_pool *pool;
    XXH3_state_t *hash;
    uint8_t *portion;
    uint8_t *stage; /* what is written next, past the page cache where that is possible */
    size_t n_stage;
    uint64_t seed, done, total;
    uint8_t code[2][256]; /* of experts, of dense matrices: a random byte to a byte of codes */
    double rms[2];        /* of the values of these codes */
};

/* ---- codes ---------------------------------------------------------------------------------- */

static const int8_t books[][16] = {
#define CODEBOOK(name, ...) [SL_FORMAT_##name] = {__VA_ARGS__},
#include "tables.def"
#undef CODEBOOK
};

/* The integer that a code stands for; fp8: times 2^-9. */
static double code_value(int format, uint8_t code)
{
    if (sl_format_is_4bit(format))
        return books[format][code & 15];
    return format == SL_FORMAT_FP8 ? ldexp((double)sl_e4m3_to_f32(code), E4M3_ONE) : (int8_t)code;
}

static void make_codes(struct maker *k, unsigned which, int format)
{
    double sum = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        if (format == SL_FORMAT_Q8 && code == 0x80)
            code = 0x81;
        if (format == SL_FORMAT_FP8) /* four binades: neither zeros, nor NaN */
            code = (uint8_t)((i & 0x80) | (5 + (i >> 3 & 3)) << 3 | (i & 7));
        k->code[which][i] = code;
        sum += pow(code_value(format, code), 2);
    }
    k->rms[which] = sqrt(sum / 256);
}

/* ---- slabs ---------------------------------------------------------------------------------- */

static unsigned which_codes(const struct sl_slab_item *item)
{
    return item->kind != SL_KIND_EXPERT;
}

/* Exponent for a standard deviation near 1 / sqrt(columns), and the one that comes out. */
static int choose_exp(const struct maker *k, const struct sl_slab_item *item, uint64_t columns,
                      double *sigma)
{
    /* sig is uniform over 32..63, and all groups use the largest we; fp8's significand is 2^15. */
    const double unit = item->format == SL_FORMAT_FP8 ? 32768.0 : 48.4 * (1 << TOP_WE);
    const double one = k->rms[which_codes(item)] * unit;
    const int e = (int)lrint(log2(1 / sqrt((double)columns) / one));
    *sigma = ldexp(one, e);
    return e;
}

static struct sl_slab make_slab_header(const struct maker *k, const struct sl_slab_item *item)
{
    struct sl_slab h = sl_slab_item_header(item);
    double gate, down;
    if (item->kind == SL_KIND_ROUTER)
        return h;
    h.exp0 = (int16_t)choose_exp(k, item, item->k, &gate);
    if (item->kind == SL_KIND_EXPERT) {
        h.exp1 = h.exp0;
        h.exp2 = (int16_t)choose_exp(k, item, item->rows, &down);
        const double energy = gate * gate * item->k;
        h.u_h = (int16_t)sl_pack_u_h(energy, energy);
    }
    return h;
}

/* Header beat, and a router's row exponents: its weights get the deviation 2 / sqrt(K). */
static void make_head(const struct sl_slab *h, uint64_t head_beats, uint8_t *dst)
{
    memset(dst, 0, head_beats * SL_BEAT_BYTES);
    memcpy(dst, h, sizeof *h);
    if (h->kind == SL_KIND_ROUTER) {
        const double rms = 32768 / sqrt(3);
        memset(dst + SL_BEAT_BYTES, (int)lrint(log2(2 / sqrt((double)h->k) / rms)), h->rows);
    }
}

struct unit_job {
    const struct maker *k;
    const struct sl_slab_item *item;
    uint64_t columns, rows, first, unit_bytes, start;
    uint8_t *dst;
};

/* Scale bytes of n groups, zeros behind them. */
static void finish_scales(uint8_t *scale, uint64_t n, uint64_t bytes)
{
    for (uint64_t i = 0; i < n; i++)
        scale[i] |= TOP_WE << 5;
    memset(scale + n, 0, bytes - n);
}

/* A row of 8-bit codes, or a pair of rows of 4-bit codes, behind its scales. */
static void finish_row(const struct unit_job *j, uint8_t *row, bool exists)
{
    const int format = j->item->format;
    const uint64_t groups = j->columns / SL_BLOCK * (sl_format_is_4bit(format) ? 2 : 1);
    const uint64_t scale_bytes = sl_scale_beats(format, j->columns) * SL_BEAT_BYTES;
    const uint64_t k64 = sl_k64(j->columns);
    const uint8_t *code = j->k->code[which_codes(j->item)];
    uint8_t *weight = row + scale_bytes;
    if (scale_bytes)
        finish_scales(row, exists ? groups : 0, scale_bytes);
    for (uint64_t i = 0; i < j->columns && !sl_format_is_4bit(format); i++)
        weight[i] = code[weight[i]];
    memset(weight + (exists ? j->columns : 0), sl_zero_byte(format),
           k64 - (exists ? j->columns : 0));
}

static void make_unit(void *user, size_t i, unsigned thread)
{
    (void)thread;
    const struct unit_job *j = user;
    const uint64_t unit = j->first + i;
    uint8_t *dst = j->dst + i * j->unit_bytes;
    synthetic_fill(dst, j->unit_bytes, synthetic_mix(j->start + unit));
    if (j->item->kind == SL_KIND_ROUTER)
        return;
    if (sl_format_is_4bit(j->item->format)) {
        finish_row(j, dst, true);
        return;
    }
    finish_row(j, dst, true);
    finish_row(j, dst + j->unit_bytes / 2, 2 * unit + 1 < j->rows);
}

static bool tell(const struct maker *k, const char *what)
{
    if (isatty(2))
        fprintf(stderr, "\r%5.1f %%  %-40s", 100 * (double)k->done / (double)k->total, what);
    return true;
}

/* Whole stages go past the page cache: copying there costs more than the disk. */
static int flush(struct maker *k, struct sl_outfile *f)
{
    const int flags = fcntl(f->fd, F_GETFL);
    const bool direct = k->n_stage == STAGE_BYTES && !fcntl(f->fd, F_SETFL, flags | O_DIRECT);
    int err = sl_outfile_write(f, k->stage, k->n_stage);
    if (direct)
        fcntl(f->fd, F_SETFL, flags);
    k->n_stage = 0;
    return err;
}

/* data NULL: zeros. */
static int put(struct maker *k, struct sl_outfile *f, const void *data, uint64_t n)
{
    int err = 0;
    for (uint64_t done = 0, step; done < n && !err; done += step) {
        const uint64_t room = STAGE_BYTES - k->n_stage;
        step = n - done < room ? n - done : room;
        if (data)
            memcpy(k->stage + k->n_stage, (const uint8_t *)data + done, step);
        else
            memset(k->stage + k->n_stage, 0, step);
        k->n_stage += step;
        err = k->n_stage == STAGE_BYTES ? flush(k, f) : 0;
    }
    return err;
}

static int emit(struct maker *k, struct sl_outfile *f, size_t n)
{
    XXH3_64bits_update(k->hash, k->portion, n);
    k->done += n;
    return put(k, f, k->portion, n);
}

static int write_region(struct maker *k, const struct sl_slab_item *item, unsigned region,
                        struct sl_outfile *f)
{
    const struct sl_slab h = sl_slab_item_header(item);
    const struct sl_slab_shape shape = sl_slab_get_shape(&h);
    const bool expert = item->kind == SL_KIND_EXPERT;
    struct unit_job j = {.k = k,
                         .item = item,
                         .columns = region ? item->rows : item->k,
                         .rows = expert ? 2 * shape.units[region] : item->rows,
                         .unit_bytes = shape.unit_beats[region] * SL_BEAT_BYTES,
                         .dst = k->portion};
    const uint64_t step = PORTION_BYTES / j.unit_bytes;
    j.start =
        synthetic_mix(synthetic_mix(k->seed) + 2 * (uint64_t)(item - k->m.layout.item) + region)
        << 20;
    int err = 0;
    for (uint64_t at = 0; at < shape.units[region] && !err; at += step) {
        const uint64_t n = shape.units[region] - at < step ? shape.units[region] - at : step;
        j.first = at;
        sl_pool_run(k->pool, make_unit, &j, n);
        err = emit(k, f, (size_t)(n * j.unit_bytes));
    }
    return err;
}

static int write_slab(struct maker *k, size_t i, struct sl_outfile *f)
{
    const struct sl_slab_item *item = &k->m.layout.item[i];
    const struct sl_slab h = make_slab_header(k, item);
    const struct sl_slab_shape shape = sl_slab_get_shape(&h);
    char name[SL_SLAB_NAME_MAX];
    sl_slab_item_name(item, name);
    tell(k, name);
    int err = put(k, f, NULL, item->offset - f->bytes - k->n_stage);
    XXH3_64bits_reset(k->hash);
    make_head(&h, shape.head_beats, k->portion);
    err = err ? err : emit(k, f, (size_t)(shape.head_beats * SL_BEAT_BYTES));
    for (unsigned r = 0; r < shape.n_region && !err; r++)
        err = write_region(k, item, r, f);
    k->m.hash[i] = XXH3_64bits_digest(k->hash);
    return err;
}

/* ---- kept tensors --------------------------------------------------------------------------- */

static bool is_norm(enum sl_role role)
{
    return role == SL_ROLE_FINAL_NORM || role == SL_ROLE_ATTN_NORM || role == SL_ROLE_FFN_NORM ||
           role == SL_ROLE_Q_NORM || role == SL_ROLE_K_NORM || role == SL_ROLE_LFA_NORM;
}

static bool is_bias(enum sl_role role)
{
    return (role >= SL_ROLE_Q_BIAS && role <= SL_ROLE_O_BIAS) || role == SL_ROLE_LFA_CONV1_BIAS ||
           role == SL_ROLE_LFA_CONV2_BIAS;
}

/* Calls fn for every tensor that a model of this config keeps. */
typedef int (*kept_fn)(struct maker *k, struct sl_tensor_id id, void *user);
static int for_each_kept(struct maker *k, kept_fn fn, void *user)
{
    const struct sl_config *c = &k->m.layout.config;
    int err = 0;
    for (int role = 0; role < SL_N_ROLE && !err; role++) {
        const bool once = sl_role_level((enum sl_role)role) == SL_LEVEL_MODEL;
        for (uint32_t l = 0; l < (once ? 1 : c->n_layer) && !err; l++) {
            const struct sl_tensor_id id = {(enum sl_role)role, l, 0};
            if (sl_role_is_kept(id.role) && sl_tensor_exists(c, id))
                err = fn(k, id, user);
        }
    }
    return err;
}

static uint64_t tensor_elements(const struct sl_config *c, enum sl_role role, unsigned *n_dim,
                                uint64_t dim[4])
{
    uint64_t n = 1;
    *n_dim = sl_tensor_shape(c, role, dim);
    for (unsigned d = 0; d < *n_dim; d++)
        n *= dim[d];
    return n;
}

struct tensor_list {
    json_t *header;
    uint64_t bytes;
};

static int add_tensor(struct maker *k, struct sl_tensor_id id, void *user)
{
    struct tensor_list *list = user;
    char name[SL_NAME_MAX];
    uint64_t dim[4];
    unsigned n_dim;
    const uint64_t bytes = 2 * tensor_elements(&k->m.layout.config, id.role, &n_dim, dim);
    sl_tensor_name(name, k->m.layout.config.family, id);
    synthetic_entry(list->header, name, "BF16", dim, n_dim, bytes, &list->bytes);
    return 0;
}

/* Embedding: deviation 1. Convolutions: 1 / sqrt(inputs). */
static int write_tensor(struct maker *k, struct sl_tensor_id id, void *user)
{
    enum { STEP = 1 << 20 };
    uint64_t dim[4],
        start = synthetic_mix(k->seed ^ synthetic_mix((uint64_t)id.role << 32 | id.layer));
    unsigned n_dim;
    uint64_t left = tensor_elements(&k->m.layout.config, id.role, &n_dim, dim);
    const double inputs = n_dim == 4 ? 2.0 * (double)dim[1] : 1;
    const float scale = (float)(sqrt(3 / inputs) / 32768);
    uint16_t *v = (void *)k->portion;
    int err = 0;
    for (; left > 0 && !err; start = synthetic_mix(start)) {
        const uint64_t n = left < STEP ? left : STEP;
        synthetic_fill(k->portion, (2 * n + 7) / 8 * 8, start);
        for (uint64_t i = 0; i < n; i++)
            v[i] = is_norm(id.role)   ? sl_f32_to_bf16(1)
                   : is_bias(id.role) ? 0
                                      : sl_f32_to_bf16((float)(int16_t)v[i] * scale);
        err = put(k, user, v, 2 * n);
        k->done += 2 * n;
        left -= n;
    }
    tell(k, SL_TENSORS_NAME);
    return err;
}

/* Also called for a file that is there already: *bytes is its size. */
static char *make_tensor_header(struct maker *k, size_t *n, uint64_t *bytes)
{
    struct tensor_list list = {.header = json_object()};
    for_each_kept(k, add_tensor, &list);
    char *out = synthetic_header(list.header, n);
    json_decref(list.header);
    *bytes = *n + list.bytes;
    return out;
}

static int write_tensors(struct maker *k)
{
    size_t n;
    uint64_t bytes;
    char *header = make_tensor_header(k, &n, &bytes);
    if (!header)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory");
    struct sl_outfile f;
    int err = sl_outfile_open(&f, k->out_dir, SL_TENSORS_NAME);
    k->n_stage = 0;
    err = err ? err : put(k, &f, header, n);
    err = err ? err : for_each_kept(k, write_tensor, &f);
    err = err ? err : flush(k, &f);
    err = err ? err : sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    free(header);
    return err;
}

static int hash_tensors(struct maker *k)
{
    char path[PATH_MAX];
    struct sl_checkpoint *ckpt = NULL;
    struct sl_kept kept = {0};
    int err = sl_path_join(path, k->out_dir, SL_TENSORS_NAME);
    err = err ? err : sl_checkpoint_open_file(&ckpt, path);
    err = err ? err : sl_kept_open(&kept, ckpt, &k->m.layout.config);
    k->m.tensors_hash = err ? 0 : sl_kept_hash(&kept);
    sl_kept_close(&kept);
    sl_checkpoint_close(&ckpt);
    return err;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static bool is_finished(struct maker *k, uint32_t part)
{
    char name[SL_PART_NAME_MAX], path[PATH_MAX];
    struct sl_fragment f;
    struct stat st;
    sl_part_file_name(&k->m.layout, part, name);
    return sl_fragment_read(&f, k->out_dir, &k->m.layout, part, k->m.hash) &&
           f.identity == k->m.identity && !sl_path_join(path, k->out_dir, name) &&
           !stat(path, &st) && (uint64_t)st.st_size == f.bytes;
}

static int write_part(struct maker *k, uint32_t part)
{
    const struct sl_layout *l = &k->m.layout;
    char name[SL_PART_NAME_MAX];
    struct sl_outfile f;
    sl_part_file_name(l, part, name);
    int err = sl_outfile_open(&f, k->out_dir, name);
    k->n_stage = 0;
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && !err; i++)
        err = write_slab(k, i, &f);
    err = err ? err : put(k, &f, NULL, l->part_bytes[part] - f.bytes - k->n_stage);
    err = err ? err : flush(k, &f);
    err = err ? err : sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    return err;
}

static int make_part(struct maker *k, uint32_t part)
{
    const bool tensors = part == k->m.layout.n_part;
    const uint64_t bytes = tensors ? k->m.tensors_bytes : k->m.layout.part_bytes[part];
    const uint64_t before = k->done;
    const struct sl_fragment f = {.identity = k->m.identity, .bytes = bytes};
    int err = 0;
    if (!is_finished(k, part)) {
        err = tensors ? write_tensors(k) : write_part(k, part);
        err = err ? err : sl_fragment_write(&f, k->out_dir, &k->m.layout, part, k->m.hash);
    }
    k->done = before + bytes;
    return err;
}

static void remove_fragments(const struct maker *k)
{
    for (uint32_t p = 0; p <= k->m.layout.n_part; p++) {
        char name[SL_PART_NAME_MAX], path[PATH_MAX];
        sl_fragment_name(&k->m.layout, p, name);
        if (!sl_path_join(path, k->out_dir, name))
            unlink(path);
    }
}

static int make_all(struct maker *k)
{
    int err = 0;
    for (uint32_t p = 0; p <= k->m.layout.n_part && !err; p++)
        err = make_part(k, k->m.layout.n_part - p); /* the small ones, then the layers */
    err = err ? err : hash_tensors(k);
    err = err ? err
              : sl_outfile_put(k->out_dir, "config.json", k->config_json, strlen(k->config_json),
                               true);
    err = err ? err : sl_dir_sync(k->out_dir);
    err = err ? err : sl_manifest_write(&k->m, k->out_dir, k->config_json);
    if (!err)
        remove_fragments(k);
    return err;
}

/* ---- the program ---------------------------------------------------------------------------- */

struct args {
    const char *format, *dense, *config;
    long layers, threads;
};

static int open_maker(struct maker *k, const struct args *a)
{
    struct sl_config config;
    int format = 0, dense = 0;
    size_t n;
    int err = synthetic_config(&config, &k->config_json, a->config, a->layers);
    err = err ? err : sl_format_parse(&format, a->format);
    err = err ? err : sl_format_parse(&dense, a->dense);
    err = err ? err : sl_layout_open(&k->m.layout, &config, format, dense);
    err = err ? err : sl_pool_open(&k->pool, (unsigned)a->threads);
    if (err)
        return err;
    make_codes(k, 0, format);
    make_codes(k, 1, dense);
    free(make_tensor_header(k, &n, &k->m.tensors_bytes));
    k->m.hash = sl_alloc(k->m.layout.n_item, sizeof *k->m.hash);
    k->portion = sl_alloc_large(PORTION_BYTES);
    k->stage = sl_alloc_large(STAGE_BYTES);
    k->hash = XXH3_createState();
    k->total = k->m.layout.total_bytes + k->m.tensors_bytes;
    const uint64_t what[] = {SL_ABI_VERSION, (uint64_t)format, (uint64_t)dense, k->seed};
    k->m.identity = XXH3_64bits_withSeed(k->config_json, strlen(k->config_json),
                                         XXH3_64bits(what, sizeof what));
    if (!k->m.hash || !k->portion || !k->stage || !k->hash)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory");
    if (mkdir(k->out_dir, 0755) && errno != EEXIST)
        return sl_fail(SL_ERR_IO, NULL, "%s: %s", k->out_dir, strerror(errno));
    return 0;
}

static void close_maker(struct maker *k)
{
    sl_pool_close(&k->pool);
    sl_manifest_close(&k->m);
    XXH3_freeState(k->hash);
    free(k->portion);
    free(k->stage);
    free(k->config_json);
}

static int usage(void)
{
    fprintf(stderr, "usage: make_model CONFIG.json OUT_DIR [--format F] [--format-dense F] "
                    "[--layers N] [--seed S] [--threads N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},  {"format-dense", required_argument, NULL, 'd'},
        {"layers", required_argument, NULL, 'l'},  {"seed", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'}, {0}};
    struct args a = {.format = "nf4", .dense = "q8"};
    struct maker k = {0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'f': a.format = optarg; break;
        case 'd': a.dense = optarg; break;
        case 'l': a.layers = atol(optarg); break;
        case 's': k.seed = strtoull(optarg, NULL, 10); break;
        case 't': a.threads = atol(optarg); break;
        default: return usage();
        }
    }
    if (argc - optind != 2)
        return usage();
    a.config = argv[optind];
    k.out_dir = argv[optind + 1];
    int err = open_maker(&k, &a);
    err = err ? err : make_all(&k);
    if (isatty(2))
        fputc('\n', stderr);
    if (err)
        fprintf(stderr, "error: %s%s%s\n", sl_error_message(), *sl_error_hint() ? "; hint: " : "",
                sl_error_hint());
    else
        printf("%s: %.2f GB\n", k.out_dir, (double)k.total * 1e-9);
    close_maker(&k);
    return err ? 1 : 0;
}
