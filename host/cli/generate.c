/* SPDX-License-Identifier: Apache-2.0 */
#include "generate.h"

#include <math.h>
#include <stdlib.h>

#include "console.h"

const char *sl_stop_name(enum sl_stop stop)
{
    static const char *const name[] = {"length", "eos", "context", "interrupt"};
    return name[stop];
}

/* ---- open and close */

/* The library's own rule for a context of 0. */
static size_t choose_context(const struct sl_options *o, const struct sl_model_info *info)
{
    size_t own = info->n_ctx_train < 4096 ? info->n_ctx_train : 4096;
    return o->ctx_size ? (size_t)o->ctx_size : own;
}

int sl_generator_open(struct sl_generator *g, const struct sl_sampler_params *sampling,
                      struct sl_profile *profile)
{
    int code = sl_input_open_model(&g->model, g->o, profile);
    if (code)
        return code;
    sl_model_get_info(g->model, &g->info);
    g->n_ctx = choose_context(g->o, &g->info);
    code = sl_input_open_session(&g->session, g->model, g->o, (uint32_t)g->n_ctx);
    if (code)
        return code;
    int err = sl_sampler_open(&g->sampler, sampling, g->info.n_vocab);
    if (err)
        return sl_cli_library_error(err);
    g->logits = calloc(g->info.n_vocab, sizeof *g->logits);
    g->ids = calloc(g->n_ctx + 1, sizeof *g->ids);
    return g->logits && g->ids ? SL_EXIT_OK : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
}

void sl_generator_close(struct sl_generator *g)
{
    sl_sampler_close(&g->sampler);
    sl_session_close(&g->session);
    sl_model_close(&g->model);
    sl_utf8_stream_free(&g->out);
    free(g->logits);
    free(g->ids);
    *g = (struct sl_generator){0};
}

/* ---- reading */

void sl_generator_rewind(struct sl_generator *g)
{
    sl_session_reset(g->session);
    g->n_pos = 0;
}

/* What a part of a text adds to the bar of all of it. */
struct reading {
    struct sl_progress bar;
    size_t before, part, all; /* tokens */
};

static bool read_tick(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct reading *r = user;
    const double tokens = (double)r->before + (double)r->part * (double)done / (double)total;
    return sl_progress_tick(&r->bar, what, (uint64_t)(tokens * 1000), (uint64_t)r->all * 1000);
}

/* In parts, so that Ctrl-C loses no more than one. */
static int read_parts(struct sl_generator *g, const int32_t *ids, size_t n, struct reading *r)
{
    const size_t most = sl_input_batch(g->o);
    for (g->n_read = 0; g->n_read < n;) {
        const size_t count = n - g->n_read < most ? n - g->n_read : most;
        float *logits = g->n_read + count == n ? g->logits : NULL;
        r->before = g->n_read;
        r->part = count;
        int err = sl_interrupted()
                      ? SL_ERR_INTERRUPTED
                      : sl_session_eval(g->session, ids + g->n_read, count, false, logits);
        if (err && err != SL_ERR_INTERRUPTED)
            return err;
        if (err) {
            g->stop = SL_STOP_INTERRUPT;
            break;
        }
        g->n_read += count;
        g->n_pos += count;
    }
    return 0;
}

int sl_generator_read(struct sl_generator *g, const int32_t *ids, size_t n)
{
    struct reading r = {.bar = sl_progress_open(), .all = n};
    double start = sl_seconds();
    g->stop = SL_STOP_LENGTH;
    sl_session_set_progress(g->session, read_tick, &r);
    int err = read_parts(g, ids, n, &r);
    sl_session_set_progress(g->session, NULL, NULL);
    sl_progress_close(&r.bar);
    if (err)
        return sl_cli_library_error(err);
    g->prefill_s = sl_seconds() - start;
    /* Behind a special token a text begins; else what was read goes on. */
    g->text_starts = g->tok && (!n || sl_tokenizer_is_special(g->tok, ids[n - 1]));
    return SL_EXIT_OK;
}

void sl_generator_accept(struct sl_generator *g, const int32_t *ids, size_t n)
{
    sl_sampler_forget(g->sampler);
    for (size_t i = 0; i < n; i++)
        sl_sampler_accept(g->sampler, ids[i]);
}

/* ---- answering */

static void show(struct sl_generator *g)
{
    if (g->o->json || g->printed == g->out.text.n)
        return;
    fwrite(g->out.text.v + g->printed, 1, g->out.text.n - g->printed, stdout);
    g->printed = g->out.text.n;
    fflush(stdout);
}

static int add_token(struct sl_generator *g, int32_t id)
{
    size_t len = 0;
    char number[16];
    const char *piece = NULL;
    if (!g->tok)
        len = (size_t)snprintf(number, sizeof number, "%d ", (int)id), piece = number;
    else
        piece = sl_tokenizer_text(g->tok, id, &g->text_starts, &len);
    if (piece && !sl_utf8_stream_add(&g->out, piece, len))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    show(g);
    return SL_EXIT_OK;
}

static bool is_end(const struct sl_generator *g, int32_t id)
{
    return (g->tok && sl_tokenizer_is_eog(g->tok, id)) || (g->chat && sl_chat_is_end(g->chat, id));
}

static bool enough(const struct sl_generator *g)
{
    return g->o->n_predict >= 0 && g->n >= (size_t)g->o->n_predict;
}

/* True when the answer ends before another token is chosen. */
static bool finished(struct sl_generator *g)
{
    if (g->stop == SL_STOP_INTERRUPT)
        return true;
    g->stop = sl_interrupted() ? SL_STOP_INTERRUPT : SL_STOP_LENGTH;
    return g->stop == SL_STOP_INTERRUPT || enough(g);
}

static int choose_tokens(struct sl_generator *g)
{
    while (!finished(g)) {
        int32_t id = sl_sampler_sample(g->sampler, g->logits);
        g->ids[g->n++] = id;
        sl_sampler_accept(g->sampler, id);
        if (is_end(g, id)) {
            g->stop = SL_STOP_EOS;
            break;
        }
        int code = add_token(g, id);
        if (code || enough(g))
            return code;
        if (g->n_pos == g->n_ctx) {
            g->stop = SL_STOP_CONTEXT;
            break;
        }
        int err = sl_session_eval(g->session, &id, 1, false, g->logits);
        if (err)
            return sl_cli_library_error(err);
        g->n_decoded++;
        g->n_pos++;
    }
    return SL_EXIT_OK;
}

int sl_generator_answer(struct sl_generator *g)
{
    double start = sl_seconds();
    g->n = g->n_decoded = g->printed = 0;
    sl_utf8_stream_free(&g->out);
    int code = choose_tokens(g);
    g->decode_s = sl_seconds() - start;
    if (!sl_utf8_stream_end(&g->out))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    show(g);
    return code;
}

/* ---- reporting */

void sl_generator_end_line(const struct sl_generator *g)
{
    if (g->n == 0 || g->out.text.n == 0 || g->out.text.v[g->out.text.n - 1] != '\n')
        putchar('\n');
    fflush(stdout);
}

static double per_second(size_t n, double seconds)
{
    return n && seconds > 0 ? (double)n / seconds : NAN;
}

double sl_generator_prefill_rate(const struct sl_generator *g)
{
    return per_second(g->n_read, g->prefill_s);
}

double sl_generator_decode_rate(const struct sl_generator *g)
{
    return per_second(g->n_decoded, g->decode_s);
}

void sl_generator_rates(FILE *f, const struct sl_generator *g)
{
    double prefill = sl_generator_prefill_rate(g), decode = sl_generator_decode_rate(g);
    fprintf(f, "prefill %zu tokens, %.1f tok/s; ", g->n_read, isnan(prefill) ? 0 : prefill);
    fprintf(f, "decode %zu tokens, %.1f tok/s", g->n_decoded, isnan(decode) ? 0 : decode);
}
