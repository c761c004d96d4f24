/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "console.h"
#include "expect_report.h"
#include "explain.h"
#include "generate.h"
#include "memory_report.h"
#include "profile_report.h"
#include "time_report.h"
#include "verbs.h"

struct run {
    const struct sl_options *o;
    struct sl_input in;
    struct sl_generator g;
    struct sl_profile *profile;  /* NULL without --profile */
    struct sl_route_log *routes; /* NULL without --record-routes */
    struct sl_input_sampling sampling;
    struct sl_virtual_time opened, read; /* clock of the device: model open; prompt read */
    struct sl_placement prompt;          /* when the prompt was read */
};

/* ---- opening */

static int open_profile(struct run *r)
{
    struct sl_profile_params params = {.path = r->o->profile};
    int err = params.path ? sl_profile_open(&r->profile, &params) : 0;
    r->sampling.params.profile = r->profile;
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
    r->g = (struct sl_generator){.o = r->o, .tok = r->in.tok, .chat = r->in.chat};
    if (!code)
        code = sl_generator_open(&r->g, &r->sampling.params, r->profile);
    if (!code)
        code = sl_input_check(&r->in, r->g.info.n_vocab);
    if (code)
        return code;
    if (r->in.n > r->g.n_ctx)
        return sl_cli_error(SL_ERR_USAGE, "shorten the text or raise --ctx-size",
                            "text: %zu tokens do not fit a context of %zu", r->in.n, r->g.n_ctx);
    return sl_input_log_routes(r->g.session, r->routes);
}

static void close_run(struct run *r)
{
    sl_generator_close(&r->g);
    sl_route_log_close(&r->routes);
    sl_profile_close(&r->profile);
    sl_input_free(&r->in);
}

/* ---- generating */

static void show_prompt(const struct run *r)
{
    if (r->o->json || r->o->no_display_prompt || r->o->chat)
        return;
    if (r->in.text)
        fwrite(r->in.text, 1, r->in.len, stdout);
    for (size_t i = 0; !r->in.text && i < r->in.n; i++)
        printf("%d ", (int)r->in.ids[i]);
    fflush(stdout);
}

/* What has been counted by now. placement may be NULL. */
static void count(const struct run *r, struct sl_virtual_time *time, struct sl_placement *placement)
{
    struct sl_session_stats stats;
    sl_session_get_stats(r->g.session, &stats);
    *time = stats.n_device ? stats.device[0].time : (struct sl_virtual_time){0};
    if (placement)
        *placement = stats.placement;
}

static int generate(struct run *r)
{
    count(r, &r->opened, NULL);
    int code = sl_generator_read(&r->g, r->in.ids, r->in.n);
    show_prompt(r); /* behind the bar, which takes a line */
    if (code)
        return code;
    sl_generator_accept(&r->g, r->in.ids, r->in.n);
    count(r, &r->read, &r->prompt);
    return sl_generator_answer(&r->g);
}

/* ---- reporting */

static const char *device_name(const struct run *r)
{
    return r->o->exact ? "exact" : r->g.info.device;
}

static double launches_per_token(const struct sl_session_stats *s)
{
    return s->n_decode_tokens ? (double)s->n_decode_launches / (double)s->n_decode_tokens : NAN;
}

static struct sl_expect_run expected_of(const struct run *r, const struct sl_session_stats *stats)
{
    return (struct sl_expect_run){r->o, r->in.n, r->g.n_decoded, &r->prompt, &stats->placement};
}

static void report(const struct run *r, const struct sl_session_stats *stats)
{
    sl_generator_end_line(&r->g);
    if (r->g.stop == SL_STOP_CONTEXT)
        fprintf(stderr, "note: the context of %zu tokens is full\n", r->g.n_ctx);
    if (r->o->verbose)
        sl_input_sampling_print(stderr, &r->sampling);
    double launches = launches_per_token(stats);
    sl_generator_rates(stderr, &r->g);
    fprintf(stderr, "; device %s; %.1f launches/token; seed %llu\n", device_name(r),
            isnan(launches) ? 0 : launches, (unsigned long long)r->sampling.params.seed);
    struct sl_memory memory;
    sl_model_get_memory(r->g.model, &memory);
    if (memory.streamed)
        sl_memory_peak_line(stderr);
    if (stats->n_device && stats->device[0].time.known)
        sl_report_time(stderr, r->in.n, r->g.n_decoded,
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

static int report_json(const struct run *r, const struct sl_session_stats *stats)
{
    json_t *o = json_object();
    json_object_set_new(o, "text", json_stringn(r->g.out.text.v, r->g.out.text.n));
    json_object_set_new(o, "prompt", prompt_text(r));
    json_object_set_new(o, "token_ids", sl_json_ids(r->g.ids, r->g.n));
    json_object_set_new(o, "prompt_token_ids", sl_json_ids(r->in.ids, r->in.n));
    json_object_set_new(o, "stop", json_string(sl_stop_name(r->g.stop)));
    json_object_set_new(o, "prefill_tokens", json_integer((json_int_t)r->in.n));
    json_object_set_new(o, "decode_tokens", json_integer((json_int_t)r->g.n_decoded));
    json_object_set_new(o, "prefill_tokens_per_s",
                        sl_json_number(sl_generator_prefill_rate(&r->g)));
    json_object_set_new(o, "decode_tokens_per_s", sl_json_number(sl_generator_decode_rate(&r->g)));
    json_object_set_new(o, "device", json_string(device_name(r)));
    json_object_set_new(o, "format", json_string(r->g.info.format));
    json_object_set_new(o, "format_dense", json_string(r->g.info.format_dense));
    json_object_set_new(o, "launches", json_integer((json_int_t)stats->n_launches));
    json_object_set_new(o, "launches_per_token", sl_json_number(launches_per_token(stats)));
    json_object_set_new(o, "retries", json_integer((json_int_t)stats->n_retries));
    sl_input_sampling_json(o, &r->sampling);
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
            sl_time_json(r->in.n, r->g.n_decoded,
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
    if (!code)
        code = generate(&r);
    if (!code) {
        sl_session_get_stats(r.g.session, &stats);
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
    if (!code && r.g.stop == SL_STOP_INTERRUPT)
        code = SL_EXIT_INTERRUPT;
    close_run(&r);
    return code;
}
