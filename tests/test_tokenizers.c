/* SPDX-License-Identifier: Apache-2.0 */
/* Sentencepiece models and tokenizer.json files: ids and text beside those of the libraries that
 * they are written for (golden/tokenizers/make_vectors.py), and what is refused. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/text.h"
#include "engine/tokenizer.h"
#include "temp_file.h"
#include "test_main.h"

/* ---- vectors */

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = strlen(text) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        CU_ASSERT_EQUAL(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static bool same_ids(const int32_t *ids, size_t n, const json_t *want)
{
    bool same = n == json_array_size(want);
    for (size_t i = 0; i < n && same; i++)
        same = ids[i] == json_integer_value(json_array_get(want, i));
    return same;
}

/* NULL: the library was not asked for text. */
static bool same_text(const struct sl_tokenizer *tok, const int32_t *ids, size_t n,
                      const char *want)
{
    uint8_t text[4096];
    size_t at = 0, len, n_want = want ? unhex(want, text) : 0;
    bool start = true, same = true;
    for (size_t i = 0; i < n && want && same; i++) {
        const char *part = sl_tokenizer_text(tok, ids[i], &start, &len);
        same = n_want - at >= len && !memcmp(text + at, part, len);
        at += len;
    }
    return same && at == n_want;
}

static void check_line(const struct sl_tokenizer *tok, const json_t *o, const char *name)
{
    uint8_t text[4096];
    const char *hex = json_string_value(json_object_get(o, "hex"));
    size_t len = unhex(hex, text), n = 0;
    int32_t *ids = NULL;
    bool special = json_is_true(json_object_get(o, "special"));
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_encode(tok, (const char *)text, len, special, &ids, &n), 0);
    bool same = same_ids(ids, n, json_object_get(o, "ids"));
    bool spelled = same_text(tok, ids, n, json_string_value(json_object_get(o, "decoded")));
    if (!same || !spelled)
        printf("\n  %s%s: %s differs in %s\n", name, special ? ", special" : "", hex,
               same ? "text" : "ids");
    CU_ASSERT(same);
    CU_ASSERT(spelled);
    free(ids);
}

static void check_vectors(const char *name)
{
    char path[512], line[16384];
    struct sl_tokenizer *tok = NULL;
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/tokenizers/%s", sl_golden_dir(), name);
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_open(&tok, path), 0);
    snprintf(path, sizeof path, "%s/tokenizers/%s.jsonl", sl_golden_dir(), name);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (; fgets(line, sizeof line, file); n++) {
        json_t *o = json_loads(line, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(o);
        check_line(tok, o, name);
        json_decref(o);
    }
    CU_ASSERT(n >= 200);
    fclose(file);
    sl_tokenizer_close(&tok);
}

static void sentencepiece_with_equal_scores_and_byte_fallback(void)
{
    check_vectors("spm");
}

static void sentencepiece_with_pieces_of_all_types_and_a_charsmap(void)
{
    check_vectors("spm_odd");
}

static void byte_level_files(void)
{
    check_vectors("byte_level");
    check_vectors("byte_level_2");
}

static void character_level_files(void)
{
    check_vectors("char_level");
    check_vectors("char_level_2");
}

/* ---- cost */

static void check_cost(const struct sl_tokenizer *tok, const char *unit, size_t repeat)
{
    size_t n = strlen(unit), len = n * repeat;
    char *text = malloc(len);
    uint64_t cost = UINT64_MAX;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < len; i++)
        text[i] = unit[i % n];
    CU_ASSERT_EQUAL(sl_tokenizer_cost(tok, text, len, &cost), 0);
    /* One for each pair of neighbours and two for each merge of at most 3 symbols a byte: a blank
     * and a stray byte are three bytes of the normalised text. */
    CU_ASSERT(cost <= 10 * (uint64_t)len);
    free(text);
}

static void long_runs_cost_a_bounded_number_of_lookups(void)
{
    static const char *const names[] = {"spm",          "spm_odd",    "byte_level",
                                        "byte_level_2", "char_level", "char_level_2"};
    static const char *const units[] = {"a", " ", "the ", "\n", "\xff", "\xe6\xb7\xb7", "<|", "1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        struct sl_tokenizer *tok = NULL;
        snprintf(path, sizeof path, "%s/tokenizers/%s", sl_golden_dir(), names[i]);
        CU_ASSERT_EQUAL_FATAL(sl_tokenizer_open(&tok, path), 0);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
            check_cost(tok, units[u], 20000);
        sl_tokenizer_close(&tok);
    }
}

/* ---- what is refused */

static void check_json(const char *text, int want, const char *named)
{
    struct sl_tokenizer *tok = NULL;
    CU_ASSERT_EQUAL(sl_tokenizer_from_json(&tok, text, strlen(text)), want);
    bool found = want == 0 || strstr(sl_error_message(), named);
    if (!found)
        printf("\n  %s: expected %s\n", sl_error_message(), named);
    CU_ASSERT(found);
    sl_tokenizer_close(&tok);
}

#define MODEL                                                                                      \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"

static void what_would_change_ids_is_refused_by_name(void)
{
    check_json("{" MODEL "}", 0, "");
    check_json("{" MODEL ",\"normalizer\":{\"type\":\"NFKC\"}}", SL_ERR_UNSUPPORTED, "NFKC");
    check_json("{" MODEL ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},"
               "\"content\":\"b\"}}",
               SL_ERR_UNSUPPORTED, "Replace");
    check_json("{" MODEL ",\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}", SL_ERR_UNSUPPORTED,
               "BertPreTokenizer");
    check_json("{" MODEL ",\"decoder\":{\"type\":\"WordPiece\"}}", SL_ERR_UNSUPPORTED, "WordPiece");
    check_json("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", SL_ERR_UNSUPPORTED, "Unigram");
    check_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"dropout\":0.1}}",
               SL_ERR_UNSUPPORTED, "dropout");
    check_json("{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"single_word\":true}]}",
               SL_ERR_UNSUPPORTED, "single_word");
}

static void files_that_contradict_themselves_are_refused(void)
{
    check_json("{\"model\":", SL_ERR_FORMAT, "tokenizer.json:1");
    check_json("[]", SL_ERR_FORMAT, "not an object");
    check_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}",
               SL_ERR_FORMAT, "merges");
    check_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
               SL_ERR_FORMAT, "one id");
    check_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", SL_ERR_FORMAT,
               "id");
    check_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16000000},\"merges\":[]}}",
               SL_ERR_FORMAT, "missing");
    check_json("{" MODEL ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}", SL_ERR_FORMAT,
               "one id");
    check_json("{" MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
               "\"decoder\":{\"type\":\"ByteLevel\"}}",
               SL_ERR_FORMAT, "byte");
}

static void patterns_that_the_two_engines_read_differently_are_refused(void)
{
    static const char *const refused[] = {
        "a.b",    "^a",    "a$",      "\\w+",  "\\bx",    "\\h",     "(?i)a", "[a[b]]",
        "[a&&b]", "a{2}+", "(?<n>a)", "[\\S]", "\\p{^L}", "[\\s-a]", "\\x80", "(*UTF)a",
        "[",      "\\",    "a{,3}",   "\\p{",  "\\x{41",  "\\u12",   "[]a]"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sl_splitter *s = NULL;
        struct sl_split_pattern p = {refused[i], strlen(refused[i]), false, false};
        bool ok = sl_splitter_compile(&s, &p) == SL_ERR_UNSUPPORTED;
        if (!ok)
            printf("\n  %s is not refused\n", refused[i]);
        CU_ASSERT(ok);
        sl_splitter_close(&s);
    }
}

/* The model ends with what says that it is BPE: without it, it is none. */
static void damaged_models_are_refused(void)
{
    char path[512], *model;
    size_t len;
    struct sl_tokenizer *tok = NULL;
    snprintf(path, sizeof path, "%s/tokenizers/spm/tokenizer.model", sl_golden_dir());
    CU_ASSERT_EQUAL_FATAL(sl_file_read(&model, &len, path, 1 << 20), 0);
    for (size_t n = 0; n < len - 300; n += 997)
        CU_ASSERT(sl_tokenizer_from_spm(&tok, (const uint8_t *)model, n) != 0);
    model[0] = 0x0b; /* a group */
    CU_ASSERT_EQUAL(sl_tokenizer_from_spm(&tok, (const uint8_t *)model, len), SL_ERR_FORMAT);
    /* model_type unigram, one piece */
    static const uint8_t unigram[] = "\x0a\x07\x0a\x01u\x18\x02\x18\x02\x12\x02\x18\x01";
    CU_ASSERT_EQUAL(sl_tokenizer_from_spm(&tok, unigram, sizeof unigram - 1), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "unigram"));
    CU_ASSERT_PTR_NULL(tok);
    free(model);
}

/* ---- directories */

/* A directory with the small sentencepiece model. */
static void put_model(char *dir, size_t cap)
{
    char from[512], *model;
    size_t len;
    snprintf(from, sizeof from, "%s/tokenizers/spm/tokenizer.model", sl_golden_dir());
    CU_ASSERT_EQUAL_FATAL(sl_file_read(&model, &len, from, 1 << 20), 0);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, cap), 0);
    temp_file_put(dir, "tokenizer.model", model, len);
    free(model);
}

static struct sl_tokenizer *open_with(const char *dir, const char *name, const char *text)
{
    struct sl_tokenizer *tok = NULL;
    if (name)
        temp_file_put(dir, name, text, strlen(text));
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_open(&tok, dir), 0);
    return tok;
}

static void the_files_beside_a_vocabulary_decide_first_and_last_tokens(void)
{
    char dir[256];
    put_model(dir, sizeof dir);
    struct sl_tokenizer *tok = open_with(dir, NULL, NULL);
    CU_ASSERT_EQUAL(sl_tokenizer_bos(tok), 1);
    CU_ASSERT(sl_tokenizer_is_eog(tok, 2) && !sl_tokenizer_is_eog(tok, 1));
    sl_tokenizer_close(&tok);
    tok = open_with(dir, "tokenizer_config.json",
                    "{\"add_bos_token\": false, \"eos_token\": {\"content\": \"<s>\"},"
                    " \"model_max_length\": 1000000000000000019884624838656}");
    CU_ASSERT_EQUAL(sl_tokenizer_bos(tok), -1);
    CU_ASSERT(sl_tokenizer_is_eog(tok, 1) && !sl_tokenizer_is_eog(tok, 2));
    sl_tokenizer_close(&tok);
    tok = open_with(dir, "generation_config.json", "{\"eos_token_id\": [5, 7]}");
    CU_ASSERT(sl_tokenizer_is_eog(tok, 5) && sl_tokenizer_is_eog(tok, 7));
    CU_ASSERT_FALSE(sl_tokenizer_is_eog(tok, 1));
    sl_tokenizer_close(&tok);
    temp_file_put(dir, "added_tokens.json", "{\"x\": 3}", 8);
    CU_ASSERT_EQUAL(sl_tokenizer_open(&tok, dir), SL_ERR_FORMAT); /* 3 is another token */
    temp_file_put(dir, "tokenizer_config.json", "[]", 2);
    CU_ASSERT_EQUAL(sl_tokenizer_open(&tok, dir), SL_ERR_FORMAT);
}

/* Its list has 16 names, none of which is a piece here; <eod>, the first, ends. */
static void yuan_adds_its_tokens_and_goes_by_its_model_file(void)
{
    char dir[256];
    put_model(dir, sizeof dir);
    struct sl_tokenizer *tok = open_with(dir, NULL, NULL);
    size_t size = sl_tokenizer_size(tok), n, len;
    int32_t eod = (int32_t)size, *ids;
    sl_tokenizer_close(&tok);
    tok = open_with(dir, "config.json", "{\"architectures\": [\"YuanForCausalLM\"]}");
    CU_ASSERT_EQUAL(sl_tokenizer_bos(tok), -1);
    CU_ASSERT_EQUAL(sl_tokenizer_size(tok), size + 16);
    CU_ASSERT(sl_tokenizer_is_eog(tok, eod) && !sl_tokenizer_is_eog(tok, 2));
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_encode(tok, "<eod><sep><n>", 13, true, &ids, &n), 0);
    CU_ASSERT(n > 3 && ids[0] == eod && ids[1] == eod + 1);
    free(ids);
    bool start = true;
    CU_ASSERT_STRING_EQUAL(sl_tokenizer_text(tok, eod, &start, &len), "");
    CU_ASSERT(start);
    sl_tokenizer_close(&tok);
    tok = open_with(dir, "tokenizer.json", "{" MODEL "}");
    CU_ASSERT_EQUAL(sl_tokenizer_size(tok), size + 16);
    sl_tokenizer_close(&tok);
    tok = open_with(dir, "config.json", "{}");
    CU_ASSERT_EQUAL(sl_tokenizer_size(tok), 3);
    sl_tokenizer_close(&tok);
}

static const struct sl_case cases[] = {
    {"sentencepiece_with_equal_scores_and_byte_fallback",
     sentencepiece_with_equal_scores_and_byte_fallback},
    {"sentencepiece_with_pieces_of_all_types_and_a_charsmap",
     sentencepiece_with_pieces_of_all_types_and_a_charsmap},
    {"byte_level_files", byte_level_files},
    {"character_level_files", character_level_files},
    {"long_runs_cost_a_bounded_number_of_lookups", long_runs_cost_a_bounded_number_of_lookups},
    {"what_would_change_ids_is_refused_by_name", what_would_change_ids_is_refused_by_name},
    {"files_that_contradict_themselves_are_refused", files_that_contradict_themselves_are_refused},
    {"patterns_that_the_two_engines_read_differently_are_refused",
     patterns_that_the_two_engines_read_differently_are_refused},
    {"damaged_models_are_refused", damaged_models_are_refused},
    {"the_files_beside_a_vocabulary_decide_first_and_last_tokens",
     the_files_beside_a_vocabulary_decide_first_and_last_tokens},
    {"yuan_adds_its_tokens_and_goes_by_its_model_file",
     yuan_adds_its_tokens_and_goes_by_its_model_file},
    {NULL, NULL},
};
const struct sl_suite suite_tokenizers = {"tokenizers", cases};
