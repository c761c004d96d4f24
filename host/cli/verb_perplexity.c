/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of llama-perplexity: the text is cut into windows of n_ctx tokens, each starts
 * afresh with the model's first token in place of its own, and the tokens behind the middle of a
 * window are scored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "input.h"
#include "verbs.h"

enum { DEFAULT_WINDOW = 256, MIN_WINDOW = 4 };

/* A model with what its scores add up to. */
struct side {
    struct sl_model *model;
    struct sl_session *session;
    float *logits; /* [rows][n_vocab] */
    double nll;    /* sum over scored tokens, in nats */
};

struct scoring {
    const struct sl_options *o;
    struct sl_input in;
    struct sl_route_log *routes; /* of own; NULL without --record-routes */
    struct side own, exact;      /* exact.model NULL: no comparison */
    size_t n_ctx, n_vocab, rows; /* rows: positions evaluated at once */
    size_t n_window, n_scored, n_byte;
    double kl;       /* sum of KL(exact || own) in nats */
    size_t n_flip;   /* positions whose most likely token differs */
    int32_t *window; /* [n_ctx] */
};

/* ---- opening */

/* A converted model cannot be opened as an exact one. */
static bool is_converted(const char *dir)
{
    char path[4096];
    return (size_t)snprintf(path, sizeof path, "%s/manifest.json", dir) < sizeof path &&
           !access(path, F_OK);
}

static int open_side(struct scoring *s, struct side *side, const struct sl_options *o)
{
    struct sl_model_info info;
    int code = sl_input_open_model(&side->model, o, NULL);
    if (code)
        return code;
    sl_model_get_info(side->model, &info);
    if (s->n_vocab && info.n_vocab != s->n_vocab)
        return sl_cli_error(SL_ERR_SHAPE, "name the checkpoint the model was converted from",
                            "--reference: a vocabulary of %u tokens instead of %zu", info.n_vocab,
                            s->n_vocab);
    s->n_vocab = info.n_vocab;
    s->rows = sl_input_rows_at_once(o, s->n_vocab);
    side->logits = calloc(s->rows * s->n_vocab, sizeof *side->logits);
    if (!side->logits)
        return sl_cli_error(SL_ERR_NOMEM, "choose a smaller --batch-size", "out of memory");
    return sl_input_open_session(&side->session, side->model, o, (uint32_t)s->n_ctx);
}

static int open_exact(struct scoring *s)
{
    const struct sl_options *o = s->o;
    if (o->exact || o->no_reference)
        return SL_EXIT_OK;
    if (!o->reference && is_converted(o->model)) {
        fputs("note: --reference DIR would compare this converted model with its checkpoint\n",
              stderr);
        return SL_EXIT_OK;
    }
    struct sl_options exact = {.model = o->reference ? o->reference : o->model,
                               .exact = true,
                               .threads = o->threads,
                               .batch_size = o->batch_size};
    return open_side(s, &s->exact, &exact);
}

static int open_scoring(struct scoring *s)
{
    s->n_ctx = s->o->ctx_size ? (size_t)s->o->ctx_size : DEFAULT_WINDOW;
    if (s->n_ctx < MIN_WINDOW)
        return sl_cli_error(SL_ERR_USAGE, "256 is the default",
                            "--ctx-size %zu: a window needs at least %d tokens", s->n_ctx,
                            MIN_WINDOW);
    int code = sl_input_load(&s->in, s->o, true);
    if (code)
        return code;
    if (s->in.n < s->n_ctx)
        return sl_cli_error(SL_ERR_USAGE, "give a longer text or a smaller --ctx-size",
                            "text: %zu tokens do not fill a window of %zu", s->in.n, s->n_ctx);
    code = sl_input_open_routes(&s->routes, s->o);
    if (!code)
        code = open_side(s, &s->own, s->o);
    if (!code)
        code = sl_input_log_routes(s->own.session, s->routes);
    if (!code)
        code = sl_input_check(&s->in, (uint32_t)s->n_vocab);
    if (!code)
        code = open_exact(s);
    s->window = calloc(s->n_ctx, sizeof *s->window);
    return code || s->window ? code : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
}

static void close_side(struct side *side)
{
    sl_session_close(&side->session);
    sl_model_close(&side->model);
    free(side->logits);
}

static void close_scoring(struct scoring *s)
{
    close_side(&s->own);
    close_side(&s->exact);
    sl_route_log_close(&s->routes);
    sl_input_free(&s->in);
    free(s->window);
}

/* ---- scoring */

/* log of the sum of exp(row[n]); *best: the lowest index of the largest. */
static double log_sum_exp(const float *row, size_t n, size_t *best)
{
    double sum = 0;
    size_t top = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[top])
            top = i;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i] - (double)row[top]);
    *best = top;
    return (double)row[top] + log(sum);
}

/* Kullback-Leibler divergence of two rows with their log sums. */
static double divergence(const float *p, double p_sum, const float *q, double q_sum, size_t n)
{
    double kl = 0;
    for (size_t i = 0; i < n; i++) {
        double log_p = (double)p[i] - p_sum;
        kl += exp(log_p) * (log_p - ((double)q[i] - q_sum));
    }
    return kl;
}

static void score_row(struct scoring *s, size_t row, int32_t target)
{
    const float *own = s->own.logits + row * s->n_vocab, *exact = s->exact.logits;
    size_t best, exact_best, len = 0;
    double sum = log_sum_exp(own, s->n_vocab, &best);
    s->own.nll += sum - (double)own[target];
    if (s->exact.model) {
        exact += row * s->n_vocab;
        double exact_sum = log_sum_exp(exact, s->n_vocab, &exact_best);
        s->exact.nll += exact_sum - (double)exact[target];
        s->kl += divergence(exact, exact_sum, own, sum, s->n_vocab);
        s->n_flip += best != exact_best;
    }
    if (s->in.tok && !sl_tokenizer_is_special(s->in.tok, target) &&
        sl_tokenizer_piece(s->in.tok, target, &len))
        s->n_byte += len;
    s->n_scored++;
}

/* Evaluates window[first, first + n) on both sides; logits: keep those of every position. */
static int eval_part(struct scoring *s, size_t first, size_t n, bool logits)
{
    int err = sl_session_eval(s->own.session, s->window + first, n, logits,
                              logits ? s->own.logits : NULL);
    if (!err && s->exact.model)
        err = sl_session_eval(s->exact.session, s->window + first, n, logits,
                              logits ? s->exact.logits : NULL);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

static int score_window(struct scoring *s, size_t index)
{
    size_t half = s->n_ctx / 2, end = s->n_ctx - 1; /* the last token is only a target */
    memcpy(s->window, s->in.ids + index * s->n_ctx, s->n_ctx * sizeof *s->window);
    if (s->in.bos)
        s->window[0] = s->in.ids[0];
    sl_session_reset(s->own.session);
    if (s->exact.model)
        sl_session_reset(s->exact.session);
    int code = eval_part(s, 0, half, false);
    for (size_t i = half; i < end && !code; i += s->rows) {
        size_t n = end - i < s->rows ? end - i : s->rows;
        code = eval_part(s, i, n, true);
        for (size_t row = 0; row < n && !code; row++)
            score_row(s, row, s->window[i + row + 1]);
    }
    return code;
}

/* Stops between windows on Ctrl-C; what was scored until then is reported. */
static int score_text(struct scoring *s)
{
    struct sl_progress progress = sl_progress_open();
    size_t total = s->in.n / s->n_ctx;
    int code = SL_EXIT_OK;
    while (s->n_window < total && !code &&
           sl_progress_tick(&progress, "windows", s->n_window, total)) {
        code = score_window(s, s->n_window);
        s->n_window += !code;
    }
    sl_progress_close(&progress);
    if (!code && s->n_window == 0)
        return sl_cli_error(SL_ERR_INTERRUPTED, NULL,
                            "perplexity: stopped before the first window was scored");
    return code;
}

/* ---- reporting */

static double bits_per_byte(const struct scoring *s, double nll)
{
    return s->n_byte ? nll / log(2) / (double)s->n_byte : NAN;
}

static int print_text(const struct scoring *s)
{
    double n = (double)s->n_scored;
    printf("perplexity %.4f (%zu tokens scored in %zu windows of %zu)\n", exp(s->own.nll / n),
           s->n_scored, s->n_window, s->n_ctx);
    if (s->n_byte)
        printf("bits per byte %.4f (%zu bytes)\n", bits_per_byte(s, s->own.nll), s->n_byte);
    if (s->exact.model) {
        printf("exact perplexity %.4f\n", exp(s->exact.nll / n));
        printf("KL divergence %.6f nats a token, from exact\n", s->kl / n);
        printf("top-1 flips %zu of %zu (%.2f %%)\n", s->n_flip, s->n_scored,
               100 * (double)s->n_flip / n);
    }
    return sl_stdout_finish();
}

static int print_json(const struct scoring *s)
{
    double n = (double)s->n_scored;
    json_t *o = json_object();
    json_object_set_new(o, "perplexity", sl_json_number(exp(s->own.nll / n)));
    json_object_set_new(o, "bits_per_byte", sl_json_number(bits_per_byte(s, s->own.nll)));
    json_object_set_new(o, "n_ctx", json_integer((json_int_t)s->n_ctx));
    json_object_set_new(o, "windows", json_integer((json_int_t)s->n_window));
    json_object_set_new(o, "tokens_scored", json_integer((json_int_t)s->n_scored));
    json_object_set_new(o, "bytes_scored", json_integer((json_int_t)s->n_byte));
    if (s->exact.model) {
        json_object_set_new(o, "exact_perplexity", sl_json_number(exp(s->exact.nll / n)));
        json_object_set_new(o, "exact_bits_per_byte",
                            sl_json_number(bits_per_byte(s, s->exact.nll)));
        json_object_set_new(o, "kl_divergence", sl_json_number(s->kl / n));
        json_object_set_new(o, "top1_flips", json_integer((json_int_t)s->n_flip));
        json_object_set_new(o, "top1_flip_rate", sl_json_number((double)s->n_flip / n));
    }
    return sl_json_print(o);
}

int sl_verb_perplexity(const struct sl_options *o)
{
    struct scoring s = {.o = o};
    sl_interrupt_catch();
    int code = open_scoring(&s);
    if (!code)
        code = score_text(&s);
    if (!code)
        code = o->json ? print_json(&s) : print_text(&s);
    if (!code)
        code = sl_input_finish_routes(s.routes, o);
    if (!code && sl_interrupted())
        code = SL_EXIT_INTERRUPT;
    close_scoring(&s);
    return code;
}
