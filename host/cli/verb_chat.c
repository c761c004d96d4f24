/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat_help.h"
#include "console.h"
#include "generate.h"
#include "history.h"
#include "line_reader.h"
#include "verbs.h"

struct talk {
    const struct sl_options *o;
    struct sl_tokenizer *tok;
    struct sl_chat *chat;
    struct sl_input_sampling sampling;
    struct sl_generator g;
    struct sl_history said;
    struct sl_line_reader in;
    bool terminal;   /* standard input is one */
    int32_t *cached; /* [n_cached] ids that the session holds, in its order */
    size_t n_cached;
    int32_t *ids; /* [n] the conversation up to the next answer */
    size_t n, n_dropped;
};

/* ---- opening */

static int open_talk(struct talk *t)
{
    int code = sl_input_sampling(&t->sampling, t->o);
    int err = code ? 0 : sl_tokenizer_open(&t->tok, t->o->model);
    if (err)
        return sl_cli_library_error(err);
    if (!code)
        code = sl_input_open_chat(&t->chat, t->tok, t->o);
    t->g = (struct sl_generator){.o = t->o, .tok = t->tok, .chat = t->chat};
    if (!code)
        code = sl_generator_open(&t->g, &t->sampling.params, NULL);
    if (code)
        return code;
    t->cached = calloc(t->g.n_ctx + 1, sizeof *t->cached);
    return t->cached ? SL_EXIT_OK : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
}

static void close_talk(struct talk *t)
{
    sl_generator_close(&t->g);
    sl_chat_close(&t->chat);
    sl_tokenizer_close(&t->tok);
    sl_history_clear(&t->said);
    sl_line_reader_free(&t->in);
    free(t->cached);
    free(t->ids);
}

/* Also refuses a system message that the template has no place for, before the first turn. */
static int greet(struct talk *t)
{
    static const char probe[] = "";
    bool asked = sl_history_ask(&t->said, probe, 0);
    int code = asked ? sl_history_encode(&t->said, t->chat, &t->ids, &t->n)
                     : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    sl_history_clear(&t->said);
    if (code)
        return code;
    if (t->terminal)
        fprintf(stderr,
                "%s, conversation as %s; Ctrl-C stops an answer, Ctrl-D ends, /help says more\n",
                t->o->model, sl_chat_name(t->chat));
    if (t->o->verbose)
        sl_input_sampling_print(stderr, &t->sampling);
    else if (t->o->seed < 0)
        fprintf(stderr, "seed %llu\n", (unsigned long long)t->sampling.params.seed);
    return SL_EXIT_OK;
}

/* ---- what the session holds */

static void forget_session(struct talk *t)
{
    sl_generator_rewind(&t->g);
    t->n_cached = 0;
}

static void add_cached(struct talk *t, const int32_t *ids, size_t n)
{
    memcpy(t->cached + t->n_cached, ids, n * sizeof *ids);
    t->n_cached += n;
}

static int encode(struct talk *t, const struct sl_history *said)
{
    free(t->ids);
    t->ids = NULL;
    return sl_history_encode(said, t->chat, &t->ids, &t->n);
}

/* Refuses a last turn that is longer than the context by itself: it is as if it had not been said,
 * and nothing is dropped for it. */
static int check_turn(struct talk *t, bool *fits)
{
    const struct sl_history alone = {
        .system = t->said.system, .turn = &t->said.turn[t->said.n - 1], .n = 1};
    int code = encode(t, &alone);
    *fits = t->n <= t->g.n_ctx;
    if (code || *fits)
        return code;
    sl_cli_error(SL_ERR_USAGE, "shorten it or raise --ctx-size",
                 "turn: %zu tokens do not fit a context of %zu", t->n, t->g.n_ctx);
    sl_history_withdraw(&t->said);
    return SL_EXIT_OK;
}

/* Drops the oldest turns when less than a quarter of the context is left for the answer (or less
 * than --n-predict ask for): as many as leave half of it, so that the next turn fits too. */
static int make_room(struct talk *t)
{
    size_t n_ctx = t->g.n_ctx, room = n_ctx / 4;
    if (t->o->n_predict >= 0 && (size_t)t->o->n_predict < room)
        room = (size_t)t->o->n_predict;
    int code = encode(t, &t->said);
    bool full = !code && t->n > n_ctx - room;
    t->n_dropped = 0;
    while (!code && full && t->said.n > 1 && t->n > n_ctx / 2) {
        sl_history_drop_first(&t->said);
        t->n_dropped++;
        code = encode(t, &t->said);
    }
    if (t->n_dropped)
        fprintf(stderr,
                "note: the context of %zu tokens is full, the oldest turns were dropped: %zu\n",
                n_ctx, t->n_dropped);
    return code;
}

/* Reads what the session does not hold yet; a session that holds something else starts over. */
static int read_turn(struct talk *t)
{
    if (t->n_cached >= t->n || memcmp(t->cached, t->ids, t->n_cached * sizeof *t->ids))
        forget_session(t);
    int code = sl_generator_read(&t->g, t->ids + t->n_cached, t->n - t->n_cached);
    if (!code)
        add_cached(t, t->ids + t->n_cached, t->g.n_read);
    return code;
}

/* ---- an answer */

static int print_json(const struct talk *t)
{
    const struct sl_generator *g = &t->g;
    json_t *o = json_object();
    const size_t before = t->n - g->n_read;
    json_object_set_new(o, "text", json_stringn(g->out.text.v, g->out.text.n));
    json_object_set_new(o, "token_ids", sl_json_ids(g->ids, g->n));
    json_object_set_new(o, "prompt_token_ids", sl_json_ids(t->ids + before, g->n_read));
    json_object_set_new(o, "cached_tokens", json_integer((json_int_t)before));
    json_object_set_new(o, "dropped_turns", json_integer((json_int_t)t->n_dropped));
    json_object_set_new(o, "stop", json_string(sl_stop_name(g->stop)));
    json_object_set_new(o, "decode_tokens", json_integer((json_int_t)g->n_decoded));
    json_object_set_new(o, "prefill_tokens_per_s", sl_json_number(sl_generator_prefill_rate(g)));
    json_object_set_new(o, "decode_tokens_per_s", sl_json_number(sl_generator_decode_rate(g)));
    json_object_set_new(o, "template", json_string(sl_chat_name(t->chat)));
    sl_input_sampling_json(o, &t->sampling);
    return sl_json_print(o);
}

static int report(const struct talk *t)
{
    const struct sl_generator *g = &t->g;
    if (t->o->json)
        return print_json(t);
    sl_generator_end_line(g);
    if (g->stop == SL_STOP_CONTEXT)
        fprintf(stderr,
                "note: the context of %zu tokens is full, the answer ends here; --ctx-size N is a "
                "larger one\n",
                g->n_ctx);
    if (t->o->verbose) {
        sl_generator_rates(stderr, g);
        fprintf(stderr, "; %zu tokens were in the cache; stop: %s\n", t->n - g->n_read,
                sl_stop_name(g->stop));
    }
    return sl_stdout_finish();
}

/* What came of the answer goes into the history as it is in the cache; nothing came: the turn was
 * not asked. */
static int keep_answer(struct talk *t)
{
    const struct sl_generator *g = &t->g;
    if (g->stop == SL_STOP_INTERRUPT && g->n == 0) {
        sl_history_withdraw(&t->said);
        fputs("note: stopped before the answer began, the turn is forgotten\n", stderr);
        return SL_EXIT_OK;
    }
    add_cached(t, g->ids, g->n_decoded);
    const struct sl_turn answer = {.answer = g->out.text.v,
                                   .n_answer = g->out.text.n,
                                   .ids = g->ids,
                                   .n_ids = g->n - (g->stop == SL_STOP_EOS)};
    if (!sl_history_answer(&t->said, &answer))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    return report(t);
}

/* Answers the last turn of the history. */
static int answer_turn(struct talk *t)
{
    bool fits;
    int code = check_turn(t, &fits);
    if (code || !fits)
        return code;
    code = make_room(t);
    if (!code)
        code = read_turn(t);
    t->g.n = 0;
    sl_generator_accept(&t->g, t->ids, t->n);
    if (!code && t->g.stop != SL_STOP_INTERRUPT)
        code = sl_generator_answer(&t->g);
    if (!code)
        code = keep_answer(t);
    if (sl_interrupted()) /* also one that came when the answer had just ended */
        sl_interrupt_again();
    return code;
}

/* ---- the terminal */

/* *end: the conversation is over. */
static int obey(struct talk *t, const char *command, bool *end)
{
    if (!strcmp(command, "/exit")) {
        *end = true;
    } else if (!strcmp(command, "/reset") || !strcmp(command, "/clear")) {
        sl_history_clear(&t->said);
        forget_session(t);
    } else if (!strcmp(command, "/regen") && t->said.n) {
        sl_history_take_back(&t->said);
        return answer_turn(t);
    } else if (!strcmp(command, "/regen")) {
        fputs("note: /regen: nothing was asked yet\n", stderr);
    } else if (!strcmp(command, "/help")) {
        sl_chat_help_commands(stderr);
    } else {
        fprintf(stderr,
                "note: %.40s: not a command; /help lists them, a blank in front makes it a turn\n",
                command);
    }
    return SL_EXIT_OK;
}

static enum sl_line next_line(struct talk *t, const char *prompt, char **line, size_t *len)
{
    if (t->terminal && !t->o->json) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    enum sl_line got = sl_line_read(&t->in, line, len);
    if (got == SL_LINE_TEXT && *len && (*line)[*len - 1] == '\r')
        (*line)[--*len] = 0;
    return got;
}

/* A turn of one line or, with \ at their ends, several. *text is malloc()ed. */
static enum sl_line next_turn(struct talk *t, char **text, size_t *len)
{
    char *line, *turn = NULL;
    size_t n, total = 0;
    for (;;) {
        enum sl_line got = next_line(t, turn ? "| " : "> ", &line, &n);
        if (got == SL_LINE_END && turn)
            break;
        if (got == SL_LINE_TEXT && total + n > SL_MAX_LINE)
            got = SL_LINE_TOO_LONG;
        char *grown = got == SL_LINE_TEXT ? realloc(turn, total + n + 2) : NULL;
        if (!grown) {
            free(turn);
            return got == SL_LINE_TEXT ? SL_LINE_FAILED : got;
        }
        turn = grown;
        memcpy(turn + total, line, n);
        total += n;
        if (!n || line[n - 1] != '\\')
            break;
        turn[total - 1] = '\n';
    }
    turn[total] = 0;
    *text = turn;
    *len = total;
    return SL_LINE_TEXT;
}

static int fail_line(enum sl_line why)
{
    switch (why) {
    case SL_LINE_INTERRUPT: return SL_EXIT_INTERRUPT;
    case SL_LINE_TOO_LONG:
        return sl_cli_error(SL_ERR_USAGE, "give shorter turns", "turn: more than %d bytes",
                            SL_MAX_LINE);
    case SL_LINE_FAILED:
        return sl_cli_error(SL_ERR_IO, NULL, "standard input: %s", strerror(errno));
    default: return SL_EXIT_OK;
    }
}

static int take_turn(struct talk *t, const char *text, size_t len, bool *end)
{
    if (text[strspn(text, " \t")] == 0 && strlen(text) == len)
        return SL_EXIT_OK;
    if (*text == '/')
        return obey(t, text, end);
    if (!sl_history_ask(&t->said, text, len))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    return answer_turn(t);
}

static int talk(struct talk *t)
{
    int code = SL_EXIT_OK;
    for (bool end = false; !end && !code;) {
        char *text;
        size_t len;
        enum sl_line got = next_turn(t, &text, &len);
        if (got != SL_LINE_TEXT) {
            if (t->terminal && !t->o->json)
                putchar('\n');
            code = fail_line(got);
            break;
        }
        code = take_turn(t, text, len, &end);
        free(text);
    }
    return code;
}

int sl_verb_chat(const struct sl_options *o)
{
    struct talk t = {.o = o, .said = {.system = o->system}, .in = {.fd = STDIN_FILENO}};
    t.terminal = isatty(STDIN_FILENO);
    sl_interrupt_catch();
    int code = open_talk(&t);
    if (!code)
        code = greet(&t);
    if (!code)
        code = talk(&t);
    int finish = sl_stdout_finish();
    close_talk(&t);
    return code ? code : finish;
}
