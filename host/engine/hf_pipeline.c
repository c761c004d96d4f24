/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "engine/hf_json.h"
#include "engine/text.h"

typedef int (*read_fn)(struct sl_hf_reader *r, const json_t *item);

/* One of a kind, or those of a Sequence; they do not nest. */
static int read_list(struct sl_hf_reader *r, const json_t *value, const char *list, read_fn read)
{
    int err = 0;
    if (!value || json_is_null(value))
        return 0;
    if (!sl_hf_is(value, "Sequence"))
        return read(r, value);
    const json_t *items = json_object_get(value, list);
    if (!json_is_array(items))
        return sl_hf_fail(r, list, "not a list");
    for (size_t i = 0; i < json_array_size(items) && !err; i++)
        err = read(r, json_array_get(items, i));
    return err;
}

static bool is_text(const json_t *v, const char *text)
{
    return json_is_string(v) && !strcmp(json_string_value(v), text);
}

/* ---- normalizer */

/* A short string without zeros. */
static bool copy_text(char out[16], const json_t *v)
{
    size_t len = json_string_length(v);
    if (!json_is_string(v) || len >= 16 || memchr(json_string_value(v), 0, len))
        return false;
    memcpy(out, json_string_value(v), len + 1);
    return true;
}

static int read_normalizer(struct sl_hf_reader *r, const json_t *item)
{
    struct sl_hf_step step = {SL_HF_NFC, "", ""};
    bool known = sl_hf_is(item, "NFC");
    if (sl_hf_is(item, "Prepend")) {
        step.kind = SL_HF_PREPEND;
        known = copy_text(step.to, json_object_get(item, "prepend"));
    } else if (sl_hf_is(item, "Replace")) {
        step.kind = SL_HF_REPLACE;
        const json_t *from = json_object_get(json_object_get(item, "pattern"), "String");
        known = copy_text(step.from, from) && step.from[0] &&
                copy_text(step.to, json_object_get(item, "content"));
    }
    if (!known || r->hf->n_step == SL_HF_MAX_STEP)
        return sl_hf_refuse(r, "normalizer", item);
    r->hf->step[r->hf->n_step++] = step;
    return 0;
}

/* ---- pre-tokenizer */

static int add_split(struct sl_hf_reader *r, const json_t *item, struct sl_split_pattern pattern)
{
    struct sl_hf *hf = r->hf;
    if (hf->byte_level || hf->n_split == SL_HF_MAX_STEP)
        return sl_hf_refuse(r, "pre_tokenizer", item);
    int err = sl_splitter_compile(&hf->split[hf->n_split], &pattern);
    hf->n_split += !err;
    return err;
}

static int read_split(struct sl_hf_reader *r, const json_t *item)
{
    const json_t *pattern = json_object_get(item, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *text = regex ? regex : json_object_get(pattern, "String");
    const json_t *behavior = json_object_get(item, "behavior");
    bool invert = sl_hf_flag(item, "invert", false);
    bool isolated = is_text(behavior, "Isolated");
    if (!json_is_string(text) || !(isolated || (is_text(behavior, "Removed") && invert)))
        return sl_hf_refuse(r, "pre_tokenizer", item);
    struct sl_split_pattern p = {json_string_value(text), json_string_length(text), !regex,
                                 !isolated};
    return add_split(r, item, p);
}

static int read_digits(struct sl_hf_reader *r, const json_t *item)
{
    bool each = sl_hf_flag(item, "individual_digits", false);
    const char *text = each ? "\\p{N}" : "\\p{N}+";
    return add_split(r, item, (struct sl_split_pattern){text, strlen(text), false, false});
}

/* The pattern of GPT-2: contractions; words, numbers and symbols with a blank in front; white space
 * but for the last, which the next word takes; white space. */
static int read_byte_level(struct sl_hf_reader *r, const json_t *item)
{
    static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
                                  "| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    r->hf->prefix_space = sl_hf_flag(item, "add_prefix_space", true);
    if (r->hf->byte_level || (r->hf->prefix_space && r->hf->n_split))
        return sl_hf_refuse(r, "pre_tokenizer", item);
    int err = 0;
    if (sl_hf_flag(item, "use_regex", true))
        err = add_split(r, item,
                        (struct sl_split_pattern){pattern, sizeof pattern - 1, false, false});
    r->hf->byte_level = true;
    return err;
}

static int read_metaspace(struct sl_hf_reader *r, const json_t *item)
{
    static const char *const names[] = {"", "never", "first", "always"};
    const json_t *scheme = json_object_get(item, "prepend_scheme");
    struct sl_hf *hf = r->hf;
    bool front = sl_hf_flag(item, "add_prefix_space", true);
    hf->blank_split = sl_hf_flag(item, "split", true);
    if (!scheme)
        hf->blank = front ? SL_HF_BLANK_ALWAYS : SL_HF_BLANK_NEVER;
    for (unsigned i = 1; scheme && i < 4; i++)
        if (is_text(scheme, names[i]))
            hf->blank = (enum sl_hf_blank)i;
    if (!is_text(json_object_get(item, "replacement"), SL_BLANK) || hf->blank == 0 ||
        (!front && hf->blank != SL_HF_BLANK_NEVER))
        return sl_hf_refuse(r, "pre_tokenizer", item);
    return 0;
}

static int read_pre_tokenizer(struct sl_hf_reader *r, const json_t *item)
{
    if (r->hf->blank != SL_HF_BLANK_NONE) /* stands alone */
        return sl_hf_refuse(r, "pre_tokenizer", item);
    if (sl_hf_is(item, "Split"))
        return read_split(r, item);
    if (sl_hf_is(item, "Digits"))
        return read_digits(r, item);
    if (sl_hf_is(item, "ByteLevel"))
        return read_byte_level(r, item);
    if (sl_hf_is(item, "Metaspace") && !r->hf->byte_level && !r->hf->n_split)
        return read_metaspace(r, item);
    return sl_hf_refuse(r, "pre_tokenizer", item);
}

/* ---- decoder and post-processor */

static bool is_number(const json_t *o, const char *key, json_int_t n)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) && json_integer_value(v) == n;
}

static int read_decoder(struct sl_hf_reader *r, const json_t *item)
{
    const json_t *from = json_object_get(json_object_get(item, "pattern"), "String");
    const json_t *content = json_object_get(item, "content");
    if (r->hf->byte_level)
        return sl_hf_is(item, "ByteLevel") ? 0 : sl_hf_refuse(r, "decoder", item);
    if (sl_hf_is(item, "ByteFallback") || sl_hf_is(item, "Fuse"))
        return 0;
    if (sl_hf_is(item, "Replace") && is_text(from, SL_BLANK) && is_text(content, " "))
        return 0;
    if (sl_hf_is(item, "Strip") && is_text(content, " ") && is_number(item, "stop", 0) &&
        (is_number(item, "start", 0) || is_number(item, "start", 1))) {
        r->hf->strip = is_number(item, "start", 1);
        return 0;
    }
    return sl_hf_refuse(r, "decoder", item);
}

/* Only its token in front matters: text is to be continued, so none goes behind it. */
static int read_post_processor(struct sl_hf_reader *r, const json_t *item)
{
    if (!sl_hf_is(item, "TemplateProcessing"))
        return sl_hf_is(item, "ByteLevel") ? 0 : sl_hf_refuse(r, "post_processor", item);
    const json_t *single = json_object_get(item, "single");
    const json_t *token = json_object_get(json_array_get(single, 0), "SpecialToken");
    const char *name = json_string_value(json_object_get(token, "id"));
    if (!name)
        return 0;
    if (!json_object_get(json_array_get(single, 1), "Sequence"))
        return sl_hf_refuse(r, "post_processor", item);
    const json_t *special = json_object_get(json_object_get(item, "special_tokens"), name);
    const json_t *ids = json_object_get(special, "ids"), *id = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= SL_MAX_TOKENS)
        return sl_hf_refuse(r, "post_processor", item);
    r->hf->bos = (int32_t)json_integer_value(id);
    return 0;
}

int sl_hf_read_pipeline(struct sl_hf_reader *r, const json_t *root)
{
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    int err = read_list(r, json_object_get(root, "normalizer"), "normalizers", read_normalizer);
    if (!err)
        err = read_list(r, pre, "pretokenizers", read_pre_tokenizer);
    if (!err && r->hf->n_split && !r->hf->byte_level)
        err = sl_hf_refuse(r, "pre_tokenizer", pre);
    if (!err)
        err = read_list(r, json_object_get(root, "decoder"), "decoders", read_decoder);
    return err ? err
               : read_list(r, json_object_get(root, "post_processor"), "processors",
                           read_post_processor);
}
