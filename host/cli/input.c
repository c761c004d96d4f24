/* SPDX-License-Identifier: Apache-2.0 */
#include "input.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "console.h"
#include "memory_report.h"
#include "verbs.h"

/* ---- texts and ids */

static int fail_read(const char *path)
{
    return sl_cli_error(SL_ERR_IO, "check the path and its permissions", "%s: %s", path,
                        strerror(errno));
}

static int read_stream(FILE *f, const char *path, char **text, size_t *len)
{
    size_t n = 0, cap = 1 << 16, got;
    char *buf = malloc(cap + 1);
    while (buf && (got = fread(buf + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) {
            char *grown = realloc(buf, 2 * cap + 1);
            if (!grown)
                free(buf);
            buf = grown;
            cap *= 2;
        }
    }
    if (!buf)
        return sl_cli_error(SL_ERR_NOMEM, "give a shorter text", "%s: out of memory", path);
    if (ferror(f)) {
        free(buf);
        return fail_read(path);
    }
    buf[n] = 0;
    *text = buf;
    *len = n;
    return SL_EXIT_OK;
}

/* The whole of a file, "-" for standard input; malloc()ed and NUL-terminated. */
static int read_file(const char *path, char **text, size_t *len)
{
    if (!strcmp(path, "-"))
        return read_stream(stdin, "standard input", text, len);
    FILE *f = fopen(path, "rbe");
    if (!f)
        return fail_read(path);
    int code = read_stream(f, path, text, len);
    fclose(f);
    return code;
}

static int fail_ids(const char *name, size_t line, const char *why)
{
    return sl_cli_error(SL_ERR_FORMAT,
                        "the file holds token ids separated by white space or commas", "%s:%zu: %s",
                        name, line, why);
}

/* An id ends at a separator; at most 10 digits, so that it cannot overflow. */
static bool parse_id(const char **at, const char *end, int32_t *id)
{
    int64_t v = 0;
    const char *p = *at;
    for (; p < end && *p >= '0' && *p <= '9' && p - *at < 10; p++)
        v = v * 10 + (*p - '0');
    bool ends = p == end || strchr(" \t\r\n\v\f,", *p);
    if (p == *at || !ends || (p < end && !*p) || v > INT32_MAX)
        return false;
    *id = (int32_t)v;
    *at = p;
    return true;
}

/* Ids separated by white space or commas; each at least 0. name is for messages. */
static int parse_ids(const char *name, const char *text, size_t len, int32_t **ids, size_t *n)
{
    size_t line = 1, count = 0;
    int32_t *v = calloc(len / 2 + 1, sizeof *v); /* an id and its separator have two bytes */
    if (!v)
        return sl_cli_error(SL_ERR_NOMEM, NULL, "%s: out of memory", name);
    for (const char *p = text, *end = text + len; p < end;) {
        line += *p == '\n';
        if (*p && strchr(" \t\r\n\v\f,", *p)) {
            p++;
        } else if (!parse_id(&p, end, &v[count++])) {
            free(v);
            return fail_ids(name, line, "not a token id");
        }
    }
    *ids = v;
    *n = count;
    return SL_EXIT_OK;
}

static int load_tokens(struct sl_input *in, const struct sl_options *o)
{
    char *text;
    size_t len;
    int code = read_file(o->tokens, &text, &len);
    if (code)
        return code;
    code = parse_ids(o->tokens, text, len, &in->ids, &in->n);
    free(text);
    return code;
}

static int load_text(struct sl_input *in, const struct sl_options *o)
{
    if (!o->prompt) {
        int code = read_file(o->file ? o->file : "-", &in->text, &in->len);
        /* A text to continue does not end with the line break that every file ends with. */
        if (!code && o->verb == SL_VERB_RUN && in->len && in->text[in->len - 1] == '\n')
            in->text[--in->len] = 0;
        return code;
    }
    in->len = strlen(o->prompt);
    in->text = strdup(o->prompt);
    return in->text ? SL_EXIT_OK : sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
}

/* Puts the model's first token in front. */
static int prepend_bos(struct sl_input *in)
{
    int32_t bos = sl_tokenizer_bos(in->tok);
    if (bos < 0)
        return SL_EXIT_OK;
    int32_t *v = malloc((in->n + 1) * sizeof *v);
    if (!v)
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory: %zu token ids", in->n + 1);
    memcpy(v + 1, in->ids, in->n * sizeof *v);
    v[0] = bos;
    free(in->ids);
    in->ids = v;
    in->n++;
    in->bos = true;
    return SL_EXIT_OK;
}

int sl_input_open_chat(struct sl_chat **out, const struct sl_tokenizer *tok,
                       const struct sl_options *o)
{
    struct sl_model_info info;
    int err = sl_config_info(o->model, &info);
    if (!err)
        err = sl_chat_open(out, tok, info.architecture, o->chat_template);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

/* The text as the first turn of a conversation. */
static int encode_turn(struct sl_input *in, const struct sl_options *o)
{
    const struct sl_chat_message messages[] = {
        {.role = SL_CHAT_SYSTEM, .text = o->system, .len = o->system ? strlen(o->system) : 0},
        {.role = SL_CHAT_USER, .text = in->text, .len = in->len}};
    int code = sl_input_open_chat(&in->chat, in->tok, o);
    if (code)
        return code;
    const size_t skip = o->system ? 0 : 1;
    int err = sl_chat_encode(in->chat, messages + skip, 2 - skip, &in->ids, &in->n);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

int sl_input_load(struct sl_input *in, const struct sl_options *o, bool bos)
{
    *in = (struct sl_input){0};
    int err = sl_tokenizer_open(&in->tok, o->model);
    if (o->tokens)
        return load_tokens(in, o); /* without a vocabulary too */
    if (err)
        return sl_cli_library_error(err);
    int code = load_text(in, o);
    if (code)
        return code;
    if (o->chat)
        return encode_turn(in, o);
    err = sl_tokenizer_encode(in->tok, in->text, in->len, !o->no_special, &in->ids, &in->n);
    if (err)
        return sl_cli_library_error(err);
    return bos && !o->no_bos ? prepend_bos(in) : SL_EXIT_OK;
}

int sl_input_check(const struct sl_input *in, uint32_t n_vocab)
{
    if (in->n == 0)
        return sl_cli_error(SL_ERR_USAGE, "give a text with --prompt or --file",
                            "text: empty, there are no tokens");
    for (size_t i = 0; i < in->n; i++)
        if (in->ids[i] < 0 || (uint32_t)in->ids[i] >= n_vocab)
            return sl_cli_error(SL_ERR_SHAPE, "take vocabulary and weights from the same model",
                                "token %zu: id %d is not below the vocabulary size %u", i + 1,
                                in->ids[i], n_vocab);
    return SL_EXIT_OK;
}

void sl_input_free(struct sl_input *in)
{
    sl_chat_close(&in->chat);
    sl_tokenizer_close(&in->tok);
    free(in->text);
    free(in->ids);
    *in = (struct sl_input){0};
}

/* ---- model and session */

struct sl_model_params sl_input_model_params(const struct sl_options *o)
{
    return (struct sl_model_params){
        .path = o->model,
        .exact = o->exact,
        .format = o->format,
        .format_dense = o->format_dense,
        .device = o->device,
        .dense = o->dense,
        .split = o->split,
        .resident = o->resident,
        .keep = o->keep,
        .routing = o->routing,
        .cpu_takes_over = o->on_device_error && !strcmp(o->on_device_error, "cpu"),
        .host_memory = (uint64_t)o->host_memory,
        .n_ctx = (uint32_t)o->ctx_size,
        .n_threads = (unsigned)o->threads,
    };
}

int sl_input_open_model(struct sl_model **out, const struct sl_options *o,
                        struct sl_profile *profile)
{
    struct sl_progress progress = sl_progress_open();
    struct sl_model_params params = sl_input_model_params(o);
    struct sl_memory memory;
    params.profile = profile;
    params.progress = sl_progress_tick;
    params.progress_user = &progress;
    /* What fails here fails again when the model is opened, and is told there. */
    if (!o->exact && !sl_memory_plan(&memory, &params) && memory.streamed && !o->json)
        sl_memory_table(stderr, &memory);
    int err = sl_model_open(out, &params);
    sl_progress_close(&progress);
    if (!err && o->routing)
        fprintf(stderr, "note: --routing %s: %s\n", o->routing,
                strncmp(o->routing, "noisy", 5)
                    ? "a token's experts depend on those read with it, so that reading in chunks "
                      "is no longer the same as token by token"
                    : "experts are chosen by scores with noise, and weights shared out among them");
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

size_t sl_input_batch(const struct sl_options *o)
{
    return o->batch_size ? (size_t)o->batch_size : SL_BATCH_TOKENS;
}

size_t sl_input_rows_at_once(const struct sl_options *o, size_t n_vocab)
{
    const size_t asked = sl_input_batch(o), fit = ((size_t)64 << 20) / (n_vocab * sizeof(float));
    return asked < fit ? asked : fit ? fit : 1;
}

int sl_input_open_session(struct sl_session **out, struct sl_model *model,
                          const struct sl_options *o, uint32_t n_ctx)
{
    struct sl_session_params params = {
        .n_ctx = n_ctx,
        .n_batch = (uint32_t)o->batch_size,
        .cache_type_k = o->cache_type_k,
        .cache_type_v = o->cache_type_v,
        .kv_on_fabric = o->kv_on_fabric,
    };
    int err = sl_session_open(out, model, &params);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

/* ---- routes */

int sl_input_open_routes(struct sl_route_log **out, const struct sl_options *o)
{
    int err = o->record_routes ? sl_route_log_open(out, o->record_routes) : 0;
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

int sl_input_log_routes(struct sl_session *session, struct sl_route_log *log)
{
    int err = log ? sl_session_log_routes(session, log) : 0;
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

int sl_input_finish_routes(struct sl_route_log *log, const struct sl_options *o)
{
    uint64_t n_token;
    int err = log ? sl_route_log_write(log, &n_token) : 0;
    if (err)
        return sl_cli_library_error(err);
    if (log && !o->json)
        fprintf(stderr, "routes of %llu tokens: %s, for sluice cache\n",
                (unsigned long long)n_token, o->record_routes);
    return SL_EXIT_OK;
}

/* ---- sampling settings */

/* -1 asks for a random seed that stays within what an option can repeat. */
static uint64_t choose_seed(int64_t seed)
{
    uint32_t random = 0;
    if (seed >= 0)
        return (uint64_t)seed;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)(sl_seconds() * 1e6);
    return random;
}

int sl_input_sampling(struct sl_input_sampling *out, const struct sl_options *o)
{
    struct sl_generation own;
    const bool given[] = {!isnan(o->temp), o->top_k >= 0, !isnan(o->top_p),
                          !isnan(o->repeat_penalty)};
    int err = sl_generation_load(&own, o->model);
    if (err)
        return sl_cli_library_error(err);
    /* A release's settings hold together: asked to be greedy, a model without a file of its own is
     * so without their penalty. */
    if (!own.found && given[0] && o->temp == 0) {
        own.repeat_penalty = 1;
        own.from[3] = "default";
    }
    out->params = (struct sl_sampler_params){
        .temp = given[0] ? (float)o->temp : own.temp,
        .top_k = given[1] ? (uint32_t)o->top_k : own.top_k,
        .top_p = given[2] ? (float)o->top_p : own.top_p,
        .repeat_penalty = given[3] ? (float)o->repeat_penalty : own.repeat_penalty,
        .seed = choose_seed(o->seed),
    };
    for (size_t i = 0; i < 4; i++)
        out->from[i] = given[i] ? "option" : own.from[i];
    return SL_EXIT_OK;
}

void sl_input_sampling_print(FILE *f, const struct sl_input_sampling *s)
{
    const struct sl_sampler_params *p = &s->params;
    fprintf(f, "temperature %g (%s), top-k %u (%s), top-p %g (%s), ", (double)p->temp, s->from[0],
            p->top_k, s->from[1], (double)p->top_p, s->from[2]);
    fprintf(f, "repetition penalty %g (%s), seed %llu\n", (double)p->repeat_penalty, s->from[3],
            (unsigned long long)p->seed);
}

void sl_input_sampling_json(json_t *object, const struct sl_input_sampling *s)
{
    const struct sl_sampler_params *p = &s->params;
    json_object_set_new(object, "seed", json_integer((json_int_t)p->seed));
    json_object_set_new(object, "temperature", sl_json_real(p->temp));
    json_object_set_new(object, "top_k", json_integer(p->top_k));
    json_object_set_new(object, "top_p", sl_json_real(p->top_p));
    json_object_set_new(object, "repetition_penalty", sl_json_real(p->repeat_penalty));
    json_object_set_new(object, "sampling_from",
                        json_pack("{s:s, s:s, s:s, s:s}", "temperature", s->from[0], "top_k",
                                  s->from[1], "top_p", s->from[2], "repetition_penalty",
                                  s->from[3]));
}
