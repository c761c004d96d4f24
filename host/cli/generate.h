/* SPDX-License-Identifier: Apache-2.0 */
/* Text out of a model: ids are read, then tokens are chosen one by one and shown as they come. What
 * `run` does once and `chat` turn by turn. */
#ifndef SL_CLI_GENERATE_H
#define SL_CLI_GENERATE_H

#include "input.h"
#include "utf8_stream.h"

enum sl_stop { SL_STOP_LENGTH, SL_STOP_EOS, SL_STOP_CONTEXT, SL_STOP_INTERRUPT };
/* "length" "eos" "context" "interrupt" */
const char *sl_stop_name(enum sl_stop stop);

/* Zeroed is closed. */
struct sl_generator {
    const struct sl_options *o;
    const struct sl_tokenizer *tok; /* NULL: ids are shown as numbers */
    const struct sl_chat *chat;     /* NULL: only the model's own tokens end an answer */
    struct sl_model *model;
    struct sl_session *session;
    struct sl_sampler *sampler;
    struct sl_model_info info;
    size_t n_ctx, n_pos; /* positions of the session; of them filled */
    float *logits;       /* [n_vocab] of the last position, when it was read to the end */
    /* Of the last reading and the last answer. */
    size_t n_read, n, n_decoded; /* ids read; chosen; of them evaluated: the first ones */
    int32_t *ids;                /* [n] chosen, with the one that ended the answer */
    struct sl_utf8_stream out;   /* the answer's text */
    size_t printed;              /* bytes of it that are on stdout */
    bool text_starts;            /* what is chosen next is the start of a text */
    double prefill_s, decode_s;
    enum sl_stop stop;
};

/* Opens model, session and sampler; o, tok and chat are set before. profile may be NULL. Returns an
 * exit code; sl_generator_close in any case. */
int sl_generator_open(struct sl_generator *g, const struct sl_sampler_params *sampling,
                      struct sl_profile *profile);
void sl_generator_close(struct sl_generator *g);

/* Back to position 0. */
void sl_generator_rewind(struct sl_generator *g);
/* Evaluates ids[n] behind what was read, n >= 1. Ctrl-C: stop says so, and n_read how many were. */
int sl_generator_read(struct sl_generator *g, const int32_t *ids, size_t n);
/* What the repetition penalty counts from now on: ids[n] and the answer. */
void sl_generator_accept(struct sl_generator *g, const int32_t *ids, size_t n);
/* Chooses, shows (not with --json) and evaluates tokens until one ends the answer, --n-predict are
 * there, the context is full, or Ctrl-C. The last one chosen may not be evaluated. */
int sl_generator_answer(struct sl_generator *g);

/* Ends the line that the answer is on. */
void sl_generator_end_line(const struct sl_generator *g);
/* "prefill N tokens, X tok/s; decode N tokens, X tok/s" */
void sl_generator_rates(FILE *f, const struct sl_generator *g);
/* Tokens per second; NaN when there were none. */
double sl_generator_prefill_rate(const struct sl_generator *g);
double sl_generator_decode_rate(const struct sl_generator *g);

#endif
