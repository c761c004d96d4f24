/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/bpe.h"
#include "engine/generation.h"
#include "engine/text.h"

enum { N_NAMED = 5, MAX_NAME = 16, MAX_EOG = 16 };
enum { ENDOFTEXT, STARTOFTEXT, BOS, EOS, PAD }; /* order of the named specials */

static const char *const named[N_NAMED] = {"<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>",
                                           "<|pad|>"};

struct sl_tokenizer {
    struct sl_ranks ranks;
    struct sl_splitter *splitter;
    uint32_t n_special;
    char special[N_NAMED + SL_MAX_EXTRA][MAX_NAME];
    int64_t eog[MAX_EOG];
    size_t n_eog;
};

/* ---- opening */

static void set_specials(struct sl_tokenizer *tok, uint64_t vocab_size)
{
    uint64_t extra = vocab_size - tok->ranks.n - N_NAMED;
    uint32_t n_extra = extra < SL_MAX_EXTRA ? (uint32_t)extra : SL_MAX_EXTRA;
    for (unsigned i = 0; i < N_NAMED; i++)
        snprintf(tok->special[i], MAX_NAME, "%s", named[i]);
    for (uint32_t i = 0; i < n_extra; i++)
        snprintf(tok->special[N_NAMED + i], MAX_NAME, "<|extra_%u|>", (unsigned)(i % 1000));
    tok->n_special = N_NAMED + n_extra;
    /* The released models stop on <|eos|> and <|extra_5|>; texts of the pretrained one end with
     * <|endoftext|>. */
    tok->eog[tok->n_eog++] = tok->ranks.n + ENDOFTEXT;
    tok->eog[tok->n_eog++] = tok->ranks.n + EOS;
    if (n_extra > 5)
        tok->eog[tok->n_eog++] = tok->ranks.n + N_NAMED + 5;
}

int sl_tokenizer_from_ranks(struct sl_tokenizer **out, struct sl_ranks *ranks, uint64_t vocab_size)
{
    struct sl_tokenizer *tok = sl_alloc(1, sizeof *tok);
    int err = tok ? 0 : SL_ERR_NOMEM;
    if (!tok) {
        sl_ranks_free(ranks);
        return err;
    }
    tok->ranks = *ranks;
    memset(ranks, 0, sizeof *ranks);
    if (vocab_size < (uint64_t)tok->ranks.n + N_NAMED || vocab_size > INT32_MAX)
        err = sl_fail(SL_ERR_SHAPE, "take config.json and the rank file from the same model",
                      "config.json: vocab_size %llu does not fit %u ranks and %d special tokens",
                      (unsigned long long)vocab_size, tok->ranks.n, N_NAMED);
    else
        err = sl_splitter_open(&tok->splitter);
    if (err) {
        sl_tokenizer_close(&tok);
        return err;
    }
    set_specials(tok, vocab_size);
    *out = tok;
    return 0;
}

void sl_tokenizer_close(struct sl_tokenizer **tok)
{
    if (!tok || !*tok)
        return;
    sl_ranks_free(&(*tok)->ranks);
    sl_splitter_close(&(*tok)->splitter);
    free(*tok);
    *tok = NULL;
}

static int join_path(char *out, size_t cap, const char *dir, const char *name)
{
    if ((size_t)snprintf(out, cap, "%s/%s", dir, name) >= cap)
        return sl_fail(SL_ERR_IO, NULL, "%s/%s: the path is too long", dir, name);
    return 0;
}

static bool is_rank_file(const char *name)
{
    size_t n = strlen(name), suffix = strlen(".tiktoken");
    return name[0] != '.' && n > suffix && !strcmp(name + n - suffix, ".tiktoken");
}

/* hy.tiktoken as released, or the only *.tiktoken of the directory. */
static int find_rank_file(const char *model_dir, char *path, size_t cap)
{
    char name[256] = "";
    unsigned count = 0;
    DIR *dir = opendir(model_dir);
    if (!dir)
        return sl_fail(SL_ERR_IO, "give the model's directory", "%s: %s", model_dir,
                       strerror(errno));
    bool spm = false;
    for (struct dirent *e; (e = readdir(dir));) {
        spm |= !strcmp(e->d_name, "tokenizer.model");
        if (!is_rank_file(e->d_name))
            continue;
        bool released = !strcmp(e->d_name, "hy.tiktoken");
        count = released ? 1 : count + 1;
        snprintf(name, sizeof name, "%s", e->d_name);
        if (released)
            break;
    }
    closedir(dir);
    if (count > 1)
        return sl_fail(SL_ERR_FORMAT, "keep the model's own", "%s: several *.tiktoken files",
                       model_dir);
    if (count == 0 && spm)
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "%s: sentencepiece vocabularies (tokenizer.model) cannot be read yet",
                       model_dir);
    if (count == 0)
        return sl_fail(SL_ERR_IO,
                       "copy the model's hy.tiktoken there, or give token ids (--tokens FILE)",
                       "%s: no *.tiktoken file", model_dir);
    return join_path(path, cap, model_dir, name);
}

/* Reads a JSON object. */
static int load_json(const char *dir, const char *name, json_t **out)
{
    char path[4096];
    json_error_t why;
    *out = NULL;
    int err = join_path(path, sizeof path, dir, name);
    if (err)
        return err;
    if (access(path, R_OK))
        return sl_fail(SL_ERR_IO, "the model's directory is incomplete", "%s: %s", path,
                       strerror(errno));
    *out = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (*out && json_is_object(*out))
        return 0;
    bool parsed = *out != NULL;
    json_decref(*out);
    *out = NULL;
    return sl_fail(SL_ERR_FORMAT, "copy the file again", "%s:%d: %s", path, parsed ? 1 : why.line,
                   parsed ? "not a JSON object" : why.text);
}

static int read_vocab_size(const char *model_dir, uint64_t *vocab_size)
{
    json_t *config;
    int err = load_json(model_dir, "config.json", &config);
    if (err)
        return err;
    json_t *value = json_object_get(config, "vocab_size");
    if (json_is_integer(value) && json_integer_value(value) > 0)
        *vocab_size = (uint64_t)json_integer_value(value);
    else
        err = sl_fail(SL_ERR_FORMAT, "copy the file again",
                      "%s/config.json: vocab_size is not a positive number", model_dir);
    json_decref(config);
    return err;
}

/* The ids of generation_config.json replace the family's own. */
static int read_eog(struct sl_tokenizer *tok, const char *model_dir)
{
    struct sl_generation g;
    int err = sl_generation_read(&g, model_dir);
    if (err || !g.n_stop)
        return err;
    for (tok->n_eog = 0; tok->n_eog < g.n_stop; tok->n_eog++)
        tok->eog[tok->n_eog] = g.stop[tok->n_eog];
    return 0;
}

int sl_tokenizer_open(struct sl_tokenizer **out, const char *model_dir)
{
    char path[4096];
    uint64_t vocab_size = 0;
    struct sl_ranks ranks;
    struct sl_tokenizer *tok = NULL;
    int err = find_rank_file(model_dir, path, sizeof path);
    if (!err)
        err = read_vocab_size(model_dir, &vocab_size);
    if (!err)
        err = sl_ranks_load(&ranks, path);
    if (!err)
        err = sl_tokenizer_from_ranks(&tok, &ranks, vocab_size);
    if (!err)
        err = read_eog(tok, model_dir);
    if (err) {
        sl_tokenizer_close(&tok);
        return err;
    }
    *out = tok;
    return 0;
}

/* ---- encoding */

struct encoder {
    const struct sl_tokenizer *tok;
    struct sl_bpe bpe;
    struct sl_ids ids;
};

/* Text without special tokens. */
static int encode_plain(struct encoder *e, const uint8_t *text, size_t len)
{
    int err = 0;
    for (size_t i = 0; i < len && !err;) {
        for (size_t bad = sl_utf8_invalid(text + i, len - i); bad && !err; bad--)
            err = sl_ids_push(&e->ids, (int32_t)e->tok->ranks.of_byte[text[i++]]);
        size_t end = i + sl_utf8_valid(text + i, len - i), piece = 0;
        for (; i < end && !err; i += piece) {
            err = sl_splitter_next(e->tok->splitter, text, end, i, &piece);
            if (!err)
                err = sl_bpe_encode(&e->bpe, &e->tok->ranks, text + i, piece, &e->ids);
        }
    }
    return err;
}

/* Id of the special token whose name starts at text, or -1. *n: bytes of the name. */
static int32_t match_special(const struct sl_tokenizer *tok, const uint8_t *text, size_t len,
                             size_t *n)
{
    size_t end = 2;
    if (len < 4 || text[0] != '<' || text[1] != '|')
        return -1;
    while (end < len && end < MAX_NAME && text[end] != '>')
        end++;
    *n = end + 1;
    if (*n > len || *n >= MAX_NAME)
        return -1;
    for (uint32_t i = 0; i < tok->n_special; i++)
        if (!memcmp(tok->special[i], text, *n) && !tok->special[i][*n])
            return (int32_t)(tok->ranks.n + i);
    return -1;
}

static int encode_text(struct encoder *e, const uint8_t *text, size_t len, bool parse_special)
{
    size_t from = 0, n;
    for (size_t i = 0; parse_special && i < len; i++) {
        int32_t id = match_special(e->tok, text + i, len - i, &n);
        if (id < 0)
            continue;
        int err = encode_plain(e, text + from, i - from);
        if (!err)
            err = sl_ids_push(&e->ids, id);
        if (err)
            return err;
        from = i + n;
        i = from - 1;
    }
    return encode_plain(e, text + from, len - from);
}

/* Fills e->ids (freed on failure) and e->bpe.n_lookup. */
static int encode(struct encoder *e, const char *text, size_t len, bool parse_special)
{
    uint8_t *normal;
    size_t n;
    if (len > SL_MAX_TEXT)
        return sl_fail(SL_ERR_RANGE, "split the text into smaller parts",
                       "the text has more than 512 MB");
    int err = sl_text_normalize((const uint8_t *)text, len, &normal, &n);
    if (err)
        return err;
    err = encode_text(e, normal, n, parse_special);
    free(normal);
    uint64_t n_lookup = e->bpe.n_lookup;
    sl_bpe_free(&e->bpe);
    e->bpe.n_lookup = n_lookup;
    if (err)
        free(e->ids.v);
    return err;
}

int sl_tokenizer_encode(const struct sl_tokenizer *tok, const char *text, size_t len,
                        bool parse_special, int32_t **ids, size_t *n)
{
    struct encoder e = {.tok = tok};
    int err = encode(&e, text, len, parse_special);
    if (err)
        return err;
    if (!e.ids.v && !(e.ids.v = sl_alloc(1, sizeof *e.ids.v)))
        return SL_ERR_NOMEM;
    *ids = e.ids.v;
    *n = e.ids.n;
    return 0;
}

int sl_tokenizer_cost(const struct sl_tokenizer *tok, const char *text, size_t len,
                      uint64_t *n_lookup)
{
    struct encoder e = {.tok = tok};
    int err = encode(&e, text, len, false);
    if (err)
        return err;
    *n_lookup = e.bpe.n_lookup;
    free(e.ids.v);
    return 0;
}

/* ---- questions */

const char *sl_tokenizer_piece(const struct sl_tokenizer *tok, int32_t id, size_t *len)
{
    if (id < 0 || (size_t)id >= sl_tokenizer_size(tok))
        return NULL;
    if (sl_tokenizer_is_special(tok, id)) {
        const char *name = tok->special[(uint32_t)id - tok->ranks.n];
        *len = strlen(name);
        return name;
    }
    return (const char *)sl_ranks_token(&tok->ranks, (uint32_t)id, len);
}

bool sl_tokenizer_is_special(const struct sl_tokenizer *tok, int32_t id)
{
    return id >= 0 && (uint32_t)id >= tok->ranks.n && (size_t)id < sl_tokenizer_size(tok);
}

int32_t sl_tokenizer_bos(const struct sl_tokenizer *tok)
{
    return (int32_t)(tok->ranks.n + STARTOFTEXT);
}

bool sl_tokenizer_is_eog(const struct sl_tokenizer *tok, int32_t id)
{
    for (size_t i = 0; i < tok->n_eog; i++)
        if (tok->eog[i] == id)
            return true;
    return false;
}

size_t sl_tokenizer_size(const struct sl_tokenizer *tok)
{
    return (size_t)tok->ranks.n + tok->n_special;
}
