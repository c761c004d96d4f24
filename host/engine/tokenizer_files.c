/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* ---- reading */

/* Reads a JSON object. *out is NULL without an error when the file is absent.
 * flags: tokenizer_config.json may have 10^30 for an integer; none of its numbers is read. */
static int load_json(const char *dir, const char *name, size_t flags, json_t **out)
{
    char path[4096];
    json_error_t why;
    *out = NULL;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return sl_fail(SL_ERR_IO, NULL, "%s/%s: the path is too long", dir, name);
    if (access(path, R_OK))
        return errno == ENOENT ? 0 : sl_fail(SL_ERR_IO, NULL, "%s: %s", path, strerror(errno));
    *out = json_load_file(path, JSON_REJECT_DUPLICATES | flags, &why);
    if (*out && json_is_object(*out))
        return 0;
    bool parsed = *out != NULL;
    json_decref(*out);
    *out = NULL;
    const char *text = parsed ? "not a JSON object" : why.text;
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s:%d: %.*s", path, parsed ? 1 : why.line,
                   (int)strcspn(text, "\n"), text);
}

int sl_tokenizer_files_open(struct sl_tokenizer_files *out, const char *dir)
{
    *out = (struct sl_tokenizer_files){.dir = dir};
    int err = load_json(dir, "config.json", 0, &out->config);
    if (!err)
        err = sl_generation_read(&out->generation, dir);
    if (!err)
        err = load_json(dir, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL, &out->tokenizer);
    if (!err)
        err = load_json(dir, "special_tokens_map.json", 0, &out->special);
    if (!err)
        err = load_json(dir, "added_tokens.json", 0, &out->added);
    if (err)
        sl_tokenizer_files_close(out);
    return err;
}

void sl_tokenizer_files_close(struct sl_tokenizer_files *f)
{
    json_decref(f->config);
    json_decref(f->tokenizer);
    json_decref(f->special);
    json_decref(f->added);
    *f = (struct sl_tokenizer_files){0};
}

bool sl_tokenizer_files_yuan(const struct sl_tokenizer_files *f)
{
    const json_t *list = json_object_get(f->config, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    return name && !strcmp(name, "YuanForCausalLM");
}

int sl_tokenizer_files_vocab_size(const struct sl_tokenizer_files *f, uint64_t *out)
{
    const json_t *value = json_object_get(f->config, "vocab_size");
    if (!f->config)
        return sl_fail(SL_ERR_IO, "the model's directory is incomplete",
                       "%s/config.json: No such file or directory", f->dir);
    if (!json_is_integer(value) || json_integer_value(value) <= 0)
        return sl_fail(SL_ERR_FORMAT, "copy the file again",
                       "%s/config.json: vocab_size is not a positive number", f->dir);
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

/* ---- names */

/* A token is given by its name, or as an AddedToken with `content`. */
static const char *name_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

/* The token of a role: "bos_token"; NULL: nothing is said. */
static const json_t *role(const struct sl_tokenizer_files *f, const char *key)
{
    const json_t *v = json_object_get(f->tokenizer, key);
    return name_of(v) ? v : json_object_get(f->special, key);
}

static int64_t find_name(const struct sl_vocab *v, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    for (uint32_t id = 0; id < v->n && len; id++) {
        struct sl_token t = sl_vocab_get(v, id);
        if (t.n_spelled == len && !memcmp(t.spelled, name, len))
            return id;
    }
    return -1;
}

/* ---- added tokens */

static bool flag(const json_t *token, const char *key)
{
    return json_is_true(json_object_get(token, key));
}

static int fail_added(const char *name)
{
    return sl_fail(SL_ERR_FORMAT, "take all files from the same model",
                   "added token %.40s: its id is that of another token, or far beyond the others",
                   name);
}

static bool has_name(const struct sl_spm *spm, const char *name)
{
    for (uint32_t i = 0; i < spm->added.n; i++) {
        const struct sl_added *t = &spm->added.token[i];
        if (t->len == strlen(name) && !memcmp(spm->added.text.v + t->at, name, t->len))
            return true;
    }
    return false;
}

/* token: a name or an AddedToken, or NULL; id -1: what its name has, or the next. Of tokens with
 * one name the first counts. */
static int add(struct sl_spm *spm, const json_t *token, const char *name, int64_t id, bool special)
{
    enum { MAX_GAP = 65536 };
    struct sl_vocab *v = &spm->model.vocab;
    int err = 0;
    if (!name || !*name || has_name(spm, name))
        return 0;
    if (flag(token, "single_word"))
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "added token %.40s: single_word is not implemented", name);
    if (id < 0)
        id = find_name(v, name);
    id = id < 0 ? (int64_t)v->n : id;
    if (id >= (int64_t)v->n + MAX_GAP)
        return fail_added(name);
    if (id >= v->n) {
        struct sl_token t = {SL_TOKEN_USER, (const uint8_t *)name, (const uint8_t *)name,
                             strlen(name), strlen(name)};
        err = sl_vocab_pad(v, (uint32_t)id);
        err = err ? err : sl_vocab_add(v, &t);
    } else {
        struct sl_token t = sl_vocab_get(v, (uint32_t)id);
        if (t.n_spelled != strlen(name) || memcmp(t.spelled, name, t.n_spelled) != 0)
            return fail_added(name);
    }
    if (err)
        return err;
    v->special[id] |= special;
    struct sl_added added = {.id = (uint32_t)id,
                             .special = special,
                             .lstrip = flag(token, "lstrip"),
                             .rstrip = flag(token, "rstrip")};
    return sl_added_add(&spm->added, &added, name, strlen(name));
}

static int64_t id_of_key(const char *key)
{
    int64_t id = 0;
    size_t n = strspn(key, "0123456789");
    for (size_t i = 0; i < n && n <= 9; i++)
        id = id * 10 + (key[i] - '0');
    return n == 0 || n > 9 || key[n] ? SL_MAX_TOKENS : id;
}

/* The lowest id of map that is above `last`; map: id to token, or name to id. */
static const char *next_key(json_t *map, bool by_name, int64_t last, int64_t *id)
{
    const char *key, *best = NULL;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        int64_t own = by_name ? json_integer_value(value) : id_of_key(key);
        if (own > last && (!best || own < *id)) {
            best = key;
            *id = own;
        }
    }
    return best;
}

/* In the order of their ids, so that the vocabulary grows from end to end. */
static int add_declared(const struct sl_tokenizer_files *f, struct sl_spm *spm, bool *declared)
{
    enum { MAX_DECLARED = 4096 };
    json_t *decoder = json_object_get(f->tokenizer, "added_tokens_decoder");
    json_t *map = json_is_object(decoder) ? decoder : f->added;
    bool by_name = map == f->added;
    int64_t last = -1, id = 0;
    const char *key;
    int err = 0;
    *declared = map != NULL;
    if (json_object_size(map) > MAX_DECLARED)
        return sl_fail(SL_ERR_FORMAT, "take all files from the same model",
                       "%s: more than %d added tokens", f->dir, MAX_DECLARED);
    while (!err && (key = next_key(map, by_name, last, &id))) {
        const json_t *token = by_name ? NULL : json_object_get(map, key);
        err =
            add(spm, token, by_name ? key : name_of(token), id, by_name || flag(token, "special"));
        last = id;
    }
    return err;
}

static int add_roles(const struct sl_tokenizer_files *f, struct sl_spm *spm)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    static const char *const usual[] = {"<s>", "</s>", "<unk>"};
    static const char more[] = "additional_special_tokens";
    const json_t *list = json_object_get(f->tokenizer, more);
    int err = 0;
    list = list ? list : json_object_get(f->special, more);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !err; i++) {
        const json_t *token = role(f, keys[i]);
        const char *name = name_of(token);
        bool own = i == 1 && sl_tokenizer_files_yuan(f); /* its end is <eod> */
        if (!name && i < 3 && !own && find_name(&spm->model.vocab, usual[i]) >= 0)
            name = usual[i];
        err = add(spm, token, name, -1, true);
    }
    for (size_t i = 0; i < json_array_size(list) && i < 4096 && !err; i++) {
        const json_t *token = json_array_get(list, i);
        err = add(spm, token, name_of(token), -1, true);
    }
    return err;
}

/* What Yuan 2.0 adds after loading, in its order; <eod> is what it calls eos_token. */
static int add_yuan(struct sl_spm *spm)
{
    static const char *const names[] = {"<eod>",          "<sep>",          "<pad>",
                                        "<mask>",         "<predict>",      "<FIM_SUFFIX>",
                                        "<FIM_PREFIX>",   "<FIM_MIDDLE>",   "<commit_before>",
                                        "<commit_msg>",   "<commit_after>", "<jupyter_start>",
                                        "<jupyter_text>", "<jupyter_code>", "<jupyter_output>",
                                        "<empty_output>"};
    int err = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !err; i++)
        err = add(spm, NULL, names[i], -1, true);
    return err;
}

int sl_tokenizer_files_added(const struct sl_tokenizer_files *f, struct sl_spm *spm)
{
    const json_t *legacy = json_object_get(f->tokenizer, "legacy");
    bool declared;
    const struct sl_spm_normalizer *n = &spm->model.normalizer;
    spm->legacy = !json_is_false(legacy);
    /* There the library puts the blank itself, and the model's own rules would meet it. */
    if (!spm->legacy && (!n->dummy_prefix || n->remove_extra_whitespaces))
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "%s/tokenizer_config.json: legacy false is implemented for models with "
                       "add_dummy_prefix and without remove_extra_whitespaces only",
                       f->dir);
    int err = add_declared(f, spm, &declared);
    if (!err && !declared && sl_tokenizer_files_yuan(f))
        err = add_yuan(spm);
    if (!err)
        err = add_roles(f, spm);
    return err ? err : sl_added_finish(&spm->added);
}

/* ---- first and last tokens */

static void set_bos(const struct sl_tokenizer_files *f, struct sl_tokenizer *tok)
{
    const json_t *wanted = json_object_get(f->tokenizer, "add_bos_token");
    int64_t id = find_name(tok->kind->vocab(tok->self), name_of(role(f, "bos_token")));
    if (json_is_false(wanted) || sl_tokenizer_files_yuan(f))
        tok->bos = -1;
    else if (id >= 0 && (json_is_true(wanted) || tok->kind == &sl_kind_spm))
        tok->bos = (int32_t)id;
}

static void take_stop(struct sl_tokenizer *tok, const struct sl_generation *g)
{
    for (tok->n_eog = 0; tok->n_eog < g->n_stop; tok->n_eog++)
        tok->eog[tok->n_eog] = g->stop[tok->n_eog];
}

/* Where nothing else says how texts end. */
static int take_config_stop(const struct sl_tokenizer_files *f, struct sl_tokenizer *tok)
{
    char name[4096];
    struct sl_generation g = {.n_stop = 0};
    snprintf(name, sizeof name, "%s/config.json", f->dir);
    int err = sl_generation_add_stop(&g, name, json_object_get(f->config, "eos_token_id"));
    if (!err && g.n_stop)
        take_stop(tok, &g);
    return err;
}

int sl_tokenizer_files_ends(const struct sl_tokenizer_files *f, struct sl_tokenizer *tok)
{
    const struct sl_vocab *vocab = tok->kind->vocab(tok->self);
    const char *eos = name_of(role(f, "eos_token"));
    int64_t id = find_name(vocab, sl_tokenizer_files_yuan(f) ? "<eod>" : eos);
    bool own = tok->kind->own_ends; /* the family's, whatever these files say */
    int err = 0;
    if (!own)
        set_bos(f, tok);
    if (f->generation.n_stop) {
        take_stop(tok, &f->generation);
    } else if (!own && id >= 0) {
        tok->eog[0] = id;
        tok->n_eog = 1;
    } else if (!own) {
        err = take_config_stop(f, tok);
    }
    return err;
}
