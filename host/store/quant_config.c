/* SPDX-License-Identifier: Apache-2.0 */
#include "store/quant_config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/format.h"
#include "store/outfile.h"

enum { MAX_CONFIG_BYTES = 1 << 24, MAX_GROUP = 1 << 20, GROUP_STEP = 32, VALUE_TEXT = 64 };

static int bad_key(const char *key, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "compare with the release's own files",
                   "quantization_config: '%s' %s", key, why);
}

/* A value that means something else than what is implemented; as JSON it is one line. */
static int refuse(const char *key, const json_t *v, const char *hint)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    int err = sl_fail(SL_ERR_UNSUPPORTED, hint, "quantization_config: '%s' is %.*s", key,
                      VALUE_TEXT, text ? text : "?");
    free(text);
    return err;
}

static bool is_absent(const json_t *v)
{
    return !v || json_is_null(v);
}

/* Absent, or one of the words. */
static bool is_one_of(const json_t *v, const char *a, const char *b)
{
    const char *text = json_string_value(v);
    return is_absent(v) || (text && (!strcmp(text, a) || (b && !strcmp(text, b))));
}

/* ---- FP8 ------------------------------------------------------------------------------------ */

static int read_ignored(struct sl_quant_config *q, json_t *list)
{
    size_t i;
    json_t *entry;
    if (is_absent(list))
        return 0;
    if (!json_is_array(list))
        return bad_key("ignored_layers", "must be a list of names");
    json_array_foreach(list, i, entry)
    {
        if (!json_is_string(entry))
            return bad_key("ignored_layers", "must be a list of names");
        if (!strncmp(json_string_value(entry), "re:", 3))
            return refuse("ignored_layers", entry, "write the names out: patterns are not read");
    }
    q->ignored = json_incref(list);
    return 0;
}

static int read_fp8(struct sl_quant_config *q, const json_t *o)
{
    const json_t *scheme = json_object_get(o, "activation_scheme");
    const json_t *format = json_object_get(o, "fmt");
    const json_t *block = json_object_get(o, "weight_block_size");
    q->method = SL_QUANT_FP8;
    if (!is_one_of(scheme, "static", "dynamic"))
        return refuse("activation_scheme", scheme, "static and dynamic are known");
    if (!is_one_of(format, "e4m3", NULL))
        return refuse("fmt", format, "e4m3 is read");
    if (!is_absent(block))
        return refuse("weight_block_size", block, "one scale per tensor is read");
    return read_ignored(q, json_object_get(o, "ignored_layers"));
}

/* ---- GPTQ ----------------------------------------------------------------------------------- */

static int read_flag(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (is_absent(v))
        return 0;
    if (!json_is_boolean(v))
        return bad_key(key, "must be true or false");
    *out = json_is_true(v);
    return 0;
}

static int read_group(struct sl_quant_config *q, const json_t *v)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v))
        return bad_key("group_size", "must be an integer");
    if (n != -1 && (n < GROUP_STEP || n > MAX_GROUP || n % GROUP_STEP))
        return refuse("group_size", v, "-1 and multiples of 32 are read");
    q->group_size = n == -1 ? 0 : (uint32_t)n;
    return 0;
}

/* Keys under which a file holds something else than AutoGPTQ's plain layout. */
static int check_layout(struct sl_quant_config *q, const json_t *o)
{
    const json_t *layout = json_object_get(o, "checkpoint_format");
    const json_t *modules = json_object_get(o, "dynamic");
    bool marlin = false, act_order = false;
    int err = read_flag(o, "is_marlin_format", &marlin);
    err = err ? err : read_flag(o, "desc_act", &act_order);
    if (err)
        return err;
    if (marlin || !is_one_of(layout, "gptq", "gptq_v2"))
        return refuse(marlin ? "is_marlin_format" : "checkpoint_format",
                      marlin ? json_object_get(o, "is_marlin_format") : layout,
                      "gptq and gptq_v2 are read");
    if (json_object_size(modules))
        return refuse("dynamic", modules, "one setting for all linears is read");
    if (act_order)
        return refuse("desc_act", json_object_get(o, "desc_act"),
                      "columns must be in their own order");
    q->zero_add = !is_absent(layout) && is_one_of(layout, "gptq_v2", NULL) ? 0 : 1;
    return 0;
}

static int read_gptq(struct sl_quant_config *q, const json_t *o)
{
    const json_t *bits = json_object_get(o, "bits");
    q->method = SL_QUANT_GPTQ;
    if (!json_is_integer(bits))
        return bad_key("bits", is_absent(bits) ? "is missing" : "must be an integer");
    if (json_integer_value(bits) != 4 && json_integer_value(bits) != 8)
        return refuse("bits", bits, "4 and 8 bits are read");
    q->bits = (unsigned)json_integer_value(bits);
    int err = read_group(q, json_object_get(o, "group_size"));
    err = err ? err : read_flag(o, "sym", &q->symmetric);
    return err ? err : check_layout(q, o);
}

/* ---- entry points --------------------------------------------------------------------------- */

/* method: what "quant_method" says, or is taken to say where it is absent. */
static int parse(struct sl_quant_config *out, const json_t *o, const char *method)
{
    struct sl_quant_config q = {.method = SL_QUANT_NONE};
    int err;
    if (!strcmp(method, "fp8"))
        err = read_fp8(&q, o);
    else if (!strcmp(method, "gptq"))
        err = read_gptq(&q, o);
    else
        err = refuse("quant_method", json_object_get(o, "quant_method"), "fp8 and gptq are read");
    if (!err)
        *out = q;
    return err;
}

int sl_quant_parse(struct sl_quant_config *out, const json_t *section)
{
    const char *method = json_string_value(json_object_get(section, "quant_method"));
    *out = (struct sl_quant_config){.method = SL_QUANT_NONE};
    if (is_absent(section))
        return 0;
    return method ? parse(out, section, method) : bad_key("quant_method", "is missing");
}

/* The object in a file; NULL when there is none. */
static int load_object(json_t **out, const char *path)
{
    char *text;
    size_t size;
    *out = NULL;
    if (access(path, F_OK) != 0)
        return 0;
    int err = sl_file_read(&text, &size, path, MAX_CONFIG_BYTES);
    if (err)
        return err;
    json_t *o = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    *out = json_is_object(o) ? o : NULL;
    if (!*out)
        json_decref(o);
    return 0;
}

/* AutoGPTQ's file, whose older versions lack the method. */
static int load_own_file(struct sl_quant_config *out, const char *dir)
{
    char path[PATH_MAX];
    json_t *o = NULL;
    int err = sl_path_join(path, dir, "quantize_config.json");
    err = err ? err : load_object(&o, path);
    if (err || !o)
        return err;
    const json_t *method = json_object_get(o, "quant_method");
    const char *text = json_string_value(method);
    err = is_absent(method) || text ? parse(out, o, text ? text : "gptq")
                                    : bad_key("quant_method", "must be a name");
    json_decref(o);
    return err;
}

/* dir NULL: config is the only file. */
static int load(struct sl_quant_config *out, const char *config, const char *dir)
{
    json_t *o;
    *out = (struct sl_quant_config){.method = SL_QUANT_NONE};
    int err = load_object(&o, config);
    if (err)
        return err;
    const json_t *section = json_object_get(o, "quantization_config");
    err = is_absent(section) && dir ? load_own_file(out, dir) : sl_quant_parse(out, section);
    json_decref(o);
    return err;
}

int sl_quant_load(struct sl_quant_config *out, const char *dir)
{
    char config[PATH_MAX];
    int err = sl_path_join(config, dir, "config.json");
    return err ? err : load(out, config, dir);
}

int sl_quant_choose_format(int *out, const char *format, const char *path)
{
    struct sl_quant_config q;
    struct stat st;
    if (format)
        return sl_format_parse(out, format);
    bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int err = is_dir ? sl_quant_load(&q, path) : load(&q, path, NULL);
    if (err)
        return err;
    bool four = q.method == SL_QUANT_GPTQ && q.bits == 4;
    sl_quant_close(&q);
    return sl_format_parse(out, four ? "int4" : "q8");
}

void sl_quant_close(struct sl_quant_config *q)
{
    json_decref(q->ignored);
    *q = (struct sl_quant_config){.method = SL_QUANT_NONE};
}

bool sl_quant_ignores(const struct sl_quant_config *q, const char *linear)
{
    size_t i;
    json_t *entry;
    json_array_foreach(q->ignored, i, entry)
    {
        const char *name = json_string_value(entry);
        size_t n = strlen(name);
        if (n && !strncmp(linear, name, n) && (!linear[n] || linear[n] == '.'))
            return true;
    }
    return false;
}
