/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json and texts: the file, a zero, the text. Whatever the file is, it is accepted whole
 * or refused; the ids of a text exist and have a piece. A file of one byte, 'b' or 'c', stands for
 * a byte-level or character-level vocabulary of this file. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put_vocab(char *out, size_t cap, bool bytes)
{
    size_t n = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool own = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        unsigned other = b <= 0x20 ? 0x100 + b : b <= 0xa0 ? 0x121 + b - 0x7f : 0x143;
        if (bytes)
            n += (size_t)snprintf(out + n, cap - n, "\"\\u%04x\":%u,", own ? b : other, b);
        else
            n += (size_t)snprintf(out + n, cap - n, "\"<0x%02X>\":%u,", b, b);
    }
    return n;
}

static const char byte_tail[] =
    "\"aa\":256,\"aaaa\":257,\"th\":258,\"the\":259,\"\\u0120t\":260},\"ignore_merges\":true,"
    "\"merges\":[\"a a\",\"aa aa\",[\"t\",\"h\"],\"th e\",\"\\u0120 t\"]},"
    "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\","
    "\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"},\"added_tokens\":["
    "{\"id\":261,\"content\":\"<s>\",\"special\":true,\"rstrip\":true},"
    "{\"id\":262,\"content\":\"th<\",\"special\":false,\"lstrip\":true,\"normalized\":true}]}";
static const char char_tail[] =
    "\"a\":256,\"aa\":257,\"t\":258,\"h\":259,\"th\":260,\"\\u2581\":261,\"\\u2581t\":262},"
    "\"byte_fallback\":true,\"merges\":[\"a a\",\"t h\",\"\\u2581 t\"]},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\","
    "\"prepend_scheme\":\"first\",\"split\":true},\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
    "{\"type\":\"ByteFallback\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}";

static void fuzz_text(const struct sl_tokenizer *tok, const uint8_t *text, size_t len)
{
    for (int special = 0; special < 2; special++) {
        int32_t *ids = NULL;
        size_t n = 0, n_piece;
        bool start = true;
        if (sl_tokenizer_encode(tok, (const char *)text, len, special, &ids, &n))
            continue;
        for (size_t i = 0; i < n; i++)
            if (!sl_tokenizer_piece(tok, ids[i], &n_piece) ||
                !sl_tokenizer_text(tok, ids[i], &start, &n_piece))
                abort();
        free(ids);
    }
}

/* Made once each. */
static const struct sl_tokenizer *own_tokenizer(bool bytes)
{
    static struct sl_tokenizer *tok[2];
    char own[16384];
    if (tok[bytes])
        return tok[bytes];
    size_t n = (size_t)snprintf(own, sizeof own, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    n += put_vocab(own + n, sizeof own - n, bytes);
    n += (size_t)snprintf(own + n, sizeof own - n, "%s", bytes ? byte_tail : char_tail);
    if (sl_tokenizer_from_json(&tok[bytes], own, n))
        abort();
    return tok[bytes];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    struct sl_tokenizer *tok = NULL;
    const uint8_t *text = end ? end + 1 : data + len;
    size_t n_text = size - (size_t)(text - data);
    if (len == 1 && (data[0] == 'b' || data[0] == 'c'))
        fuzz_text(own_tokenizer(data[0] == 'b'), text, n_text);
    else if (!sl_tokenizer_from_json(&tok, (const char *)data, len))
        fuzz_text(tok, text, n_text);
    sl_tokenizer_close(&tok);
    return 0;
}
