/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "chat_help.h"

/* ---- the tables */

struct verb {
    const char *name, *args, *summary;
    size_t min_arg, max_arg;
};

static const struct verb verbs[SL_N_VERB] = {
    [SL_VERB_RUN] = {"run", "-m MODEL -p TEXT", "generate text", 0, 0},
    [SL_VERB_CHAT] = {"chat", "-m MODEL", "talk with a model, turn by turn", 0, 0},
    [SL_VERB_CONVERT] = {"convert", "IN_DIR OUT_DIR",
                         "quantise a checkpoint once, so that it opens at once", 2, 2},
    [SL_VERB_INFO] = {"info", "MODEL", "sizes of a model; a config.json alone is enough", 0, 1},
    [SL_VERB_TOKENIZE] = {"tokenize", "-m MODEL -p TEXT", "text to token ids, without adding any",
                          0, 0},
    [SL_VERB_LOGITS] = {"logits", "-m MODEL --tokens FILE -o FILE.npy",
                        "logits of every position as float32 [tokens, vocabulary]", 0, 0},
    [SL_VERB_PERPLEXITY] = {"perplexity", "-m MODEL -f FILE",
                            "perplexity of a text, and the distance to the exact model", 0, 0},
    [SL_VERB_DEVICES] = {"devices", "", "what --device can name here", 0, 0},
    [SL_VERB_VALIDATE] = {"validate", "--device NAME",
                          "test a device: memory, bandwidth, arithmetic", 0, 0},
    [SL_VERB_CACHE] = {"cache", "--trace FILE --slots N[,N...]",
                       "replay a routing trace against policies of residency", 0, 0},
    [SL_VERB_BENCH] = {"bench", "[--membw]", "speed of memory, and of the CPU device beside it", 0,
                       0},
    [SL_VERB_PLAN] = {"plan", "MODEL [--cards CARDS]",
                      "what fits on cards and how fast it would be, modelled", 0, 1},
    [SL_VERB_HELP] = {"help", "[VERB]", "this list, or the options of a verb", 0, 1},
    [SL_VERB_VERSION] = {"version", "", "version of the program", 0, 0},
};

enum {
    RUN = 1 << SL_VERB_RUN,
    CHAT = 1 << SL_VERB_CHAT,
    CONVERT = 1 << SL_VERB_CONVERT,
    INFO = 1 << SL_VERB_INFO,
    TOKENIZE = 1 << SL_VERB_TOKENIZE,
    LOGITS = 1 << SL_VERB_LOGITS,
    PERPLEXITY = 1 << SL_VERB_PERPLEXITY,
    DEVICES = 1 << SL_VERB_DEVICES,
    VALIDATE = 1 << SL_VERB_VALIDATE,
    CACHE = 1 << SL_VERB_CACHE,
    BENCH = 1 << SL_VERB_BENCH,
    PLAN = 1 << SL_VERB_PLAN,
    TEXTS = RUN | LOGITS | PERPLEXITY, /* verbs that take a text to evaluate */
    EVAL = TEXTS | CHAT,               /* verbs that open a model and evaluate tokens */
    SAMPLE = RUN | CHAT,
    ANY = (1 << SL_N_VERB) - 1
};

#define TEXT(name, alias, field, verbs, value, help)                                               \
    {                                                                                              \
        name, alias, SL_OPTION_TEXT, offsetof(struct sl_options, field), 0, 0, verbs, value, help  \
    }
#define CHOICE(name, alias, field, verbs, value, help)                                             \
    {                                                                                              \
        name, alias, SL_OPTION_CHOICE, offsetof(struct sl_options, field), 0, 0, verbs, value,     \
            help                                                                                   \
    }
#define INT(name, alias, field, min, max, verbs, help)                                             \
    {                                                                                              \
        name, alias, SL_OPTION_INT, offsetof(struct sl_options, field), min, max, verbs, "N", help \
    }
#define SIZE(name, field, max, verbs, help)                                                        \
    {                                                                                              \
        name, NULL, SL_OPTION_SIZE, offsetof(struct sl_options, field), 1, max, verbs, "SIZE",     \
            help                                                                                   \
    }
#define REAL(name, field, max, help)                                                               \
    {                                                                                              \
        name, NULL, SL_OPTION_REAL, offsetof(struct sl_options, field), 0, max, SAMPLE, "X", help  \
    }
#define FLAG(name, alias, field, verbs, help)                                                      \
    {                                                                                              \
        name, alias, SL_OPTION_FLAG, offsetof(struct sl_options, field), 0, 0, verbs, NULL, help   \
    }

const struct sl_option sl_option_table[] = {
    TEXT("model", "m", model, EVAL | INFO | TOKENIZE | CACHE | PLAN, "DIR",
         "checkpoint directory (safetensors or pytorch_model.bin) or converted model"),
    TEXT("prompt", "p", prompt, TEXTS | TOKENIZE, "TEXT", "the text"),
    TEXT("file", "f", file, TEXTS | TOKENIZE, "FILE",
         "read the text from a file (run: without its last line break); - is standard input"),
    FLAG("chat", NULL, chat, RUN, "the text is the first turn of a conversation"),
    TEXT("system", "sys", system, SAMPLE, "TEXT", "what is said before the first turn"),
    TEXT("chat-template", NULL, chat_template, SAMPLE, "NAME",
         "form of the conversation, see below; default: the model's own"),
    TEXT("tokens", NULL, tokens, TEXTS, "FILE",
         "read token ids instead, separated by white space or commas; nothing is added to them"),
    INT("n-predict", "n", n_predict, -1, 1 << 30, SAMPLE,
        "tokens to generate (chat: for each answer); -1: until the model ends or the context is "
        "full (default)"),
    INT("ctx-size", "c", ctx_size, 0, 1 << 24, EVAL | INFO | PLAN,
        "context in tokens; 0: the model's own, at most 4096 (perplexity: windows of 256; plan: "
        "1024)"),
    INT("batch-size", "b", batch_size, 0, 1 << 16, EVAL,
        "tokens evaluated together in prefill; 0: 512. Changes no result but with --routing"),
    INT("threads", "t", threads, 0, 1024, EVAL | CONVERT | BENCH,
        "CPU threads; 0: one per processor. Changes no result"),
    REAL("temp", temp, 100, "temperature; 0: the most likely token (default: the model's own)"),
    INT("top-k", NULL, top_k, 0, INT32_MAX, SAMPLE,
        "keep the N most likely; 0: all (default: the model's own)"),
    REAL("top-p", top_p, 1,
         "keep the most likely up to this share; 1: all (default: the model's own)"),
    REAL("repeat-penalty", repeat_penalty, 100,
         "divide the logits of tokens seen before; 1: off (default: the model's own)"),
    INT("seed", "s", seed, -1, 9007199254740992.0, SAMPLE,
        "random seed, default 0; -1: a random one, printed"),
    TEXT("device", "dev", device, EVAL | INFO | VALIDATE | BENCH, "NAME",
         "what computes the experts; see below"),
    CHOICE(
        "on-device-error", NULL, on_device_error, EVAL, "fail|cpu",
        "cpu: when the device fails, the CPU goes on from there with the same bits; default fail"),
    CHOICE("split", NULL, split, EVAL, "layers|slices",
           "several devices: whole layers in turn, or a slice of every expert on each, which "
           "compute at once; default layers. Changes no result"),
    TEXT("resident", NULL, resident, EVAL | INFO | PLAN, "all|none|N",
         "routed experts of each layer that the device holds; the CPU computes the others. Changes "
         "no result"),
    CHOICE("keep", NULL, keep, EVAL, "adaptive|lru|lfu|static",
           "which experts stay where memory does not hold all, default adaptive; static: those "
           "that were there first. Changes no result"),
    CHOICE("dense", NULL, dense, EVAL | INFO | PLAN, "auto|cpu|device",
           "attention matrices and LM head; auto: CPU at decode, device in prefill. Changes no "
           "result"),
    SIZE("host-memory", host_memory, 1LL << 50, EVAL | INFO,
         "memory for model, context and work, 24G for instance; experts that do not fit are read "
         "from disk; default: what is available. Changes no result"),
    CHOICE("format", NULL, format, EVAL | INFO | CONVERT | CACHE | BENCH | PLAN,
           "nf4|int4|mxfp4|q8|fp8",
           "format of the experts, default q8, of a GPTQ checkpoint of 4 bits int4 (bench: all)"),
    CHOICE("format-dense", NULL, format_dense, EVAL | INFO | CONVERT | PLAN,
           "nf4|int4|mxfp4|q8|fp8", "format of attention matrices and LM head, default q8"),
    FLAG("exact", NULL, exact, EVAL, "plain fp32 on the CPU, nothing quantised"),
    CHOICE("cache-type-k", "ctk", cache_type_k, EVAL | INFO, "f32|int8|int4",
           "format of cached keys, default int8"),
    CHOICE("cache-type-v", "ctv", cache_type_v, EVAL | INFO, "f32|int8|int4",
           "format of cached values, default int8"),
    FLAG("kv-on-fabric", NULL, kv_on_fabric, EVAL, "let the device pack K and V at decode too"),
    TEXT("reference", NULL, reference, PERPLEXITY, "DIR",
         "checkpoint of the exact model to compare a converted model with"),
    FLAG("no-reference", NULL, no_reference, PERPLEXITY, "do not compare with the exact model"),
    TEXT("output", "o", output, LOGITS, "FILE", "where the .npy goes"),
    TEXT("profile", NULL, profile, RUN, "FILE",
         "record the run: a trace for ui.perfetto.dev, and a table of every operation"),
    TEXT("record-routes", NULL, record_routes, RUN | PERPLEXITY, "FILE",
         "write which experts each layer chose for each token, as CSV (sluice cache reads it)"),
    FLAG("explain", NULL, explain, RUN,
         "tell where the experts were computed, and why; what was moved and read; what speed was "
         "expected"),
    TEXT("trace", NULL, trace, CACHE, "FILE", "routes that run or perplexity recorded"),
    TEXT("slots", NULL, slots, CACHE, "N[,N...]",
         "slots for the experts of all layers; N%: a share of the trace's experts"),
    CHOICE("policy", NULL, policy, CACHE, "all|lru|lfu|static|adaptive|belady|lookahead",
           "one policy beside Belady's optimum, default all"),
    INT("expert-bytes", NULL, expert_bytes, 1, 1LL << 40, CACHE,
        "bytes of one expert, instead of a model"),
    INT("ahead", NULL, ahead, 0, 1 << 20, CACHE,
        "lookahead: uploads that fit beside the work of one layer, default 1"),
    FLAG("membw", NULL, membw, BENCH, "memory only"),
    TEXT("shape", NULL, shape, BENCH, "KxF", "of experts: d_model x d_ff, default 2048x8192"),
    TEXT("batches", NULL, batches, BENCH, "N[,N...]", "tokens together, default 1,16,64,512"),
    INT("turns", NULL, turns, 1, 999, BENCH,
        "repetitions, of which medians are printed; default 15"),
    FLAG("in-memory", NULL, memory, INFO,
         "what the model takes of this machine's memory, part by part; nothing is loaded"),
    TEXT("cards", NULL, cards, PLAN, "[Nx]CARD[,...]",
         "u50, u55c or u280 (default u55c), with ports= columns= clock= gb= gbps= mem= pcie= "
         "pcie_us= launch_us="),
    TEXT("host", NULL, host, PLAN, "gb=,gbps=,disk=",
         "memory and what the CPU reads of it and of the disk, 1e9 bytes a second; default 64 and "
         "3, gbps measured"),
    TEXT(
        "routing", NULL, routing, EVAL | PLAN, "HOW",
        "capacity:C[,seed=N]: an expert takes at most C times its even share of each 64 tokens of "
        "a text, and what is above goes to others; results then depend on --batch-size, and "
        "prefill is no longer decode. noisy[:D][,seed=N]: scores get noise of deviation D, default "
        "1; not on simulated or real cards. expert-choice:C: each expert takes C times its even "
        "share of each 64 tokens of a text; not for run, not on simulated or real cards. plan: "
        "uniform|zipf:A|hit:H: how often a chosen expert is resident, default uniform"),
    INT("prompt-tokens", NULL, prompt_tokens, 0, 1 << 24, PLAN,
        "length of the prompt in prefill; 0: 512"),
    FLAG("json", NULL, json,
         SAMPLE | CONVERT | INFO | TOKENIZE | PERPLEXITY | DEVICES | VALIDATE | CACHE | BENCH |
             PLAN,
         "print one JSON object instead (chat: one for each turn)"),
    FLAG("verbose", "v", verbose, SAMPLE,
         "tell where the sampling settings come from (chat: and the speed of each answer)"),
    FLAG("no-bos", NULL, no_bos, TEXTS, "do not put the model's first token in front of a text"),
    FLAG("no-special", NULL, no_special, TEXTS | TOKENIZE, "names such as <|eos|> are plain text"),
    FLAG("pieces", NULL, pieces, TOKENIZE, "one token a line: its id and its text"),
    FLAG("no-display-prompt", NULL, no_display_prompt, RUN, "print what is generated only"),
    FLAG("force", NULL, force, CONVERT, "start over although OUT_DIR holds another conversion"),
    FLAG("dry-run", NULL, dry_run, CONVERT,
         "check everything but the weights, print what it would take, and write nothing"),
    FLAG("help", "h", help, ANY, "this list"),
};
const size_t sl_n_option = sizeof sl_option_table / sizeof sl_option_table[0];

enum { MAX_OPTION = 64, FIRST_LONG = 256 };
_Static_assert(sizeof sl_option_table / sizeof sl_option_table[0] <= MAX_OPTION,
               "getopt's table is too small");

const char *sl_verb_name(enum sl_verb verb)
{
    return verbs[verb].name;
}

/* ---- complaints */

static bool refuse(struct sl_complaint *why, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(struct sl_complaint *why, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->what, sizeof why->what, fmt, args);
    va_end(args);
    snprintf(why->hint, sizeof why->hint, "%s", hint);
    return false;
}

static bool is_letter(const struct sl_option *o)
{
    return o->alias && !o->alias[1];
}

/* Levenshtein distance of two short words; a large number when either is long. */
static size_t distance(const char *a, const char *b)
{
    enum { CAP = 32 };
    size_t row[CAP + 1], na = strlen(a), nb = strlen(b);
    if (na > CAP || nb > CAP)
        return CAP;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[nb];
}

static bool refuse_unknown(struct sl_complaint *why, const struct sl_options *o, const char *arg)
{
    char hint[160];
    const char *name = arg + strspn(arg, "-"), *near = NULL;
    size_t len = strcspn(name, "="), best = 3;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), name);
    for (size_t i = 0; i < sl_n_option; i++) {
        size_t d = distance(word, sl_option_table[i].name);
        if (len > 2 && !strncmp(word, sl_option_table[i].name, len))
            d = 1; /* an abbreviation */
        if (d < best && (sl_option_table[i].verbs >> o->verb & 1)) {
            best = d;
            near = sl_option_table[i].name;
        }
    }
    if (near)
        snprintf(hint, sizeof hint, "did you mean --%s?", near);
    else
        snprintf(hint, sizeof hint, "sluice %s --help lists the options", sl_verb_name(o->verb));
    return refuse(why, hint, "%.100s: unknown option", arg);
}

/* ---- values */

static bool parse_int(const struct sl_option *opt, const char *text, int64_t *out,
                      struct sl_complaint *why)
{
    char *end, range[96];
    errno = 0;
    long long v = strtoll(text, &end, 10);
    snprintf(range, sizeof range, "give a whole number from %.0f to %.0f", opt->min, opt->max);
    if (end == text || *end || strspn(text, "0123456789-") != strlen(text))
        return refuse(why, range, "--%s %.100s: not a whole number", opt->name, text);
    if (errno || (double)v < opt->min || (double)v > opt->max)
        return refuse(why, range, "--%s %.100s: out of range", opt->name, text);
    *out = v;
    return true;
}

/* "24G": binary units. */
static bool parse_size(const struct sl_option *opt, const char *text, int64_t *out,
                       struct sl_complaint *why)
{
    static const char units[] = "KMGT";
    const char *hint = "give a number of bytes, or one with K, M, G or T behind it";
    char *end;
    errno = 0;
    double v = (double)strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || strspn(text, "0123456789") != (size_t)(end - text) || (*end && !unit) ||
        (unit && end[1]))
        return refuse(why, hint, "--%s %.100s: not a size", opt->name, text);
    for (const char *u = units; unit && u <= unit; u++)
        v *= 1024;
    if (errno || v < opt->min || v > opt->max)
        return refuse(why, hint, "--%s %.100s: out of range", opt->name, text);
    *out = (int64_t)v;
    return true;
}

static bool parse_real(const struct sl_option *opt, const char *text, double *out,
                       struct sl_complaint *why)
{
    char *end, range[96];
    double v = strtod(text, &end);
    snprintf(range, sizeof range, "give a number from %g to %g", opt->min, opt->max);
    if (end == text || *end || strspn(text, "0123456789.eE+-") != strlen(text))
        return refuse(why, range, "--%s %.100s: not a number", opt->name, text);
    if (!(v >= opt->min && v <= opt->max))
        return refuse(why, range, "--%s %.100s: out of range", opt->name, text);
    *out = v;
    return true;
}

static bool parse_choice(const struct sl_option *opt, const char *text, const char **out,
                         struct sl_complaint *why)
{
    char hint[96];
    size_t n = strlen(text);
    for (const char *item = opt->value; n; item++) {
        size_t len = strcspn(item, "|");
        if (len == n && !strncmp(item, text, n)) {
            *out = text;
            return true;
        }
        item += len;
        if (!*item)
            break;
    }
    snprintf(hint, sizeof hint, "choose one of %s", opt->value);
    return refuse(why, hint, "--%s %.100s: unknown value", opt->name, text);
}

static bool store_value(struct sl_options *o, const struct sl_option *opt, const char *text,
                        struct sl_complaint *why)
{
    void *field = (char *)o + opt->field;
    switch (opt->kind) {
    case SL_OPTION_FLAG: *(bool *)field = true; return true;
    case SL_OPTION_INT: return parse_int(opt, text, field, why);
    case SL_OPTION_SIZE: return parse_size(opt, text, field, why);
    case SL_OPTION_REAL: return parse_real(opt, text, field, why);
    case SL_OPTION_CHOICE: return parse_choice(opt, text, field, why);
    default: break;
    }
    if (!*text && strcmp(opt->name, "prompt") && strcmp(opt->name, "system"))
        return refuse(why, "give a value", "--%s: the value is empty", opt->name);
    *(const char **)field = text;
    return true;
}

/* ---- the walk over argv */

struct walk {
    struct sl_options *o;
    struct sl_complaint *why;
    uint64_t seen; /* bit i: option i was given */
    char letters[2 * MAX_OPTION + 3];
    struct option words[2 * MAX_OPTION + 1];
};

/* getopt's form of the table: a leading '-' keeps the order of arguments, ':' tells a missing value
 * from an unknown option. */
static void build_getopt(struct walk *w)
{
    size_t n_word = 0;
    char *letter = w->letters;
    *letter++ = '-';
    *letter++ = ':';
    for (size_t i = 0; i < sl_n_option; i++) {
        const struct sl_option *opt = &sl_option_table[i];
        int needs = opt->kind == SL_OPTION_FLAG ? no_argument : required_argument;
        w->words[n_word++] = (struct option){opt->name, needs, NULL, FIRST_LONG + (int)i};
        if (is_letter(opt)) {
            *letter++ = opt->alias[0];
            if (needs)
                *letter++ = ':';
        } else if (opt->alias) {
            w->words[n_word++] = (struct option){opt->alias, needs, NULL, FIRST_LONG + (int)i};
        }
    }
    *letter = 0;
    memset(&w->words[n_word], 0, sizeof w->words[0]);
}

static const struct sl_option *by_code(int code)
{
    if (code >= FIRST_LONG)
        return &sl_option_table[code - FIRST_LONG];
    for (size_t i = 0; i < sl_n_option; i++)
        if (is_letter(&sl_option_table[i]) && sl_option_table[i].alias[0] == code)
            return &sl_option_table[i];
    return NULL;
}

/* arg is exactly "--name", "-name" or "-alias" of an option (up to an '='). */
static bool spells(const char *arg, const struct sl_option *opt)
{
    const char *name = arg + 1 + (arg[0] == '-' && arg[1] == '-');
    size_t len = strcspn(name, "=");
    return arg[0] == '-' &&
           ((strlen(opt->name) == len && !strncmp(name, opt->name, len)) ||
            (opt->alias && strlen(opt->alias) == len && !strncmp(name, opt->alias, len)));
}

static const struct sl_option *spelled(const char *arg)
{
    for (size_t i = 0; i < sl_n_option; i++)
        if (spells(arg, &sl_option_table[i]))
            return &sl_option_table[i];
    return NULL;
}

static bool is_option(const char *arg)
{
    return !strchr(arg, '=') && spelled(arg);
}

static bool refuse_missing(struct walk *w, const struct sl_option *opt)
{
    char hint[160];
    snprintf(hint, sizeof hint, "write --%s %s; a value that looks like an option needs --%s=VALUE",
             opt->name, opt->value, opt->name);
    return refuse(w->why, hint, "--%s: the value is missing", opt->name);
}

/* One option that getopt found; arg is the element of argv it started in, next the one behind it.
 */
static bool take_option(struct walk *w, int code, const char *arg, const char *next)
{
    const struct sl_option *opt = by_code(code);
    if (code >= FIRST_LONG &&
        !spells(arg, opt)) /* getopt takes abbreviations; scripts would break later */
        return refuse_unknown(w->why, w->o, arg);
    size_t index = (size_t)(opt - sl_option_table);
    if (!(opt->verbs >> w->o->verb & 1)) {
        char hint[160];
        snprintf(hint, sizeof hint, "sluice %s --help lists the options", sl_verb_name(w->o->verb));
        return refuse(w->why, hint, "--%s: not an option of `%s`", opt->name,
                      sl_verb_name(w->o->verb));
    }
    if (w->seen >> index & 1)
        return refuse(w->why, "give it once", "--%s: given twice", opt->name);
    w->seen |= (uint64_t)1 << index;
    if (opt->kind != SL_OPTION_FLAG && optarg == next && is_option(optarg))
        return refuse_missing(w, opt);
    return store_value(w->o, opt, optarg, w->why);
}

static bool take_arg(struct walk *w, const char *arg)
{
    const struct verb *verb = &verbs[w->o->verb];
    char hint[160];
    snprintf(hint, sizeof hint, "sluice %s %s", verb->name, verb->args);
    if (w->o->n_arg == verb->max_arg)
        return refuse(w->why, hint, "%.100s: unexpected argument", arg);
    w->o->arg[w->o->n_arg++] = arg;
    return true;
}

static bool walk_arguments(struct walk *w, int argc, char **argv)
{
    optind = 0; /* glibc: start over */
    opterr = 0;
    build_getopt(w);
    for (int at = 1;; at = optind) {
        int code = getopt_long_only(argc, argv, w->letters, w->words, NULL);
        const char *next = at + 1 < argc ? argv[at + 1] : NULL;
        if (code == -1)
            break;
        if (code == '?') {
            /* A known flag with "=value" also ends here, and "-x=value" where several names begin
             * with x. */
            const struct sl_option *opt = optopt ? by_code(optopt) : spelled(argv[at]);
            optarg = strchr(argv[at], '=');
            if (opt && opt->kind != SL_OPTION_FLAG && optarg++) {
                if (!take_option(w, FIRST_LONG + (int)(opt - sl_option_table), argv[at], next))
                    return false;
                continue;
            }
            if (opt && spells(argv[at], opt))
                return refuse(w->why, "write it without =", "--%s: takes no value", opt->name);
            return refuse_unknown(w->why, w->o, argv[at]);
        }
        if (code == ':')
            return refuse_missing(w, by_code(optopt));
        if (!(code == 1 ? take_arg(w, optarg) : take_option(w, code, argv[at], next)))
            return false;
    }
    while (optind < argc) /* behind "--" */
        if (!take_arg(w, argv[optind++]))
            return false;
    return true;
}

/* ---- rules between options */

static bool check_required(const struct sl_options *o, struct sl_complaint *why)
{
    const struct verb *verb = &verbs[o->verb];
    char hint[160];
    snprintf(hint, sizeof hint, "sluice %s %s", verb->name, verb->args);
    if (o->n_arg < verb->min_arg)
        return refuse(why, hint, "%s: %zu of %zu arguments given", verb->name, o->n_arg,
                      verb->min_arg);
    bool eval = EVAL >> o->verb & 1, text = TEXTS >> o->verb & 1;
    bool facts = o->verb == SL_VERB_INFO || o->verb == SL_VERB_PLAN;
    if ((eval || o->verb == SL_VERB_TOKENIZE || facts) && !o->model && !(facts && o->n_arg))
        return refuse(why, hint, "%s: no model given", verb->name);
    if (facts && o->model && o->n_arg)
        return refuse(why, hint, "%s: the model is given twice", verb->name);
    int sources = (o->prompt != NULL) + (o->file != NULL) + (o->tokens != NULL);
    if (sources > 1)
        return refuse(why, "give one of --prompt, --file and --tokens", "%s: several texts given",
                      verb->name);
    if (text && !sources)
        return refuse(why, hint, "%s: no text given", verb->name);
    if (o->verb == SL_VERB_CACHE && (!o->trace || !o->slots))
        return refuse(why, hint, "cache: no %s given", o->trace ? "slots" : "trace");
    if (o->verb == SL_VERB_LOGITS && !o->output)
        return refuse(why, hint, "logits: no output file given");
    return true;
}

static bool check_together(const struct sl_options *o, struct sl_complaint *why)
{
    if (o->exact && (o->format || o->format_dense || o->device || o->dense || o->kv_on_fabric))
        return refuse(why, "leave out --exact or the others",
                      "--exact: computes in fp32 on the CPU, without formats and devices");
    if (o->repeat_penalty == 0)
        return refuse(why, "1 is no penalty", "--repeat-penalty 0: must be above 0");
    if (o->verb == SL_VERB_RUN && (o->system || o->chat_template) && !o->chat)
        return refuse(why, "add --chat", "--%s: the text is not a conversation",
                      o->system ? "system" : "chat-template");
    if (o->chat && o->tokens)
        return refuse(why, "give the turn with --prompt or --file",
                      "--chat: token ids are taken as they are");
    if (o->no_reference && o->reference)
        return refuse(why, "leave out one of them", "--no-reference: contradicts --reference");
    if (o->verb == SL_VERB_CACHE && o->model && o->expert_bytes)
        return refuse(why, "leave out one of them", "--expert-bytes: contradicts --model");
    if (o->verb == SL_VERB_CACHE && o->format && !o->model)
        return refuse(why, "add --model DIR", "--format: of which model?");
    if (o->exact && o->reference)
        return refuse(why, "leave out one of them",
                      "--reference: the model is the exact one already");
    return true;
}

static bool find_verb(const char *name, enum sl_verb *out)
{
    for (int v = 0; v < SL_N_VERB; v++)
        if (!strcmp(verbs[v].name, name)) {
            *out = (enum sl_verb)v;
            return true;
        }
    return false;
}

static bool choose_verb(struct sl_options *o, const char *word, struct sl_complaint *why)
{
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-help"))
        o->verb = SL_VERB_HELP;
    else if (!strcmp(word, "--version"))
        o->verb = SL_VERB_VERSION;
    else if (!find_verb(word, &o->verb))
        return refuse(why,
                      word[0] == '-' ? "the verb comes first: sluice run ..."
                                     : "sluice help lists the verbs",
                      "%.100s: not a verb", word);
    return true;
}

bool sl_options_parse(struct sl_options *out, int argc, char **argv, struct sl_complaint *why)
{
    struct walk w = {.o = out, .why = why};
    *out = (struct sl_options){.ahead = 1,
                               .turns = 15,
                               .n_predict = -1,
                               .top_k = -1,
                               .temp = NAN,
                               .top_p = NAN,
                               .repeat_penalty = NAN};
    if (argc < 2)
        return refuse(why, "sluice help lists the verbs", "command line: no verb given");
    if (!choose_verb(out, argv[1], why) || !walk_arguments(&w, argc - 1, argv + 1))
        return false;
    if (out->verb == SL_VERB_HELP && out->n_arg) {
        if (!find_verb(out->arg[0], &out->verb))
            return refuse(why, "sluice help lists the verbs", "help %.100s: not a verb",
                          out->arg[0]);
        out->help = true;
    }
    return out->help || (check_required(out, why) && check_together(out, why));
}

/* ---- help */

static void help_option(FILE *f, const struct sl_option *opt)
{
    char left[96], alias[16] = "";
    if (opt->alias)
        snprintf(alias, sizeof alias, "-%s, ", opt->alias);
    snprintf(left, sizeof left, "%6s--%s%s%s", alias, opt->name, opt->value ? " " : "",
             opt->value ? opt->value : "");
    if (strlen(left) > 30)
        fprintf(f, "  %s\n  %-30s %s\n", left, "", opt->help);
    else
        fprintf(f, "  %-30s %s\n", left, opt->help);
}

static void help_program(FILE *f)
{
    fputs("usage: sluice VERB [OPTIONS]\n\n"
          "Runs Mixture-of-Experts language models on an FPGA and the CPU.\n\nverbs:\n",
          f);
    for (int v = 0; v < SL_N_VERB; v++)
        fprintf(f, "  %-12s %s\n", verbs[v].name, verbs[v].summary);
    fputs("\nsluice VERB --help lists the options of a verb.\n\n"
          "exit codes: 0 done, 1 failure, 2 wrong command line, 3 model or file, 4 device,\n"
          "            5 verification failed, 130 interrupted by Ctrl-C\n"
          "environment: NO_COLOR switches colours off\n",
          f);
}

static void help_devices(FILE *f)
{
    fputs(
        "\ndevices (sluice devices lists those that are there):\n"
        "  csim[:P]                       the core in C, P weight ports: 1 4 16 28\n"
        "  cpu[:avx512|:avx2|:native]     the CPU, by its best instructions or by those\n"
        "  sim[:P[xT]][,OPTION...]        the RTL under Verilator, P weight ports, T token\n"
        "                                 columns; make sim P=.. T=.. builds it\n"
        "    dpi                          group sums in C: faster, the same cycles\n"
        "    mem=hbm|ddr|ideal            timing of memory, default hbm\n"
        "    latency=N                    cycles: of mem=ideal, else of the path to memory\n"
        "    stall=PCT seed=N             memory waits at random, in PCT % of the cycles\n"
        "    timeout=N                    cycles without a beat that end a job, default 1000000\n"
        "    fault=KIND@N[+M][:PORT]      at read beat N: read-error, dead, late (by M cycles);\n"
        "                                 at write N: write-error, write-dead, write-late\n"
        "    wave=FILE[@FROM-TO]          waveform (FST) of these cycles, and FILE.gtkw\n"
        "    reset-seed=N                 registers start with random contents\n"
        "    coverage=FILE                line coverage of the RTL\n"
        "  xrt[:N][,OPTION...]            card N through XRT, or a card emulated with the RTL\n"
        "  opencl[:P.N][,OPTION...]       device N of OpenCL platform P: Xilinx, or another that\n"
        "                                 compiles the core in C\n"
        "    ports=P                      of a compiled core: 1 4 16 28\n"
        "  of both:\n"
        "    xclbin=FILE                  the design, default $SLUICE_XCLBIN, else the one that\n"
        "                                 make xclbin built (emulated)\n"
        "    deadline=MS                  of a launch\n"
        "  of an emulated card:\n"
        "    summary=FILE                 XRT's own profile of the run\n"
        "    stock                        without the helper that shortens XRT's pauses\n"
        "    mem= latency= stall= seed= timeout= fault=\n"
        "                                 of its board, as of sim\n"
        "    hang=N die=N                 the N-th launch never ends, or ends the board\n",
        f);
}

static void help_bench(FILE *f)
{
    fputs(
        "\nWhole experts and plain matrices run as jobs of the CPU device (--device cpu, "
        "cpu:avx512,\n"
        "cpu:avx2 or cpu:native), all threads, with weights from memory: another slab every turn,\n"
        "together a quarter of a GB (but at most 64 slabs: those below 4 MB come from caches).\n"
        "Beside each, in the same turn, a loop reads as many bytes: memory that is shared with\n"
        "other work varies, the ratio does not. With -t 1 time is the thread's own processor "
        "time:\n"
        "others on the machine then count less. Columns:\n"
        "  read GB/s    the better of a plain and a prefetching loop\n"
        "  GB/s, share  weights through the operation; of that loop (the median of the ratios)\n"
        "  G mac/s      multiply-accumulates; of peak: of VNNI between registers, all threads\n"
        "  tokens/s     through one expert or matrix; x one: of the rate with 1 token\n"
        "  L2           rows of a plain matrix by one core from its own cache, the best turn:\n"
        "               weight bytes per cycle, or the share of one core's VNNI peak\n",
        f);
}

void sl_options_help(FILE *f, enum sl_verb verb)
{
    if (verb == SL_VERB_HELP) {
        help_program(f);
        return;
    }
    fprintf(f, "usage: sluice %s%s%s [OPTIONS]\n\n%s\n\noptions:\n", verbs[verb].name,
            *verbs[verb].args ? " " : "", verbs[verb].args, verbs[verb].summary);
    for (size_t i = 0; i < sl_n_option; i++)
        if (sl_option_table[i].verbs >> verb & 1)
            help_option(f, &sl_option_table[i]);
    if (verb == SL_VERB_CHAT)
        sl_chat_help(f);
    if (SAMPLE >> verb & 1)
        sl_chat_help_templates(f);
    if ((EVAL | INFO | DEVICES | VALIDATE) >> verb & 1)
        help_devices(f);
    if (verb == SL_VERB_BENCH)
        help_bench(f);
    fputs("\nexit codes: 0 done, 1 failure, 2 wrong command line, 3 model or file, 4 device,\n"
          "            5 verification failed, 130 interrupted by Ctrl-C\n",
          f);
}
