/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb works on: text from --prompt or --file, ids from --tokens, the model's own sampling
 * settings. Failures are printed; the functions return exit codes. */
#ifndef SL_CLI_INPUT_H
#define SL_CLI_INPUT_H

#include <jansson.h>

#include "options.h"
#include "sluice.h"

/* Zeroed is empty; sl_input_free. */
struct sl_input {
    struct sl_tokenizer *tok; /* NULL when the ids were given and the model has no vocabulary */
    struct sl_chat *chat;     /* NULL without --chat */
    char *text;               /* NULL when ids were given */
    size_t len;
    int32_t *ids;
    size_t n;
    bool bos; /* ids[0] was put in front of the text */
};

/* Reads the text or the ids that the options name (without any of them: standard input) and makes
 * ids; bos: in front of a text unless --no-bos. With --chat the text is the first turn. */
int sl_input_load(struct sl_input *in, const struct sl_options *o, bool bos);
/* Every id is one of n_vocab, and there is at least one. */
int sl_input_check(const struct sl_input *in, uint32_t n_vocab);
void sl_input_free(struct sl_input *in);

/* The form of conversations that --chat-template names or the model has. */
int sl_input_open_chat(struct sl_chat **out, const struct sl_tokenizer *tok,
                       const struct sl_options *o);

/* What the options say of the model; no profile, no progress. */
struct sl_model_params sl_input_model_params(const struct sl_options *o);
/* Opens the model that the options name, with a progress bar. profile: may be NULL. */
int sl_input_open_model(struct sl_model **out, const struct sl_options *o,
                        struct sl_profile *profile);
/* Tokens of a prefill chunk: --batch-size, or the library's own choice. */
size_t sl_input_batch(const struct sl_options *o);
/* The same where the logits of all of them are kept: 64 MB, whatever the vocabulary. */
size_t sl_input_rows_at_once(const struct sl_options *o, size_t n_vocab);
int sl_input_open_session(struct sl_session **out, struct sl_model *model,
                          const struct sl_options *o, uint32_t n_ctx);

/* --record-routes: the log, before anything that takes long; *out stays NULL without it. */
int sl_input_open_routes(struct sl_route_log **out, const struct sl_options *o);
/* Records the session; log may be NULL. */
int sl_input_log_routes(struct sl_session *session, struct sl_route_log *log);
/* Gives what was recorded its name and says so; log may be NULL. */
int sl_input_finish_routes(struct sl_route_log *log, const struct sl_options *o);

/* Sampling settings: the model's own (sl_generation_load), overridden by the options. */
struct sl_input_sampling {
    struct sl_sampler_params params;
    const char *from[4]; /* where temperature, top-k, top-p and penalty come from; static */
};
int sl_input_sampling(struct sl_input_sampling *out, const struct sl_options *o);
/* One line: each setting and where it comes from. */
void sl_input_sampling_print(FILE *f, const struct sl_input_sampling *s);
/* Adds them to an object. */
void sl_input_sampling_json(json_t *object, const struct sl_input_sampling *s);

#endif
