/* SPDX-License-Identifier: Apache-2.0 */
/* Sentencepiece models and texts. The input is the length of a model (two bytes), the model and a
 * text; or, with length 0, a text for a model of this file, whose text must come out again, each
 * stray byte as U+FFFD. Whatever a model is, it is accepted whole or refused. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"
#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put_piece(uint8_t *out, const char *text, uint8_t type, float score)
{
    size_t n = strlen(text);
    uint8_t head[] = {0x0a, (uint8_t)(n + 9), 0x0a, (uint8_t)n};
    memcpy(out, head, sizeof head);
    memcpy(out + 4, text, n);
    out[4 + n] = 0x15;
    memcpy(out + 5 + n, &score, 4);
    out[9 + n] = 0x18;
    out[10 + n] = type;
    return 11 + n;
}

/* All bytes, a few pieces with equal scores, user-defined and unused ones; identity. */
static size_t own_model(uint8_t *out)
{
    static const char *const merges[] = {"aa", "aaaa", "th", "the", "\xe2\x96\x81t", "e\xcc\x81"};
    static const char *const letters[] = {"a", "t", "h", "e", "\xe2\x96\x81", "\xcc\x81"};
    static const uint8_t trainer[] = {0x12, 5, 0x18, 2, 0x98, 0x02, 1};
    static const uint8_t normalizer[] = {0x1a, 4, 0x18, 1, 0x20, 0};
    size_t n = put_piece(out, "<unk>", 2, 0);
    n += put_piece(out + n, "<s>", 3, 0);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        n += put_piece(out + n, name, 6, 0);
    }
    for (size_t i = 0; i < 6; i++)
        n += put_piece(out + n, merges[i], i == 2 ? 5 : 1, -(float)(i / 2));
    for (size_t i = 0; i < 6; i++)
        n += put_piece(out + n, letters[i], 1, -9);
    n += put_piece(out + n, "hehe", 4, 0);
    memcpy(out + n, trainer, sizeof trainer);
    memcpy(out + n + sizeof trainer, normalizer, sizeof normalizer);
    return n + sizeof trainer + sizeof normalizer;
}

/* Appends the text of the ids. */
static size_t spell(const struct sl_tokenizer *tok, const int32_t *ids, size_t n, char *out)
{
    bool start = true;
    size_t at = 0, len;
    for (size_t i = 0; i < n; i++) {
        const char *text = sl_tokenizer_text(tok, ids[i], &start, &len);
        if (out)
            memcpy(out + at, text, len);
        at += len;
    }
    return at;
}

static void check_text(const struct sl_tokenizer *tok, const int32_t *ids, size_t n,
                       const uint8_t *text, size_t len)
{
    char *own = malloc(spell(tok, ids, n, NULL) + 1);
    size_t n_own = spell(tok, ids, n, own), at = 0;
    for (size_t i = 0; i < len;) {
        size_t good = sl_utf8_char(text + i, len - i);
        /* U+2581 spells a blank. */
        bool blank = good == 3 && !memcmp(text + i, "\xe2\x96\x81", 3);
        const void *want = blank ? " " : good ? (const void *)(text + i) : "\xef\xbf\xbd";
        size_t n_want = blank ? 1 : good ? good : 3;
        if (n_own - at < n_want || memcmp(own + at, want, n_want) != 0)
            abort();
        at += n_want;
        i += good ? good : 1;
    }
    if (at != n_own)
        abort();
    free(own);
}

static void fuzz_text(const struct sl_tokenizer *tok, const uint8_t *text, size_t len, bool own)
{
    for (int special = 0; special < 2; special++) {
        int32_t *ids = NULL;
        size_t n = 0;
        if (sl_tokenizer_encode(tok, (const char *)text, len, special, &ids, &n)) {
            if (own)
                abort();
            continue;
        }
        for (size_t i = 0; i < n; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= sl_tokenizer_size(tok))
                abort();
        if (own && !special)
            check_text(tok, ids, n, text, len);
        else
            spell(tok, ids, n, NULL);
        free(ids);
    }
}

/* Made once: most texts are for it. */
static const struct sl_tokenizer *own_tokenizer(void)
{
    static struct sl_tokenizer *tok;
    uint8_t model[8192];
    if (!tok && sl_tokenizer_from_spm(&tok, model, own_model(model)))
        abort();
    return tok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_tokenizer *tok = NULL;
    if (size < 2)
        return 0;
    size_t len = data[0] | (size_t)data[1] << 8;
    len = len < size - 2 ? len : size - 2;
    if (len == 0)
        fuzz_text(own_tokenizer(), data + 2, size - 2, true);
    else if (!sl_tokenizer_from_spm(&tok, data + 2, len))
        fuzz_text(tok, data + 2 + len, size - 2 - len, false);
    sl_tokenizer_close(&tok);
    return 0;
}
