/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of verbs and one of options drive parsing, checks and help. */
#ifndef SL_CLI_OPTIONS_H
#define SL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SL_VERSION "0.1.0"

enum sl_verb {
    SL_VERB_RUN,
    SL_VERB_CHAT,
    SL_VERB_CONVERT,
    SL_VERB_INFO,
    SL_VERB_TOKENIZE,
    SL_VERB_LOGITS,
    SL_VERB_PERPLEXITY,
    SL_VERB_DEVICES,
    SL_VERB_VALIDATE,
    SL_VERB_CACHE,
    SL_VERB_BENCH,
    SL_VERB_PLAN,
    SL_VERB_HELP,
    SL_VERB_VERSION,
    SL_N_VERB
};

/* Strings are NULL when not given and point into argv otherwise. */
struct sl_options {
    enum sl_verb verb;
    bool help;          /* --help: print the verb's help instead */
    const char *arg[2]; /* positional arguments */
    size_t n_arg;
    const char *model, *prompt, *file, *tokens, *output, *reference, *profile;
    const char *record_routes, *trace, *slots, *policy;
    const char *shape, *batches;
    const char *device, *on_device_error, *split, *resident, *keep, *dense, *format, *format_dense;
    const char *cache_type_k, *cache_type_v;
    const char *cards, *host, *routing;
    const char *system, *chat_template;
    int64_t n_predict;                     /* -1: until the end of generation */
    int64_t ctx_size, batch_size, threads; /* 0: default */
    int64_t top_k;                         /* -1: the model's own */
    int64_t seed;                          /* -1: random */
    int64_t expert_bytes, host_memory;     /* 0: not given */
    int64_t ahead;
    int64_t turns;
    int64_t prompt_tokens;              /* 0: default */
    double temp, top_p, repeat_penalty; /* NaN: the model's own */
    bool exact, kv_on_fabric, json, no_bos, no_special, no_display_prompt, force, no_reference;
    bool membw, explain, memory, chat, verbose, dry_run, pieces;
};

/* Why a command line was refused. */
struct sl_complaint {
    char what[256], hint[160];
};

/* argv[0] is the program, argv[1] the verb (or --help, --version). False: refused, *why says why.
 */
bool sl_options_parse(struct sl_options *out, int argc, char **argv, struct sl_complaint *why);

/* Help of one verb, or of the program (SL_VERB_HELP). */
void sl_options_help(FILE *f, enum sl_verb verb);
const char *sl_verb_name(enum sl_verb verb);

/* The table, for its tests. */
enum sl_option_kind {
    SL_OPTION_TEXT,
    SL_OPTION_CHOICE,
    SL_OPTION_INT,
    SL_OPTION_SIZE, /* bytes: a number, K, M, G or T (of 1024) behind it */
    SL_OPTION_REAL,
    SL_OPTION_FLAG
};

struct sl_option {
    const char *name;  /* without dashes; its first dash-separated form is the documented one */
    const char *alias; /* "n" is a letter (-n), "ctk" a word with one dash; NULL: none */
    enum sl_option_kind kind;
    size_t field;      /* offset in struct sl_options */
    double min, max;   /* of numbers, inclusive */
    unsigned verbs;    /* bit set of enum sl_verb */
    const char *value; /* what the help shows; for choices the list "a|b|c" */
    const char *help;
};
extern const struct sl_option sl_option_table[];
extern const size_t sl_n_option;

#endif
