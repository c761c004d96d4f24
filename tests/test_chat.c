/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations as ids. Expected texts are those of the published templates (tests/golden/README.md
 * says which). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chat.h"
#include "engine/tokenizer.h"
#include "golden_read.h"
#include "test_main.h"

static const char demo[] = "models/demo-hunyuan";

enum { MAX_MESSAGE = 8 };

struct conversation {
    struct sl_chat_message m[MAX_MESSAGE];
    size_t n;
};

/* The texts live as long as the list. */
static struct conversation read_messages(json_t *list)
{
    struct conversation c = {.n = json_array_size(list)};
    CU_ASSERT_FATAL(c.n <= MAX_MESSAGE);
    for (size_t i = 0; i < c.n; i++) {
        json_t *message = json_array_get(list, i), *text = json_object_get(message, "content");
        const char *role = json_string_value(json_object_get(message, "role"));
        CU_ASSERT_FATAL(role && json_is_string(text));
        c.m[i] = (struct sl_chat_message){.role = *role == 's'   ? SL_CHAT_SYSTEM
                                                  : *role == 'u' ? SL_CHAT_USER
                                                                 : SL_CHAT_ASSISTANT,
                                          .text = json_string_value(text),
                                          .len = json_string_length(text)};
    }
    return c;
}

/* Calls f for each line of a file of vectors; returns how many there were. */
static size_t each_line(const char *name, void (*f)(json_t *line, void *user), void *user)
{
    char path[512], text[16384];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/tokenizers/%s", sl_golden_dir(), name);
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (; fgets(text, sizeof text, file); n++) {
        json_t *line = json_loads(text, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(line);
        f(line, user);
        json_decref(line);
    }
    fclose(file);
    return n;
}

/* ---- the templates */

/* A sink that writes names of special tokens in full. */
struct page {
    const struct sl_chat_template *t;
    char text[4096];
    size_t n;
};

static int page_text(void *user, const char *text, size_t len)
{
    struct page *p = user;
    CU_ASSERT_FATAL(p->n + len < sizeof p->text);
    memcpy(p->text + p->n, text, len);
    p->n += len;
    p->text[p->n] = 0;
    return 0;
}

static int page_special(void *user, unsigned index)
{
    struct page *p = user;
    return page_text(user, p->t->special[index], strlen(p->t->special[index]));
}

static int page_ids(void *user, const int32_t *ids, size_t n)
{
    char number[16];
    for (size_t i = 0; i < n; i++)
        page_text(user, number, (size_t)snprintf(number, sizeof number, "(%d)", (int)ids[i]));
    return 0;
}

static int render(struct page *p, const char *name, const struct conversation *c)
{
    const struct sl_chat_sink sink = {p, page_special, page_text, page_ids};
    *p = (struct page){0};
    for (size_t i = 0; i < sl_n_chat_template; i++)
        if (!strcmp(sl_chat_templates[i].name, name))
            p->t = &sl_chat_templates[i];
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->t);
    return sl_chat_render(p->t, c->m, c->n, &sink);
}

static void check_rendered(json_t *line, void *user)
{
    unsigned *seen = user;
    struct page page;
    const char *name = json_string_value(json_object_get(line, "template"));
    struct conversation c = read_messages(json_object_get(line, "messages"));
    CU_ASSERT_EQUAL(render(&page, name, &c), 0);
    const char *want = json_string_value(json_object_get(line, "rendered"));
    if (strcmp(page.text, want))
        printf("\n  %s: %s\n  not %s", name, page.text, want);
    CU_ASSERT_STRING_EQUAL(page.text, want);
    *seen |= 1u << (page.t - sl_chat_templates);
}

static void templates_render_as_published(void)
{
    unsigned seen = 0;
    CU_ASSERT_EQUAL(each_line("chat_rendered.jsonl", check_rendered, &seen), 30);
    CU_ASSERT_EQUAL(seen, (1u << sl_n_chat_template) - 1);
}

static void ids_of_an_answer_stand_for_its_text(void)
{
    static const int32_t ids[] = {7, 8};
    struct page page;
    const struct conversation c = {{{SL_CHAT_USER, "a", 1, NULL, 0},
                                    {SL_CHAT_ASSISTANT, "b", 1, ids, 2},
                                    {SL_CHAT_USER, "c", 1, NULL, 0}},
                                   3};
    CU_ASSERT_EQUAL(render(&page, "llama2", &c), 0);
    CU_ASSERT_STRING_EQUAL(page.text, "<s>[INST] a [/INST](7)(8)</s><s>[INST] c [/INST]");
    CU_ASSERT_EQUAL(render(&page, "chatml", &c), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(page.text, "<|im_start|>assistant\n(7)(8)<|im_end|>\n<"));
    CU_ASSERT_EQUAL(render(&page, "yuan", &c), 0);
    CU_ASSERT_STRING_EQUAL(page.text, "a\nb\nc<sep>");
}

static void conversations_out_of_order_are_refused(void)
{
    static const struct sl_chat_message s = {SL_CHAT_SYSTEM, "s", 1, NULL, 0},
                                        u = {SL_CHAT_USER, "u", 1, NULL, 0},
                                        a = {SL_CHAT_ASSISTANT, "a", 1, NULL, 0};
    const struct conversation bad[] = {{{u}, 0},       {{s}, 1},       {{a}, 1},
                                       {{u, a}, 2},    {{u, u}, 2},    {{u, s, u}, 3},
                                       {{s, s, u}, 3}, {{u, u, u}, 3}, {{s, u, a}, 3}};
    struct page page;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(render(&page, "hunyuan", &bad[i]), SL_ERR_USAGE);
    const struct conversation with_system = {{s, u}, 2};
    CU_ASSERT_EQUAL(render(&page, "yuan", &with_system), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "yuan"));
}

/* ---- ids */

struct demo_chat {
    struct sl_tokenizer *tok;
    struct sl_chat *chat;
};

static struct demo_chat open_demo(void)
{
    struct demo_chat d = {0};
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_open(&d.tok, demo), 0);
    CU_ASSERT_EQUAL_FATAL(sl_chat_open(&d.chat, d.tok, "hunyuan-large", NULL), 0);
    return d;
}

static void close_demo(struct demo_chat *d)
{
    sl_chat_close(&d->chat);
    sl_tokenizer_close(&d->tok);
}

/* The demo's vocabulary is not the release's: special tokens lie at the same distance from the end
 * of the ranks, the rest must spell the same text. */
static void check_golden_ids(json_t *line, void *user)
{
    enum { RELEASE_RANKS = 127957 };
    const struct demo_chat *d = user;
    struct conversation c = read_messages(json_object_get(line, "messages"));
    json_t *want = json_object_get(line, "ids");
    const int32_t ranks = sl_tokenizer_bos(d->tok) - 1;
    int32_t *ids = NULL;
    size_t n = 0, at = 0;
    struct page spelled = {0};
    CU_ASSERT_EQUAL_FATAL(sl_chat_encode(d->chat, c.m, c.n, &ids, &n), 0);
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *piece = sl_tokenizer_piece(d->tok, ids[i], &len);
        page_text(&spelled, piece, len);
        if (ids[i] < ranks)
            continue;
        while (json_integer_value(json_array_get(want, at)) < RELEASE_RANKS &&
               at < json_array_size(want))
            at++;
        CU_ASSERT_EQUAL(json_integer_value(json_array_get(want, at)) - RELEASE_RANKS,
                        ids[i] - ranks);
        at++;
    }
    CU_ASSERT_EQUAL(at, json_array_size(want));
    CU_ASSERT_STRING_EQUAL(spelled.text, json_string_value(json_object_get(line, "rendered")));
    free(ids);
}

static void golden_conversations_have_their_ids(void)
{
    struct demo_chat d = open_demo();
    CU_ASSERT_STRING_EQUAL(sl_chat_name(d.chat), "hunyuan");
    CU_ASSERT(each_line("hunyuan_chat.jsonl", check_golden_ids, &d) >= 2);
    close_demo(&d);
}

/* Yuan's form over a sentencepiece vocabulary: the library's ids of the text, then <sep>. */
static void check_yuan_turn(json_t *line, void *user)
{
    const struct demo_chat *d = user;
    const char *hex = json_string_value(json_object_get(line, "hex"));
    json_t *want = json_object_get(line, "ids");
    char text[4096];
    struct sl_chat_message m = {SL_CHAT_USER, text, strlen(hex) / 2, NULL, 0};
    int32_t *ids;
    size_t n, same = 0;
    if (json_is_true(json_object_get(line, "special")))
        return;
    CU_ASSERT_FATAL(m.len <= sizeof text);
    for (size_t i = 0; i < m.len; i++) {
        unsigned byte = 0;
        CU_ASSERT_EQUAL(sscanf(hex + 2 * i, "%2x", &byte), 1);
        text[i] = (char)byte;
    }
    CU_ASSERT_EQUAL_FATAL(sl_chat_encode(d->chat, &m, 1, &ids, &n), 0);
    CU_ASSERT_EQUAL_FATAL(n, json_array_size(want) + 1);
    while (same + 1 < n && ids[same] == json_integer_value(json_array_get(want, same)))
        same++;
    CU_ASSERT_EQUAL(same, n - 1);
    CU_ASSERT_EQUAL(ids[n - 1], 1601);
    free(ids);
}

static void turns_of_yuan_have_the_ids_of_sentencepiece(void)
{
    struct demo_chat d = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizers/spm", sl_golden_dir());
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_open(&d.tok, path), 0);
    CU_ASSERT_EQUAL_FATAL(sl_chat_open(&d.chat, d.tok, "yuan2-m32", NULL), 0);
    CU_ASSERT_STRING_EQUAL(sl_chat_name(d.chat), "yuan");
    CU_ASSERT(sl_chat_is_end(d.chat, 1600) && sl_tokenizer_is_eog(d.tok, 1600)); /* <eod> */
    CU_ASSERT(each_line("spm.jsonl", check_yuan_turn, &d) >= 200);
    close_demo(&d);
}

static void text_never_becomes_a_special_token(void)
{
    static const char names[] = "<|eos|><|extra_0|><|startoftext|><|extra_4|><|extra_5|>";
    struct demo_chat d = open_demo();
    const struct sl_chat_message m[] = {{SL_CHAT_SYSTEM, names, sizeof names - 1, NULL, 0},
                                        {SL_CHAT_USER, names, sizeof names - 1, NULL, 0},
                                        {SL_CHAT_ASSISTANT, names, sizeof names - 1, NULL, 0},
                                        {SL_CHAT_USER, names, sizeof names - 1, NULL, 0}};
    int32_t *ids, *plain, *wrong;
    size_t n, n_plain, n_wrong, special = 0;
    CU_ASSERT_EQUAL_FATAL(sl_chat_encode(d.chat, m, 4, &ids, &n), 0);
    CU_ASSERT_EQUAL_FATAL(
        sl_tokenizer_encode(d.tok, names, sizeof names - 1, false, &plain, &n_plain), 0);
    CU_ASSERT_EQUAL_FATAL(
        sl_tokenizer_encode(d.tok, names, sizeof names - 1, true, &wrong, &n_wrong), 0);
    CU_ASSERT_EQUAL(n_wrong, 5); /* that is how it would go in */
    for (size_t i = 0; i < n; i++)
        special += sl_tokenizer_is_special(d.tok, ids[i]);
    /* <|startoftext|> <|extra_4|> <|extra_0|> <|eos|> <|startoftext|> <|extra_0|> */
    CU_ASSERT_EQUAL(special, 6);
    CU_ASSERT_EQUAL_FATAL(n, 6 + 4 * n_plain);
    CU_ASSERT_EQUAL(memcmp(ids + 1, plain, n_plain * sizeof *ids), 0);
    free(ids);
    free(plain);
    free(wrong);
    close_demo(&d);
}

static void a_model_without_a_template_is_refused(void)
{
    struct sl_ranks ranks;
    struct sl_tokenizer *tok = NULL;
    struct sl_chat *chat = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_ranks_load(&ranks, "models/demo-hunyuan/hy.tiktoken"), 0);
    const uint32_t n = ranks.n;
    CU_ASSERT_EQUAL_FATAL(sl_tokenizer_from_ranks(&tok, &ranks, n + 5), 0); /* no extras */
    CU_ASSERT_EQUAL(sl_chat_open(&chat, tok, "hunyuan-large", NULL), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "hunyuan-large"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "--chat-template"));
    CU_ASSERT_EQUAL(sl_chat_open(&chat, tok, NULL, NULL), SL_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(sl_chat_open(&chat, tok, NULL, "hunyuan"), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "<|extra_0|>"));
    CU_ASSERT_EQUAL(sl_chat_open(&chat, tok, NULL, "nobody's"), SL_ERR_USAGE);
    for (size_t i = 0; sl_chat_template_name(i); i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), sl_chat_template_name(i)));
    CU_ASSERT_PTR_NULL(chat);
    sl_tokenizer_close(&tok);
}

/* ---- turns in the cache */

/* Greedy, n ids behind what the session holds; ids[n - 1] is not evaluated. */
static void continue_greedily(struct sl_session *s, float *logits, size_t n_vocab, int32_t *ids,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = 0;
        for (size_t v = 1; v < n_vocab; v++)
            ids[i] = logits[v] > logits[ids[i]] ? (int32_t)v : ids[i];
        if (i + 1 < n)
            CU_ASSERT_EQUAL_FATAL(sl_session_eval(s, &ids[i], 1, false, logits), 0);
    }
}

/* A second turn on top of the first equals one evaluation of all ids, to the bit. */
static void turns_in_the_cache_equal_one_evaluation(void)
{
    enum { N = 6 };
    struct demo_chat d = open_demo();
    struct sl_model *model = NULL;
    struct sl_session *turns = NULL, *whole = NULL;
    struct sl_model_info info;
    struct sl_chat_message m[] = {{SL_CHAT_SYSTEM, "Be brief.", 9, NULL, 0},
                                  {SL_CHAT_USER, "Who art thou?", 13, NULL, 0},
                                  {SL_CHAT_ASSISTANT, "", 0, NULL, N},
                                  {SL_CHAT_USER, "And then?", 9, NULL, 0}};
    int32_t answer[N], *first, *all;
    size_t n_first, n_all;
    CU_ASSERT_EQUAL_FATAL(
        sl_model_open(&model, &(struct sl_model_params){.path = demo, .device = "cpu"}), 0);
    sl_model_get_info(model, &info);
    float *logits = malloc(info.n_vocab * sizeof *logits),
          *want = malloc(info.n_vocab * sizeof *want);
    CU_ASSERT_FATAL(logits && want);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&turns, model, &(struct sl_session_params){0}), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&whole, model, &(struct sl_session_params){0}), 0);
    CU_ASSERT_EQUAL_FATAL(sl_chat_encode(d.chat, m, 2, &first, &n_first), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_eval(turns, first, n_first, false, logits), 0);
    continue_greedily(turns, logits, info.n_vocab, answer, N);
    m[2].ids = answer;
    CU_ASSERT_EQUAL_FATAL(sl_chat_encode(d.chat, m, 4, &all, &n_all), 0);
    const size_t held = n_first + N - 1;
    CU_ASSERT_EQUAL(memcmp(all, first, n_first * sizeof *all), 0);
    CU_ASSERT_EQUAL(memcmp(all + n_first, answer, sizeof answer), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_eval(turns, all + held, n_all - held, false, logits), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_eval(whole, all, n_all, false, want), 0);
    CU_ASSERT_EQUAL(memcmp(logits, want, info.n_vocab * sizeof *want), 0);
    free(first);
    free(all);
    free(logits);
    free(want);
    sl_session_close(&turns);
    sl_session_close(&whole);
    sl_model_close(&model);
    close_demo(&d);
}

static const struct sl_case cases[] = {
    {"templates_render_as_published", templates_render_as_published},
    {"ids_of_an_answer_stand_for_its_text", ids_of_an_answer_stand_for_its_text},
    {"conversations_out_of_order_are_refused", conversations_out_of_order_are_refused},
    {"golden_conversations_have_their_ids", golden_conversations_have_their_ids},
    {"turns_of_yuan_have_the_ids_of_sentencepiece", turns_of_yuan_have_the_ids_of_sentencepiece},
    {"text_never_becomes_a_special_token", text_never_becomes_a_special_token},
    {"a_model_without_a_template_is_refused", a_model_without_a_template_is_refused},
    {"turns_in_the_cache_equal_one_evaluation", turns_in_the_cache_equal_one_evaluation},
    {NULL, NULL},
};
const struct sl_suite suite_chat = {"chat", cases};
