/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "expect_report.h"
#include "explain.h"
#include "input.h"
#include "memory_report.h"
#include "profile_report.h"
#include "time_report.h"
#include "utf8_stream.h"
#include "verbs.h"

enum stop { STOP_LENGTH, STOP_EOS, STOP_CONTEXT, STOP_INTERRUPT };
static const char *const stop_name[] = {"length", "eos", "context", "interrupt"};

struct run {
    const struct sl_options *o;
    struct sl_input in;
    struct sl_model *model;
    struct sl_session *session;
    struct sl_sampler *sampler;
    struct sl_profile *profile;  /* NULL without --profile */
    struct sl_route_log *routes; /* NULL without --record-routes */
    struct sl_sampler_params sampling;
    struct sl_model_info info;
    struct sl_utf8_stream out;
    size_t printed;             /* bytes of out that are on stdout */
    float *logits;              /* [n_vocab] */
    int32_t *ids;               /* [n] generated */
    size_t n, n_ctx, n_decoded; /* decoded: tokens that were evaluated one by one */
    double prefill_s, decode_s;
    struct sl_virtual_time opened, read; /* clock of the device: model open; prompt read */
    struct sl_placement prompt;          /* when the prompt was read */
    enum stop stop;
};

static double per_second(size_t n, double seconds)
{
    return n && seconds > 0 ? (double)n / seconds : NAN;
}

/* ---- opening */

/* The library's own rule for a context of 0. */
static size_t choose_context(const struct sl_options *o, const struct sl_model_info *info)
{
    size_t own = info->n_ctx_train < 4096 ? info->n_ctx_train : 4096;
    return o->ctx_size ? (size_t)o->ctx_size : own;
}

static int open_profile(struct run *r)
{
    struct sl_profile_params params = {.path = r->o->profile};
    int err = params.path ? sl_profile_open(&r->profile, &params) : 0;
    r->sampling.profile = r->profile;
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

static int open_run(struct run *r)
{
    if (r->o->routing && !strncmp(r->o->routing, "expert-choice", 13))
        return sl_cli_error(SL_ERR_USAGE, "it works for perplexity and logits",
                            "--routing %s: experts cannot choose among the tokens of a decode",
                            r->o->routing);
    int code = sl_input_sampling(&r->sampling, r->o);
    if (!code)
        code = sl_input_load(&r->in, r->o, true);
    if (code)
        return code;
    if (!r->in.tok)
        fprintf(stderr, "note: printing ids, the model's vocabulary cannot be used: %s\n",
                sl_error_message());
    code = open_profile(r);
    if (!code)
        code = sl_input_open_routes(&r->routes, r->o);
    if (!code)
        code = sl_input_open_model(&r->model, r->o, r->profile);
    if (code)
        return code;
    sl_model_get_info(r->model, &r->info);
    r->n_ctx = choose_context(r->o, &r->info);
    code = sl_input_check(&r->in, r->info.n_vocab);
    if (code)
        return code;
    if (r->in.n > r->n_ctx)
        return sl_cli_error(SL_ERR_USAGE, "shorten the text or raise --ctx-size",
                            "text: %zu tokens do not fit a context of %zu", r->in.n, r->n_ctx);
    code = sl_input_open_session(&r->session, r->model, r->o, (uint32_t)r->n_ctx);
    if (!code)
        code = sl_input_log_routes(r->session, r->routes);
    if (code)
        return code;
    int err = sl_sampler_open(&r->sampler, &r->sampling, r->info.n_vocab);
    if (err)
        return sl_cli_library_error(err);
    r->logits = calloc(r->info.n_vocab, sizeof *r->logits);
    r->ids = calloc(r->n_ctx + 1, sizeof *r->ids);
    return r->logits && r->ids ? SL_EXIT_OK : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
}

static void close_run(struct run *r)
{
    sl_sampler_close(&r->sampler);
    sl_session_close(&r->session);
    sl_route_log_close(&r->routes);
    sl_model_close(&r->model);
    sl_profile_close(&r->profile);
    sl_input_free(&r->in);
    sl_utf8_stream_free(&r->out);
    free(r->logits);
    free(r->ids);
}

/* ---- generating */

static void show(struct run *r)
{
    if (r->o->json || r->printed == r->out.text.n)
        return;
    fwrite(r->out.text.v + r->printed, 1, r->out.text.n - r->printed, stdout);
    r->printed = r->out.text.n;
    fflush(stdout);
}

static void show_prompt(const struct run *r)
{
    if (r->o->json || r->o->no_display_prompt)
        return;
    if (r->in.text)
        fwrite(r->in.text, 1, r->in.len, stdout);
    for (size_t i = 0; !r->in.text && i < r->in.n; i++)
        printf("%d ", (int)r->in.ids[i]);
    fflush(stdout);
}

/* Special tokens are not text; ids behind the vocabulary have none. */
static int add_token(struct run *r, int32_t id)
{
    size_t len = 0;
    char number[16];
    const char *piece = NULL;
    if (!r->in.tok)
        len = (size_t)snprintf(number, sizeof number, "%d ", (int)id), piece = number;
    else if (!sl_tokenizer_is_special(r->in.tok, id))
        piece = sl_tokenizer_piece(r->in.tok, id, &len);
    if (piece && !sl_utf8_stream_add(&r->out, piece, len))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    show(r);
    return SL_EXIT_OK;
}

/* What has been counted by now. placement may be NULL. */
static void count(const struct run *r, struct sl_virtual_time *time, struct sl_placement *placement)
{
    struct sl_session_stats stats;
    sl_session_get_stats(r->session, &stats);
    *time = stats.n_device ? stats.device[0].time : (struct sl_virtual_time){0};
    if (placement)
        *placement = stats.placement;
}

/* In parts, so that Ctrl-C is heard while a long text is read. */
static int prefill(struct run *r)
{
    size_t part = r->o->batch_size ? (size_t)r->o->batch_size : 256;
    double start = sl_seconds();
    count(r, &r->opened, NULL);
    for (size_t i = 0; i < r->in.n; i += part) {
        size_t n = r->in.n - i < part ? r->in.n - i : part;
        float *logits = i + n == r->in.n ? r->logits : NULL;
        if (sl_interrupted()) {
            r->stop = STOP_INTERRUPT;
            return SL_EXIT_OK;
        }
        int err = sl_session_eval(r->session, r->in.ids + i, n, false, logits);
        if (err)
            return sl_cli_library_error(err);
    }
    for (size_t i = 0; i < r->in.n; i++)
        sl_sampler_accept(r->sampler, r->in.ids[i]);
    r->prefill_s = sl_seconds() - start;
    count(r, &r->read, &r->prompt);
    return SL_EXIT_OK;
}

/* True when generation ends before another token is chosen. */
static bool finished(struct run *r)
{
    if (r->stop == STOP_INTERRUPT)
        return true;
    r->stop = sl_interrupted() ? STOP_INTERRUPT : STOP_LENGTH;
    return r->stop == STOP_INTERRUPT || (r->o->n_predict >= 0 && r->n >= (size_t)r->o->n_predict);
}

static int generate(struct run *r)
{
    double start = sl_seconds();
    int code = SL_EXIT_OK;
    while (!finished(r)) {
        int32_t id = sl_sampler_sample(r->sampler, r->logits);
        r->ids[r->n++] = id;
        sl_sampler_accept(r->sampler, id);
        if (r->in.tok && sl_tokenizer_is_eog(r->in.tok, id)) {
            r->stop = STOP_EOS;
            break;
        }
        code = add_token(r, id);
        if (code || (r->o->n_predict >= 0 && r->n >= (size_t)r->o->n_predict))
            break;
        if (r->in.n + r->n > r->n_ctx) {
            r->stop = STOP_CONTEXT;
            break;
        }
        int err = sl_session_eval(r->session, &id, 1, false, r->logits);
        if (err)
            return sl_cli_library_error(err);
        r->n_decoded++;
    }
    r->decode_s = sl_seconds() - start;
    if (!sl_utf8_stream_end(&r->out))
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    show(r);
    return code;
}

/* ---- reporting */

static const char *device_name(const struct run *r)
{
    return r->o->exact ? "exact" : r->info.device;
}

static double launches_per_token(const struct sl_session_stats *s)
{
    return s->n_decode_tokens ? (double)s->n_decode_launches / (double)s->n_decode_tokens : NAN;
}

static struct sl_expect_run expected_of(const struct run *r, const struct sl_session_stats *stats)
{
    return (struct sl_expect_run){r->o, r->in.n, r->n_decoded, &r->prompt, &stats->placement};
}

static void report(const struct run *r, const struct sl_session_stats *stats)
{
    if (r->n == 0 || r->out.text.n == 0 || r->out.text.v[r->out.text.n - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    if (r->stop == STOP_CONTEXT)
        fprintf(stderr, "note: the context of %zu tokens is full\n", r->n_ctx);
    double prefill_rate = per_second(r->in.n, r->prefill_s), launches = launches_per_token(stats);
    double decode_rate = per_second(r->n_decoded, r->decode_s);
    fprintf(stderr, "prefill %zu tokens, %.1f tok/s; ", r->in.n,
            isnan(prefill_rate) ? 0 : prefill_rate);
    fprintf(stderr, "decode %zu tokens, %.1f tok/s; ", r->n_decoded,
            isnan(decode_rate) ? 0 : decode_rate);
    fprintf(stderr, "device %s; %.1f launches/token; seed %llu\n", device_name(r),
            isnan(launches) ? 0 : launches, (unsigned long long)r->sampling.seed);
    struct sl_memory memory;
    sl_model_get_memory(r->model, &memory);
    if (memory.streamed)
        sl_memory_peak_line(stderr);
    if (stats->n_device && stats->device[0].time.known)
        sl_report_time(stderr, r->in.n, r->n_decoded,
                       &(struct sl_report_clock){&r->opened, &r->read, &stats->device[0].time});
    const struct sl_expect_run expected = expected_of(r, stats);
    if (r->o->explain)
        sl_expect_print(stderr, &expected);
    for (size_t i = 0; i < stats->n_device; i++) {
        const struct sl_device_use *d = &stats->device[i];
        if (stats->n_device > 1)
            fprintf(stderr, "  %s: %llu launches\n", d->name, (unsigned long long)d->launches);
        if (d->failure[0])
            fprintf(stderr, "warning: the CPU took over from %s: %s\n", d->name, d->failure);
    }
    if (r->o->explain)
        sl_explain_print(&stats->placement);
}

static json_t *device_list(const struct sl_session_stats *stats)
{
    json_t *list = json_array();
    for (size_t i = 0; i < stats->n_device; i++) {
        const struct sl_device_use *d = &stats->device[i];
        json_t *failure = d->failure[0] ? json_string(d->failure) : json_null();
        json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "name", d->name, "launches",
                                              (json_int_t)d->launches, "failure", failure));
    }
    return list;
}

static json_t *id_list(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *operation_list(const struct sl_session_stats *stats)
{
    json_t *list = json_array();
    for (size_t i = 0; i < stats->n_op; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "op", stats->op[i].op, "impl",
                                              stats->op[i].impl, "calls",
                                              (json_int_t)stats->op[i].calls));
    return list;
}

/* The prompt as JSON can hold it. */
static json_t *prompt_text(const struct run *r)
{
    struct sl_utf8_stream s = {0};
    json_t *text = NULL;
    if (r->in.text && sl_utf8_stream_add(&s, r->in.text, r->in.len) && sl_utf8_stream_end(&s))
        text = json_stringn(s.text.v, s.text.n);
    sl_utf8_stream_free(&s);
    return text ? text : json_null();
}

/* 0.7f as 0.7: the nearest double of a float shows digits that nobody gave. */
static json_t *short_real(float v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", (double)v);
    return json_real(strtod(text, NULL));
}

static int report_json(const struct run *r, const struct sl_session_stats *stats)
{
    json_t *o = json_object();
    json_object_set_new(o, "text", json_stringn(r->out.text.v, r->out.text.n));
    json_object_set_new(o, "prompt", prompt_text(r));
    json_object_set_new(o, "token_ids", id_list(r->ids, r->n));
    json_object_set_new(o, "prompt_token_ids", id_list(r->in.ids, r->in.n));
    json_object_set_new(o, "stop", json_string(stop_name[r->stop]));
    json_object_set_new(o, "prefill_tokens", json_integer((json_int_t)r->in.n));
    json_object_set_new(o, "decode_tokens", json_integer((json_int_t)r->n_decoded));
    json_object_set_new(o, "prefill_tokens_per_s",
                        sl_json_number(per_second(r->in.n, r->prefill_s)));
    json_object_set_new(o, "decode_tokens_per_s",
                        sl_json_number(per_second(r->n_decoded, r->decode_s)));
    json_object_set_new(o, "device", json_string(device_name(r)));
    json_object_set_new(o, "format", json_string(r->info.format));
    json_object_set_new(o, "format_dense", json_string(r->info.format_dense));
    json_object_set_new(o, "launches", json_integer((json_int_t)stats->n_launches));
    json_object_set_new(o, "launches_per_token", sl_json_number(launches_per_token(stats)));
    json_object_set_new(o, "retries", json_integer((json_int_t)stats->n_retries));
    json_object_set_new(o, "seed", json_integer((json_int_t)r->sampling.seed));
    json_object_set_new(o, "temperature", short_real(r->sampling.temp));
    json_object_set_new(o, "top_k", json_integer(r->sampling.top_k));
    json_object_set_new(o, "top_p", short_real(r->sampling.top_p));
    json_object_set_new(o, "repetition_penalty", short_real(r->sampling.repeat_penalty));
    json_object_set_new(o, "operations", operation_list(stats));
    json_object_set_new(o, "devices", device_list(stats));
    if (r->o->explain) {
        const struct sl_expect_run expected = expected_of(r, stats);
        json_object_set_new(o, "placement", sl_explain_json(&stats->placement));
        json_object_set_new(o, "expected", sl_expect_json(&expected));
    }
    if (stats->n_device && stats->device[0].time.known)
        json_object_set_new(
            o, "virtual_time",
            sl_time_json(r->in.n, r->n_decoded,
                         &(struct sl_report_clock){&r->opened, &r->read, &stats->device[0].time}));
    if (r->profile)
        json_object_set_new(o, "profile", sl_profile_json(r->profile, r->o->profile));
    return sl_json_print(o);
}

static int finish_profile(const struct run *r)
{
    if (!r->o->json)
        sl_profile_table(stderr, r->profile);
    int err = sl_profile_write(r->profile);
    if (err)
        return sl_cli_library_error(err);
    if (!r->o->json)
        fprintf(stderr, "trace: %s, for ui.perfetto.dev\n", r->o->profile);
    return SL_EXIT_OK;
}

int sl_verb_run(const struct sl_options *o)
{
    struct run r = {.o = o};
    struct sl_session_stats stats = {0};
    sl_interrupt_catch();
    int code = open_run(&r);
    if (!code) {
        show_prompt(&r);
        code = prefill(&r);
    }
    if (!code)
        code = generate(&r);
    if (!code) {
        sl_session_get_stats(r.session, &stats);
        if (o->json)
            code = report_json(&r, &stats);
        else
            report(&r, &stats);
    }
    if (!code && r.profile)
        code = finish_profile(&r);
    if (!code)
        code = sl_input_finish_routes(r.routes, o);
    if (!code)
        code = sl_stdout_finish();
    if (!code && r.stop == STOP_INTERRUPT)
        code = SL_EXIT_INTERRUPT;
    close_run(&r);
    return code;
}
