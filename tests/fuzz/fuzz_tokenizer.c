/* SPDX-License-Identifier: Apache-2.0 */
/* Rank files and texts. The first byte chooses: a rank file (whatever it is, it is accepted whole
 * or refused), or a text, whose ids must exist and, unless NFC changes it, must spell the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"
#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All bytes and a few merges, so that heap and specials are reached. */
static struct sl_tokenizer *build(void)
{
    static const char *const merges[] = {
        "YWE=", "YWFhYQ==", "dGg=", "aGU=", "dGhl", "IHQ=", "w6k="};
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[8192];
    size_t n = 0;
    struct sl_ranks ranks;
    struct sl_tokenizer *tok = NULL;
    for (unsigned b = 0; b < 256; b++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%c%c== %u\n", digit[b >> 2],
                              digit[(b & 3) << 4], b);
    for (unsigned i = 0; i < sizeof merges / sizeof merges[0]; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %u\n", merges[i], 256 + i);
    if (sl_ranks_parse(&ranks, "fuzz", text, n) || sl_tokenizer_from_ranks(&tok, &ranks, 300))
        abort();
    return tok;
}

static void fuzz_ranks(const char *text, size_t len)
{
    struct sl_ranks ranks;
    if (sl_ranks_parse(&ranks, "fuzz", text, len))
        return;
    for (uint32_t r = 0; r < ranks.n; r++) {
        size_t n;
        const uint8_t *token = sl_ranks_token(&ranks, r, &n);
        if (sl_ranks_find(&ranks, token, n) != r)
            abort();
    }
    sl_ranks_free(&ranks);
}

static void fuzz_text(const struct sl_tokenizer *tok, const char *text, size_t len, bool special)
{
    int32_t *ids = NULL;
    uint8_t *normal = NULL;
    size_t n = 0, n_normal = 0, at = 0;
    if (sl_tokenizer_encode(tok, text, len, special, &ids, &n) ||
        sl_text_normalize((const uint8_t *)text, len, &normal, &n_normal))
        abort();
    for (size_t i = 0; i < n; i++) {
        size_t piece = 0;
        const char *bytes = sl_tokenizer_piece(tok, ids[i], &piece);
        if (!bytes || at + piece > n_normal || memcmp(normal + at, bytes, piece))
            abort();
        at += piece;
    }
    if (at != n_normal)
        abort();
    free(ids);
    free(normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 4 == 0) {
        fuzz_ranks((const char *)data + 1, size - 1);
        return 0;
    }
    struct sl_tokenizer *tok = build();
    fuzz_text(tok, (const char *)data + 1, size - 1, data[0] & 1);
    sl_tokenizer_close(&tok);
    return 0;
}
