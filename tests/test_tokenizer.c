/* SPDX-License-Identifier: Apache-2.0 */
/* Expected pieces and ids are derived by hand from the published rules of the tokenizer; the golden
 * lines give the places of the special tokens. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bpe.h"
#include "engine/text.h"
#include "engine/tokenizer.h"
#include "test_main.h"

/* ---- a small vocabulary: rank of byte b is b, then these */

static const char *const merges[] = {
    "th",       /* 256 */
    "he",       /* 257 */
    "the",      /* 258 */
    " t",       /* 259 */
    "bc",       /* 260: before "ab" */
    "ab",       /* 261 */
    "aa",       /* 262 */
    "aaaa",     /* 263 */
    "aaaaaaaa", /* 264 */
    "xyz",      /* 265: no pair of its bytes is a token, so only a whole piece can be it */
    "\xc3\xa9", /* 266: e with acute */
    "wxyz",     /* 267: w + xyz */
};
enum { N_RANK = 256 + sizeof merges / sizeof merges[0] };

static size_t encode_base64(const uint8_t *in, size_t len, char *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t word = (uint32_t)in[i] << 16;
        word |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
        word |= i + 2 < len ? in[i + 2] : 0;
        for (int d = 0; d < 4; d++)
            out[n++] = i + (size_t)d > len ? '=' : digit[word >> (18 - 6 * d) & 63];
    }
    return n;
}

/* Writes the rank file of the vocabulary; returns its length. */
static size_t rank_file(char *out)
{
    size_t n = 0;
    for (unsigned r = 0; r < N_RANK; r++) {
        uint8_t byte = (uint8_t)r;
        const uint8_t *token = r < 256 ? &byte : (const uint8_t *)merges[r - 256];
        n += encode_base64(token, r < 256 ? 1 : strlen(merges[r - 256]), out + n);
        n += (size_t)sprintf(out + n, " %u\n", r);
    }
    return n;
}

static struct sl_tokenizer *open_small(uint64_t vocab_size)
{
    char text[8192];
    struct sl_ranks ranks;
    struct sl_tokenizer *tok = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_ranks_parse(&ranks, "small", text, rank_file(text)), 0);
    CU_ASSERT_EQUAL_FATAL(ranks.n, N_RANK);
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_from_ranks(&tok, &ranks, vocab_size), 0);
    return tok;
}

static void check_ids(const struct sl_tokenizer *tok, const char *text, size_t len, bool special,
                      const int32_t *want)
{
    int32_t *ids = NULL;
    size_t n = 0, n_want = 0;
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_encode(tok, text, len, special, &ids, &n), 0);
    while (want[n_want] >= 0)
        n_want++;
    CU_ASSERT_EQUAL(n, n_want);
    bool same = n == n_want;
    for (size_t i = 0; i < n && same; i++)
        same = ids[i] == want[i];
    if (!same) {
        printf("\n  \"%s\":", text);
        for (size_t i = 0; i < n; i++)
            printf(" %d", (int)ids[i]);
        printf("\n");
    }
    CU_ASSERT(same);
    free(ids);
}

#define CHECK(tok, text, special, ...)                                                             \
    check_ids(tok, text, sizeof(text) - 1, special, (const int32_t[]){__VA_ARGS__, -1})

/* ---- pieces */

struct split {
    const char *text;
    const char *piece[8];
};

static const struct split splits[] = {
    {"Hello, world!", {"Hello", ",", " world", "!"}},
    {"I'm you'LL don't", {"I", "'m", " you", "'LL", " don", "'t"}},
    {"'tis", {"'t", "is"}},
    {"1234", {"1", "2", "3", "4"}},
    {"a1b", {"a", "1", "b"}},
    {" 12", {" ", "1", "2"}},
    {"  leading", {" ", " leading"}},
    {"x  ", {"x", "  "}},
    {"a\n\nb", {"a", "\n\n", "b"}},
    {"a \n b", {"a", " \n", " b"}},
    {"end!\n\nnext", {"end", "!\n\n", "next"}},
    {"a !?", {"a", " !?"}},
    {"\tfoo", {"\tfoo"}},
    {"\nfoo", {"\n", "foo"}},
    {"(foo)", {"(foo", ")"}},
    {"__a", {"__", "a"}},
    {"a-b", {"a", "-b"}},
    {"a\r\nb", {"a", "\r\n", "b"}},
    {"   \n  x", {"   \n", " ", " x"}},
    {"\xc2\xbd\xc2\xb2", {"\xc2\xbd", "\xc2\xb2"}},      /* one half, squared: numbers */
    {"\xe6\xb7\xb7\xe5\x85\x83\xef\xbc\x8c\xe5\xa4\xa7", /* two letters, comma, letter */
     {"\xe6\xb7\xb7\xe5\x85\x83", "\xef\xbc\x8c\xe5\xa4\xa7"}},
    {"don\xe2\x80\x99t", {"don", "\xe2\x80\x99t"}}, /* U+2019 is no apostrophe */
    {"!\xc2\x85!", {"!", "\xc2\x85", "!"}},         /* U+0085 is white space */
    {"!\xe1\xa0\x8e!", {"!\xe1\xa0\x8e!"}},         /* U+180E is not */
    {"!\x1c!", {"!\x1c!"}},                         /* nor is U+001C */
};

static void the_pattern_cuts_text_as_published(void)
{
    struct sl_splitter *s = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_splitter_open(&s), 0);
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        const char *text = splits[i].text;
        size_t len = strlen(text), at = 0, k = 0;
        for (size_t piece = 0; at < len; at += piece, k++) {
            const char *want = splits[i].piece[k];
            CU_ASSERT_EQUAL_FATAL(sl_splitter_next(s, (const uint8_t *)text, len, at, &piece), 0);
            CU_ASSERT_PTR_NOT_NULL_FATAL(want);
            bool same = strlen(want) == piece && !memcmp(text + at, want, piece);
            if (!same)
                printf("\n  \"%s\": \"%.*s\" instead of \"%s\"\n", text, (int)piece, text + at,
                       want);
            CU_ASSERT(same);
        }
        CU_ASSERT_PTR_NULL(splits[i].piece[k]);
    }
    sl_splitter_close(&s);
}

/* ---- merging */

static void pairs_merge_by_rank_then_from_the_left(void)
{
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    CHECK(tok, "", false, -1);
    CHECK(tok, "a", false, 'a');
    CHECK(tok, "the", false, 258);       /* the whole piece is a token */
    CHECK(tok, "then", false, 258, 'n'); /* th first (256), then th+e */
    CHECK(tok, "hthe", false, 'h', 258);
    CHECK(tok, " the", false, ' ', 258); /* th (256) before " t" (259) */
    CHECK(tok, " to", false, 259, 'o');
    CHECK(tok, "abc", false, 'a', 260); /* bc has the lower rank although ab is further left */
    CHECK(tok, "abd", false, 261, 'd');
    CHECK(tok, "aaa", false, 262, 'a'); /* leftmost among equals */
    CHECK(tok, "aaaaa", false, 263, 'a');
    CHECK(tok, "aaaaaaa", false, 263, 262, 'a');
    CHECK(tok, "xyz", false, 265); /* whole piece */
    CHECK(tok, "xyzv", false, 'x', 'y', 'z', 'v');
    CHECK(tok, "wxyz", false, 267);
    CHECK(tok, "!wxyz", false, '!', 'w', 'x', 'y', 'z');
    CHECK(tok, "the the", false, 258, ' ', 258);
    sl_tokenizer_close(&tok);
}

static void a_run_of_one_letter_splits_into_the_longest_tokens(void)
{
    /* As the golden line of 24 letters does with a token of eight. */
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    CHECK(tok, "aaaaaaaaaaaaaaaaaaaaaaaa", false, 264, 264, 264);
    sl_tokenizer_close(&tok);
}

static void long_runs_cost_a_bounded_number_of_lookups(void)
{
    static const struct {
        const char *unit;
        unsigned repeat;
    } cases[] = {{"a", 100000},
                 {" ", 100000},
                 {"\n", 100000},
                 {"the", 40000},
                 {"1", 100000},
                 {"!", 100000},
                 {" \n", 50000},
                 {"\xe6\xb7\xb7", 40000},
                 {"<|", 50000},
                 {"\xff", 100000},
                 {"\xcc\x81\xcc\xa7", 30000},
                 {"' ", 50000}};
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t unit = strlen(cases[c].unit), len = unit * cases[c].repeat;
        char *text = malloc(len);
        uint64_t cost = UINT64_MAX;
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        for (size_t i = 0; i < len; i++)
            text[i] = cases[c].unit[i % unit];
        CU_ASSERT_EQUAL(sl_tokenizer_cost(tok, text, len, &cost), 0);
        /* One search for the piece, one for each neighbouring pair, two for each merge, one for
         * each result. */
        CU_ASSERT(cost <= 5 * (uint64_t)len);
        free(text);
    }
    sl_tokenizer_close(&tok);
}

/* ---- Unicode */

static void text_is_composed_before_it_is_cut(void)
{
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    CHECK(tok, "\xc3\xa9", false, 266);
    CHECK(tok, "e\xcc\x81", false, 266); /* e + combining acute */
    CHECK(tok, "the\xcc\x81", false, 256, 266);
    sl_tokenizer_close(&tok);
}

static void check_nfc(const char *in, const char *want)
{
    uint8_t *out = NULL;
    size_t n = 0;
    CU_ASSERT_EQUAL_FATAL(sl_text_normalize((const uint8_t *)in, strlen(in), &out, &n), 0);
    CU_ASSERT(n == strlen(want) && !memcmp(out, want, n));
    free(out);
}

/* From the examples of Unicode Standard Annex 15 and its test file. */
static void normalisation_follows_the_annex(void)
{
    check_nfc("D\xcc\x87", "\xe1\xb8\x8a"); /* D + dot above = U+1E0A */
    check_nfc("D\xcc\x87\xcc\xa3",
              "\xe1\xb8\x8c\xcc\x87"); /* dot below goes first: U+1E0C U+0307 */
    check_nfc("\xe1\xb8\x8a\xcc\xa3", "\xe1\xb8\x8c\xcc\x87");         /* U+1E0A U+0323 */
    check_nfc("\xe2\x84\xab", "\xc3\x85");                             /* Angstrom sign */
    check_nfc("\xef\xac\x81", "\xef\xac\x81");                         /* the ligature fi is kept */
    check_nfc("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"); /* Hangul jamo: U+AC01 */
    check_nfc("\xea\xb0\x80\xe1\x86\xa7",
              "\xea\xb0\x80\xe1\x86\xa7"); /* U+11A7 composes with nothing */
    check_nfc("\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5"); /* U+1D15E is excluded */
    check_nfc("a\xcc\x81\xff\xcc\x81", "\xc3\xa1\xff\xcc\x81"); /* stretches are on their own */
}

static void broken_utf8_is_kept_byte_by_byte(void)
{
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    CHECK(tok, "\xff", false, 0xff);
    CHECK(tok, "\xc3\xa9\xc3", false, 266, 0xc3); /* truncated at the end */
    CHECK(tok, "a\xc3(", false, 'a', 0xc3, '(');
    CHECK(tok, "\xed\xa0\x80", false, 0xed, 0xa0, 0x80);           /* a surrogate */
    CHECK(tok, "\xc0\xaf", false, 0xc0, 0xaf);                     /* overlong */
    CHECK(tok, "\xf4\x90\x80\x80", false, 0xf4, 0x90, 0x80, 0x80); /* above U+10FFFF */
    CHECK(tok,
          "th\x80"
          "e",
          false, 256, 0x80, 'e'); /* a broken byte ends a piece */
    CHECK(tok, "a\0b", false, 'a', 0, 'b');
    sl_tokenizer_close(&tok);
}

/* ---- special tokens */

static void special_names_become_ids_only_when_asked(void)
{
    struct sl_tokenizer *tok = open_small(N_RANK + 5 + 12);
    int32_t n = N_RANK;
    CHECK(tok, "<|endoftext|>", true, n);
    CHECK(tok, "<|startoftext|><|bos|><|eos|><|pad|>", true, n + 1, n + 2, n + 3, n + 4);
    CHECK(tok, "<|extra_0|>the<|extra_11|>", true, n + 5, 258, n + 16);
    CHECK(tok, "<|extra_12|>", true, '<', '|', 'e', 'x', 't', 'r', 'a', '_', '1', '2', '|', '>');
    CHECK(tok, "<|eos", true, '<', '|', 'e', 'o', 's');
    CHECK(tok, "<|<|eos|>", true, '<', '|', n + 3);
    CHECK(tok, "<|eos|>", false, '<', '|', 'e', 'o', 's', '|', '>');
    CHECK(tok, "aa<|eos|>aa", true, 262, n + 3, 262);
    /* NFC comes first: > with U+0338 is another character, so there is no name left. */
    CHECK(tok, "<|eos|>\xcc\xb8", true, '<', '|', 'e', 'o', 's', '|', 0xe2, 0x89, 0xaf);
    sl_tokenizer_close(&tok);
}

static void the_number_of_extras_follows_the_vocabulary(void)
{
    static const struct {
        uint64_t vocab_size;
        size_t size;
    } cases[] = {{N_RANK + 5, N_RANK + 5},
                 {N_RANK + 5 + 11, N_RANK + 5 + 11},
                 {N_RANK + 5 + 205, N_RANK + 5 + 205},
                 {N_RANK + 5 + 1062, N_RANK + 5 + 205}};
    size_t len = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_tokenizer *tok = open_small(cases[i].vocab_size);
        int32_t size = (int32_t)cases[i].size;
        CU_ASSERT_EQUAL(sl_tokenizer_size(tok), cases[i].size);
        CU_ASSERT_PTR_NOT_NULL(sl_tokenizer_piece(tok, size - 1, &len));
        CU_ASSERT_PTR_NULL(sl_tokenizer_piece(tok, size, &len));
        CU_ASSERT_PTR_NULL(sl_tokenizer_piece(tok, -1, &len));
        CU_ASSERT(sl_tokenizer_is_special(tok, size - 1));
        CU_ASSERT_FALSE(sl_tokenizer_is_special(tok, size));
        CU_ASSERT_FALSE(sl_tokenizer_is_special(tok, N_RANK - 1));
        CU_ASSERT_FALSE(sl_tokenizer_is_special(tok, -1));
        CU_ASSERT_EQUAL(sl_tokenizer_bos(tok), N_RANK + 1);
        sl_tokenizer_close(&tok);
    }
}

static void a_vocabulary_without_room_is_refused(void)
{
    char text[8192];
    struct sl_ranks ranks;
    struct sl_tokenizer *tok = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_ranks_parse(&ranks, "small", text, rank_file(text)), 0);
    CU_ASSERT_EQUAL(sl_tokenizer_from_ranks(&tok, &ranks, N_RANK + 4), SL_ERR_SHAPE);
    CU_ASSERT_PTR_NULL(tok);
}

/* ids at or above the release's 127957 ranks name special tokens; they must come out at the same
 * places here. */
static void check_golden_specials(const struct sl_tokenizer *tok, const char *text, json_t *want)
{
    int32_t *ids = NULL;
    size_t n = 0, at = 0;
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_encode(tok, text, strlen(text), true, &ids, &n), 0);
    for (size_t i = 0; i < json_array_size(want); i++) {
        long id = (long)json_integer_value(json_array_get(want, i));
        if (id < 127957)
            continue;
        while (at < n && ids[at] < N_RANK)
            at++;
        CU_ASSERT_FATAL(at < n);
        CU_ASSERT_EQUAL(ids[at] - N_RANK, id - 127957);
        at++;
    }
    while (at < n && ids[at] < N_RANK)
        at++;
    CU_ASSERT_EQUAL(at, n);
    free(ids);
}

static void golden_lines_have_the_same_special_tokens(void)
{
    static const char *const files[][2] = {{"hunyuan_bpe.jsonl", "text"},
                                           {"hunyuan_chat.jsonl", "rendered"}};
    struct sl_tokenizer *tok = open_small(N_RANK + 5 + 205);
    for (size_t f = 0; f < 2; f++) {
        char path[512], line[8192];
        snprintf(path, sizeof path, "%s/tokenizers/%s", sl_golden_dir(), files[f][0]);
        FILE *file = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        while (fgets(line, sizeof line, file)) {
            json_t *o = json_loads(line, 0, NULL);
            const char *text = json_string_value(json_object_get(o, files[f][1]));
            CU_ASSERT_PTR_NOT_NULL_FATAL(text);
            check_golden_specials(tok, text, json_object_get(o, "ids"));
            json_decref(o);
        }
        fclose(file);
    }
    sl_tokenizer_close(&tok);
}

/* ---- round trips */

static void check_round_trip(const struct sl_tokenizer *tok, const char *text, size_t len)
{
    int32_t *ids = NULL;
    size_t n = 0, at = 0;
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_encode(tok, text, len, false, &ids, &n), 0);
    bool same = true;
    for (size_t i = 0; i < n && same; i++) {
        size_t piece = 0;
        const char *bytes = sl_tokenizer_piece(tok, ids[i], &piece);
        same = bytes && at + piece <= len && !memcmp(text + at, bytes, piece);
        at += piece;
    }
    CU_ASSERT(same && at == len);
    free(ids);
}

/* Texts that are in NFC already, or that hold no character which NFC changes. */
static void decoding_gives_the_text_back(void)
{
    struct sl_rng rng = sl_rng_open("decoding_gives_the_text_back", 7);
    struct sl_tokenizer *tok = open_small(N_RANK + 5);
    static const char *const unit[] = {"a",
                                       "the",
                                       " ",
                                       "\n",
                                       "1",
                                       "'t",
                                       "xyz",
                                       "bc",
                                       "\xc3\xa9",
                                       "\xe6\xb7\xb7",
                                       "\xf0\x9f\x99\x82",
                                       "!",
                                       "\r\n",
                                       "\t",
                                       "\xd0\x9f",
                                       "\xff",
                                       "\xe6\xb7",
                                       "\x80"};
    for (unsigned round = 0; round < 300; round++) {
        char text[512];
        size_t len = 0;
        for (int64_t k = sl_rng_range(&rng, 0, 60); k; k--) {
            const char *u =
                unit[sl_rng_range(&rng, 0, (int64_t)(sizeof unit / sizeof unit[0]) - 1)];
            memcpy(text + len, u, strlen(u));
            len += strlen(u);
        }
        check_round_trip(tok, text, len);
    }
    for (unsigned round = 0; round < 300; round++) { /* lead bytes below 0xcc cannot start a mark */
        char text[200];
        size_t len = (size_t)sl_rng_range(&rng, 0, sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)sl_rng_range(&rng, 0, 0xcb);
        check_round_trip(tok, text, len);
    }
    sl_tokenizer_close(&tok);
}

/* ---- the rank file */

static void check_refused(const char *text, size_t len, const char *where)
{
    struct sl_ranks ranks;
    CU_ASSERT_EQUAL(sl_ranks_parse(&ranks, "file", text, len), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(ranks.bytes);
    bool named = strstr(sl_error_message(), where) != NULL;
    if (!named)
        printf("\n  %s: expected %s\n", sl_error_message(), where);
    CU_ASSERT(named);
}

/* The good file with the line of `rank` replaced. */
static void check_replaced(unsigned rank, const char *line, const char *where)
{
    char good[8192], bad[8192 + 64];
    good[rank_file(good)] = 0;
    char *start = good;
    for (unsigned r = 0; r < rank; r++)
        start = strchr(start, '\n') + 1;
    int n = snprintf(bad, sizeof bad, "%.*s%s%s", (int)(start - good), good, line,
                     strchr(start, '\n') + 1);
    check_refused(bad, (size_t)n, where);
}

static void damaged_rank_files_are_refused_with_the_line(void)
{
    check_replaced(2, "Ag=! 2\n", "file:3: bad base64");
    check_replaced(2, "Ag= 2\n", "file:3: bad base64");
    check_replaced(2, "Ah== 2\n", "file:3: bad base64"); /* bits behind the byte */
    check_replaced(2, "==== 2\n", "file:3: bad base64");
    check_replaced(2, " 2\n", "file:3: bad base64");
    check_replaced(2, "Ag== 1\n", "file:3: this rank was given before");
    check_replaced(2, "Ag== 3\n", "file:3: ranks are missing");
    check_replaced(2, "Ag== x\n", "file:3: the rank is not a number");
    check_replaced(2, "Ag== -2\n", "file:3: the rank is not a number");
    check_replaced(2, "Ag== 99999999999\n", "file:3: expected");
    check_replaced(2, "Ag==\n", "file:3: expected");
    check_replaced(2, "Ag==  2\n", "file:3: the rank is not a number");
    check_replaced(2, "AQ== 2\n", "file:3: this token was given before");
    check_replaced(2, "AgI= 2\n", "without the single byte 0x02");
    check_replaced(2, "", "file:3: ranks are missing");
    check_refused("", 0, "without the single byte 0x00");
}

static void line_ends_may_be_those_of_windows(void)
{
    char good[8192], crlf[9000];
    size_t len = rank_file(good), n = 0;
    for (size_t i = 0; i < len; i++) {
        if (good[i] == '\n')
            crlf[n++] = '\r';
        crlf[n++] = good[i];
    }
    crlf[n++] = '\n';
    struct sl_ranks ranks;
    CU_ASSERT_EQUAL_FATAL(sl_ranks_parse(&ranks, "file", crlf, n), 0);
    CU_ASSERT_EQUAL(ranks.n, N_RANK);
    CU_ASSERT_EQUAL(sl_ranks_find(&ranks, (const uint8_t *)"the", 3), 258);
    CU_ASSERT_EQUAL(sl_ranks_find(&ranks, (const uint8_t *)"thx", 3), SL_RANK_NONE);
    sl_ranks_free(&ranks);
    CU_ASSERT_EQUAL_FATAL(sl_ranks_parse(&ranks, "file", good, len - 1),
                          0); /* no newline at the end */
    CU_ASSERT_EQUAL(ranks.n, N_RANK);
    sl_ranks_free(&ranks);
}

/* ---- directories */

static void write_file(const char *dir, const char *name, const char *text, size_t len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, len, f), len);
    fclose(f);
}

static int open_dir(struct sl_tokenizer **tok, const char *config, const char *generation)
{
    char dir[256], ranks[8192];
    *tok = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    write_file(dir, "hy.tiktoken", ranks, rank_file(ranks));
    if (config)
        write_file(dir, "config.json", config, strlen(config));
    if (generation)
        write_file(dir, "generation_config.json", generation, strlen(generation));
    return sl_tokenizer_open(tok, dir);
}

static void a_directory_gives_vocabulary_and_ends(void)
{
    struct sl_tokenizer *tok;
    CU_ASSERT_EQUAL_FATAL(open_dir(&tok, "{\"vocab_size\": 300}", NULL), 0);
    CU_ASSERT_EQUAL(sl_tokenizer_size(tok), 300);
    CU_ASSERT(sl_tokenizer_is_eog(tok, N_RANK));         /* <|endoftext|> */
    CU_ASSERT(sl_tokenizer_is_eog(tok, N_RANK + 3));     /* <|eos|> */
    CU_ASSERT(sl_tokenizer_is_eog(tok, N_RANK + 5 + 5)); /* <|extra_5|> */
    CU_ASSERT_FALSE(sl_tokenizer_is_eog(tok, N_RANK + 1));
    sl_tokenizer_close(&tok);
    CU_ASSERT_EQUAL_FATAL(open_dir(&tok, "{\"vocab_size\": 300}", "{\"eos_token_id\": [5, 280]}"),
                          0);
    CU_ASSERT(sl_tokenizer_is_eog(tok, 5) && sl_tokenizer_is_eog(tok, 280));
    CU_ASSERT_FALSE(sl_tokenizer_is_eog(tok, N_RANK + 3));
    sl_tokenizer_close(&tok);
    CU_ASSERT_EQUAL_FATAL(open_dir(&tok, "{\"vocab_size\": 300}", "{\"eos_token_id\": 7}"), 0);
    CU_ASSERT(sl_tokenizer_is_eog(tok, 7));
    sl_tokenizer_close(&tok);
}

static void broken_directories_are_refused(void)
{
    struct sl_tokenizer *tok;
    char dir[256];
    CU_ASSERT_EQUAL(open_dir(&tok, NULL, NULL), SL_ERR_IO);
    CU_ASSERT_EQUAL(open_dir(&tok, "{", NULL), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(open_dir(&tok, "[]", NULL), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(open_dir(&tok, "{}", NULL), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(open_dir(&tok, "{\"vocab_size\": \"300\"}", NULL), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(open_dir(&tok, "{\"vocab_size\": 10}", NULL), SL_ERR_SHAPE);
    CU_ASSERT_EQUAL(open_dir(&tok, "{\"vocab_size\": 300}", "{\"eos_token_id\": \"x\"}"),
                    SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(open_dir(&tok, "{\"vocab_size\": 300}", "nonsense"), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL(sl_tokenizer_open(&tok, dir), SL_ERR_IO);
    write_file(dir, "tokenizer.model", "x", 1);
    CU_ASSERT_EQUAL(sl_tokenizer_open(&tok, dir), SL_ERR_FORMAT);
    write_file(dir, "one.tiktoken", "x", 1);
    write_file(dir, "two.tiktoken", "x", 1);
    CU_ASSERT_EQUAL(sl_tokenizer_open(&tok, dir), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(tok);
}

static const struct sl_case cases[] = {
    {"the_pattern_cuts_text_as_published", the_pattern_cuts_text_as_published},
    {"pairs_merge_by_rank_then_from_the_left", pairs_merge_by_rank_then_from_the_left},
    {"a_run_of_one_letter_splits_into_the_longest_tokens",
     a_run_of_one_letter_splits_into_the_longest_tokens},
    {"long_runs_cost_a_bounded_number_of_lookups", long_runs_cost_a_bounded_number_of_lookups},
    {"text_is_composed_before_it_is_cut", text_is_composed_before_it_is_cut},
    {"normalisation_follows_the_annex", normalisation_follows_the_annex},
    {"broken_utf8_is_kept_byte_by_byte", broken_utf8_is_kept_byte_by_byte},
    {"special_names_become_ids_only_when_asked", special_names_become_ids_only_when_asked},
    {"the_number_of_extras_follows_the_vocabulary", the_number_of_extras_follows_the_vocabulary},
    {"a_vocabulary_without_room_is_refused", a_vocabulary_without_room_is_refused},
    {"golden_lines_have_the_same_special_tokens", golden_lines_have_the_same_special_tokens},
    {"decoding_gives_the_text_back", decoding_gives_the_text_back},
    {"damaged_rank_files_are_refused_with_the_line", damaged_rank_files_are_refused_with_the_line},
    {"line_ends_may_be_those_of_windows", line_ends_may_be_those_of_windows},
    {"a_directory_gives_vocabulary_and_ends", a_directory_gives_vocabulary_and_ends},
    {"broken_directories_are_refused", broken_directories_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_tokenizer = {"tokenizer", cases};
