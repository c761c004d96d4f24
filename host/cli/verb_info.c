/* SPDX-License-Identifier: Apache-2.0 */
/* info, devices and version: what needs no weights. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "console.h"
#include "input.h"
#include "memory_report.h"
#include "verbs.h"

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void row_count(const char *label, uint64_t v)
{
    if (v)
        printf("%-24s %llu\n", label, (unsigned long long)v);
}

static void row_large(const char *label, uint64_t v, const char *unit)
{
    double g = (double)v / 1e9;
    if (v)
        printf("%-24s %llu%s (%.*f G)\n", label, (unsigned long long)v, unit, g < 1 ? 5 : 2, g);
}

static void row_kv(const char *label, uint64_t bytes, uint64_t mha)
{
    printf("%-24s %llu (%.2f %%)\n", label, (unsigned long long)bytes, percent(bytes, mha));
}

/* Keys or values of one token, all layers. */
static uint64_t half_bytes(const struct sl_model_info *m, const char *type)
{
    if (type && !strcmp(type, "f32"))
        return m->kv_bytes_bf16; /* twice as wide, half of it */
    return (type && !strcmp(type, "int4") ? m->kv_bytes_int4 : m->kv_bytes_int8) / 2;
}

/* What a session of --ctx-size allocates for its cache; 0 when none was named. */
static uint64_t cache_bytes(const struct sl_model_info *m, const struct sl_options *o)
{
    return (uint64_t)o->ctx_size *
           (half_bytes(m, o->cache_type_k) + half_bytes(m, o->cache_type_v));
}

static void print_table(const struct sl_model_info *m, const struct sl_options *o)
{
    printf("%-24s %s\n", "architecture", m->architecture);
    row_large("parameters", m->n_param, "");
    row_large("active parameters", m->n_param_active, "");
    row_large("weights", m->weight_bytes, " bytes");
    row_count("layers", m->n_layer);
    row_count("d_model", m->d_model);
    row_count("heads", m->n_head);
    row_count("kv heads", m->n_kv_head);
    row_count("head_dim", m->head_dim);
    row_count(m->n_expert ? "d_ff of an expert" : "d_ff", m->d_ff);
    row_count("experts", m->n_expert);
    row_count("experts used", m->n_expert_used);
    row_count("shared experts", m->n_shared_expert);
    row_count("layers sharing K and V", m->cla_factor);
    row_count("vocabulary", m->n_vocab);
    row_count("trained context", m->n_ctx_train);
    printf("KV cache, bytes for one token over all layers\n");
    row_kv("  MHA bf16", m->kv_bytes_mha_bf16, m->kv_bytes_mha_bf16);
    row_kv("  bf16", m->kv_bytes_bf16, m->kv_bytes_mha_bf16);
    row_kv("  int8", m->kv_bytes_int8, m->kv_bytes_mha_bf16);
    row_kv("  int4", m->kv_bytes_int4, m->kv_bytes_mha_bf16);
    row_count("LFA state, bytes", m->lfa_state_bytes);
    if (o->ctx_size) {
        printf("KV cache of %lld tokens, K %s, V %s\n", (long long)o->ctx_size,
               o->cache_type_k ? o->cache_type_k : "int8",
               o->cache_type_v ? o->cache_type_v : "int8");
        row_large("  allocated", cache_bytes(m, o), " bytes");
    }
}

static double gb(uint64_t bytes)
{
    return (double)bytes / 1e9;
}

/* What sluice convert makes of it. Attention matrices and LM head have a format of their own. */
static void print_sizes(const struct sl_convert_sizes *s, const char *experts)
{
    uint64_t q8 = 0;
    for (size_t i = 0; i < s->n_format; i++)
        q8 = strcmp(s->format[i].format, "q8") ? q8 : s->format[i].dense;
    printf("converted, GB            %10s %10s %14s %12s\n", experts, "dense", "total, dense q8",
           "all alike");
    for (size_t i = 0; i < s->n_format; i++) {
        const struct sl_format_size *f = &s->format[i];
        const uint64_t rest = s->routers + s->kept + f->experts;
        printf("  %-22s %10.3f %10.3f %15.3f %12.3f\n", f->format, gb(f->experts), gb(f->dense),
               gb(rest + q8), gb(rest + f->dense));
    }
    printf("  in each of them        routers %.3f, embedding, norms and biases %.3f (bf16)\n",
           gb(s->routers), gb(s->kept));
}

static json_t *sizes_object(const struct sl_convert_sizes *s)
{
    json_t *o = json_pack("{s:I, s:I}", "router_bytes", (json_int_t)s->routers, "kept_bytes",
                          (json_int_t)s->kept);
    for (size_t i = 0; i < s->n_format; i++)
        json_object_set_new(o, s->format[i].format,
                            json_pack("{s:I, s:I}", "expert_bytes",
                                      (json_int_t)s->format[i].experts, "dense_bytes",
                                      (json_int_t)s->format[i].dense));
    return o;
}

static void set_count(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *info_object(const struct sl_model_info *m, const struct sl_options *opt)
{
    json_t *o = json_object();
    json_object_set_new(o, "architecture", json_string(m->architecture));
    json_object_set_new(o, "format", m->format ? json_string(m->format) : json_null());
    json_object_set_new(o, "format_dense",
                        m->format_dense ? json_string(m->format_dense) : json_null());
    set_count(o, "n_param", m->n_param);
    set_count(o, "n_param_active", m->n_param_active);
    set_count(o, "weight_bytes", m->weight_bytes);
    set_count(o, "n_layer", m->n_layer);
    set_count(o, "d_model", m->d_model);
    set_count(o, "n_head", m->n_head);
    set_count(o, "n_kv_head", m->n_kv_head);
    set_count(o, "head_dim", m->head_dim);
    set_count(o, "d_ff", m->d_ff);
    set_count(o, "n_expert", m->n_expert);
    set_count(o, "n_expert_used", m->n_expert_used);
    set_count(o, "n_shared_expert", m->n_shared_expert);
    set_count(o, "cla_factor", m->cla_factor);
    set_count(o, "n_vocab", m->n_vocab);
    set_count(o, "n_ctx_train", m->n_ctx_train);
    set_count(o, "kv_bytes_mha_bf16", m->kv_bytes_mha_bf16);
    set_count(o, "kv_bytes_bf16", m->kv_bytes_bf16);
    set_count(o, "kv_bytes_int8", m->kv_bytes_int8);
    set_count(o, "kv_bytes_int4", m->kv_bytes_int4);
    json_object_set_new(o, "kv_percent_of_mha",
                        json_real(percent(m->kv_bytes_bf16, m->kv_bytes_mha_bf16)));
    set_count(o, "lfa_state_bytes", m->lfa_state_bytes);
    if (opt->ctx_size) {
        set_count(o, "n_ctx", (uint64_t)opt->ctx_size);
        set_count(o, "kv_cache_bytes", cache_bytes(m, opt));
    }
    return o;
}

/* Bytes of the files of a directory that match the pattern. */
static uint64_t bytes_of_files(const char *path, const char *pattern)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        bool counts = !fnmatch(pattern, e->d_name, 0) && fnmatch("*.json", e->d_name, 0);
        if (counts && !fstatat(dirfd(dir), e->d_name, &st, 0) && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

/* Bytes of the files that hold weights; 0 when there are none (a config.json alone). Where there
 * are both kinds, safetensors is what is read. Pieces of a file have numbers behind its name. */
static uint64_t weight_files(const char *path)
{
    const uint64_t torch = bytes_of_files(path, "pytorch_model*.bin");
    if (torch && !bytes_of_files(path, "model*.safetensors"))
        return torch;
    return bytes_of_files(path, "*.safetensors*") + bytes_of_files(path, "*.slab");
}

static int print_memory(const struct sl_options *o, const char *path)
{
    struct sl_model_params params = sl_input_model_params(o);
    struct sl_memory memory;
    params.path = path;
    int err = sl_memory_plan(&memory, &params);
    if (err)
        return sl_cli_library_error(err);
    if (o->json)
        return sl_json_print(sl_memory_json(&memory));
    sl_memory_table(stdout, &memory);
    return sl_stdout_finish();
}

int sl_verb_info(const struct sl_options *o)
{
    const char *path = o->n_arg ? o->arg[0] : o->model;
    if (o->memory)
        return print_memory(o, path);
    if (o->device || o->resident || o->dense || o->format || o->format_dense || o->host_memory)
        return sl_cli_error(SL_ERR_USAGE, "add --in-memory, or leave them out",
                            "info: without --in-memory it takes no options of an evaluation");
    struct sl_model_info info = {0};
    int err = sl_config_info(path, &info);
    if (err)
        return sl_cli_library_error(err);
    if (!info.weight_bytes)
        info.weight_bytes = weight_files(path);
    struct sl_convert_sizes sizes;
    const bool convertible = !sl_convert_sizes(path, &sizes);
    if (o->json) {
        json_t *object = info_object(&info, o);
        json_object_set_new(object, "converted", convertible ? sizes_object(&sizes) : json_null());
        return sl_json_print(object);
    }
    print_table(&info, o);
    if (convertible)
        print_sizes(&sizes, info.n_expert ? "experts" : "MLPs");
    return sl_stdout_finish();
}

enum { MAX_DEVICE = 64 };

/* Long names have a line of their own, so that the others' columns stay together. */
static int print_devices(const struct sl_device_desc *device, size_t n)
{
    enum { WIDTH = 16 };
    for (size_t i = 0; i < n; i++) {
        const bool wide = strlen(device[i].name) > WIDTH;
        if (wide)
            puts(device[i].name);
        printf("%-*s %-9s %s\n", WIDTH, wide ? "" : device[i].name,
               device[i].usable ? "usable" : "unusable", device[i].detail);
    }
    return sl_stdout_finish();
}

int sl_verb_devices(const struct sl_options *o)
{
    struct sl_device_desc device[MAX_DEVICE];
    size_t n = sl_devices(device, MAX_DEVICE);
    n = n < MAX_DEVICE ? n : MAX_DEVICE;
    if (!o->json)
        return print_devices(device, n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", device[i].name, "usable",
                                              (int)device[i].usable, "detail", device[i].detail));
    return sl_json_print(json_pack("{s:o}", "devices", list));
}

int sl_verb_version(const struct sl_options *o)
{
    (void)o;
    puts("sluice " SL_VERSION);
    return sl_stdout_finish();
}
