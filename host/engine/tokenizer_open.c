/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "engine/hf_json.h"
#include "engine/spm.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_files.h"

enum { MAX_FILE = 1 << 28 };

/* ---- one file */

static int open_spm(struct sl_tokenizer **out, const char *name, const uint8_t *model, size_t len,
                    const struct sl_tokenizer_files *files)
{
    struct sl_spm *spm = sl_alloc(1, sizeof *spm);
    if (!spm)
        return SL_ERR_NOMEM;
    int err = sl_spm_model_parse(&spm->model, name, model, len);
    if (!err)
        err = sl_tokenizer_files_added(files, spm);
    if (err) {
        sl_kind_spm.close(spm);
        return err;
    }
    err = sl_tokenizer_from_kind(out, &sl_kind_spm, spm);
    if (err)
        return err;
    (*out)->bos = spm->model.bos;
    if (spm->model.eos >= 0)
        (*out)->eog[(*out)->n_eog++] = spm->model.eos;
    return 0;
}

static int open_hf(struct sl_tokenizer **out, const char *name, const char *json, size_t len)
{
    struct sl_hf *hf;
    int err = sl_hf_parse(&hf, name, json, len);
    if (err)
        return err;
    int32_t bos = hf->bos >= 0 && (uint32_t)hf->bos < hf->vocab.n ? hf->bos : -1;
    err = sl_tokenizer_from_kind(out, &sl_kind_hf, hf);
    if (!err)
        (*out)->bos = bos;
    return err;
}

int sl_tokenizer_from_spm(struct sl_tokenizer **out, const uint8_t *model, size_t len)
{
    return open_spm(out, "tokenizer.model", model, len, &(struct sl_tokenizer_files){0});
}

int sl_tokenizer_from_json(struct sl_tokenizer **out, const char *json, size_t len)
{
    return open_hf(out, "tokenizer.json", json, len);
}

/* ---- which file */

enum which { RANKS, JSON, SPM, N_WHICH };

struct listing {
    bool found[N_WHICH];
    char ranks[256]; /* name of the rank file */
    unsigned n_ranks;
};

static bool is_rank_file(const char *name)
{
    size_t n = strlen(name), suffix = strlen(".tiktoken");
    return name[0] != '.' && n > suffix && !strcmp(name + n - suffix, ".tiktoken");
}

static int list_files(struct listing *out, const char *model_dir)
{
    bool released = false;
    DIR *dir = opendir(model_dir);
    if (!dir)
        return sl_fail(SL_ERR_IO, "give the model's directory", "%s: %s", model_dir,
                       strerror(errno));
    *out = (struct listing){0};
    for (struct dirent *e; (e = readdir(dir));) {
        out->found[JSON] |= !strcmp(e->d_name, "tokenizer.json");
        out->found[SPM] |= !strcmp(e->d_name, "tokenizer.model");
        if (!is_rank_file(e->d_name) || released)
            continue;
        released = !strcmp(e->d_name, "hy.tiktoken");
        out->n_ranks = released ? 1 : out->n_ranks + 1;
        snprintf(out->ranks, sizeof out->ranks, "%s", e->d_name);
    }
    closedir(dir);
    out->found[RANKS] = out->n_ranks > 0;
    if (out->n_ranks > 1)
        return sl_fail(SL_ERR_FORMAT, "keep the model's own", "%s: several *.tiktoken files",
                       model_dir);
    return 0;
}

/* The released Yuan is used with its sentencepiece model; elsewhere tokenizer.json is what
 * transformers takes first. */
static enum which choose(const struct listing *l, bool yuan)
{
    static const enum which order[2][N_WHICH] = {{RANKS, JSON, SPM}, {RANKS, SPM, JSON}};
    for (unsigned i = 0; i < N_WHICH; i++)
        if (l->found[order[yuan][i]])
            return order[yuan][i];
    return N_WHICH;
}

static int open_ranks(struct sl_tokenizer **out, const char *path,
                      const struct sl_tokenizer_files *files)
{
    uint64_t vocab_size = 0;
    struct sl_ranks ranks;
    int err = sl_tokenizer_files_vocab_size(files, &vocab_size);
    if (!err)
        err = sl_ranks_load(&ranks, path);
    return err ? err : sl_tokenizer_from_ranks(out, &ranks, vocab_size);
}

static int open_file(struct sl_tokenizer **out, enum which which, const char *path,
                     const struct sl_tokenizer_files *files)
{
    char *text;
    size_t len;
    if (which == RANKS)
        return open_ranks(out, path, files);
    int err = sl_file_read(&text, &len, path, MAX_FILE);
    if (err)
        return err;
    err = which == JSON ? open_hf(out, path, text, len)
                        : open_spm(out, path, (const uint8_t *)text, len, files);
    free(text);
    return err;
}

static int open_listed(struct sl_tokenizer **out, const struct listing *l,
                       const struct sl_tokenizer_files *files)
{
    enum which which = choose(l, sl_tokenizer_files_yuan(files));
    const char *const name[N_WHICH] = {l->ranks, "tokenizer.json", "tokenizer.model"};
    char path[4096];
    struct sl_tokenizer *tok = NULL;
    if (which == N_WHICH)
        return sl_fail(SL_ERR_IO,
                       "copy the model's vocabulary there, or give token ids (--tokens FILE)",
                       "%s: no *.tiktoken, tokenizer.json or tokenizer.model", files->dir);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", files->dir, name[which]) >= sizeof path)
        return sl_fail(SL_ERR_IO, NULL, "%s: the path is too long", files->dir);
    int err = open_file(&tok, which, path, files);
    if (!err)
        err = sl_tokenizer_files_ends(files, tok);
    if (err)
        sl_tokenizer_close(&tok);
    else
        *out = tok;
    return err;
}

int sl_tokenizer_open(struct sl_tokenizer **out, const char *model_dir)
{
    struct listing l;
    struct sl_tokenizer_files files;
    int err = list_files(&l, model_dir);
    if (!err)
        err = sl_tokenizer_files_open(&files, model_dir);
    if (err)
        return err;
    err = open_listed(out, &l, &files);
    sl_tokenizer_files_close(&files);
    return err;
}
