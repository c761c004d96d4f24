/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sluice's public interface: open a model, evaluate tokens, sample, convert, list devices.
 *
 * Every function that can fail returns 0 or a negative enum sl_err; results go through
 * out-parameters, written only on success. The reason for a failure is one line of text, kept per
 * thread: sl_error_message(). The library never prints and never exits.
 * Objects belong to the caller from a successful open to the matching close; close takes T **,
 * accepts NULL and partly built objects, and nulls the pointer.
 * One object is used by one thread at a time; different objects may be used by different threads.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sl_err {
    SL_OK = 0,
    SL_ERR_NOMEM = -1,
    SL_ERR_IO = -2,           /* the operating system refused: open, read, write, full disk */
    SL_ERR_FORMAT = -3,       /* a file is not what it says it is */
    SL_ERR_SHAPE = -4,        /* a tensor or a parameter does not fit the model */
    SL_ERR_ABI = -5,          /* host and core were built from different contracts */
    SL_ERR_DEVICE = -6,       /* the device answered with an error */
    SL_ERR_TIMEOUT = -7,      /* the device did not answer before the deadline */
    SL_ERR_RANGE = -8,        /* a number is not finite or not representable */
    SL_ERR_USAGE = -9,        /* the caller asked for something that does not exist */
    SL_ERR_UNSUPPORTED = -10, /* a known thing that this build or model cannot do */
    SL_ERR_INTERRUPTED = -11  /* the progress callback asked to stop */
};

/* The thread's last failure as one line, "what: why", without a newline. Never NULL. */
const char *sl_error_message(void);
/* What the user could do about it, or "" when nothing is known. Never NULL. */
const char *sl_error_hint(void);
/* Upper-case name of a code without the SL_ERR_ prefix ("FORMAT"). */
const char *sl_err_name(int err);

/* Called now and then by long work; done <= total, `what` names the current item. Return true to go
 * on, false to stop the work with SL_ERR_INTERRUPTED. */
typedef bool (*sl_progress_fn)(void *user, const char *what, uint64_t done, uint64_t total);

struct sl_profile; /* see the end of this file */

/* ---- model ---------------------------------------------------------------------------------- */

struct sl_model;

struct sl_model_params {
    const char *path;   /* checkpoint directory (safetensors, torch.save) or converted store */
    bool exact;         /* plain fp32 on the CPU; needs a checkpoint, not a store */
    const char *format; /* experts: "nf4" "int4" "mxfp4" "q8" "fp8"; NULL: "q8", of a GPTQ
                           checkpoint of 4 bits "int4". A store has its own: NULL or the same */
    const char
        *format_dense; /* Q/K/V/O and LM head; NULL: "q8". A store has its own: NULL or the same */
    /* "csim" ...; NULL: the default device. Several, "xrt:0+xrt:1", have layers in turn. Ignored
     * when exact */
    const char *device;
    /* Of several devices: "layers" (NULL): each has whole layers in turn; "slices": each has one of
     * every expert, and all compute at once. No bit depends on it */
    const char *split;
    /* When a device fails: the CPU computes what it would have, from the launch that failed on.
     * False: an error. No bit depends on it */
    bool cpu_takes_over;
    /* Routed experts that the device holds: "all" (NULL), "none", or how many of each layer; the
     * CPU computes the others. No bit depends on it */
    const char *resident;
    /* Which experts stay where memory does not hold all: "adaptive" (NULL), "lru", "lfu", or
     * "static": what was there first. No bit depends on it */
    const char *keep;
    /* Where Q/K/V/O and LM head are computed: "cpu", "device", or "auto" (NULL): one token at a
     * time on the CPU, several on the device. No bit depends on it; with "cpu" the device does not
     * hold them. Ignored when exact */
    const char *dense;
    /* Which experts a token gets: NULL: as the model was made; "capacity:C[,seed=N]": each takes at
     * most ceil(C k T / E) of T tokens that are evaluated together (at most 64), the rest goes to
     * others that are drawn. Results then depend on how tokens are evaluated together.
     * "noisy[:D][,seed=N]": scores get noise of standard deviation D (1), weights are softmax over
     * the chosen; devices whose router has no noise: SL_ERR_UNSUPPORTED. "expert-choice:C": each
     * expert takes the ceil(C k T / E) tokens with the largest softmax share, of T that are
     * evaluated together (at most 64); one token alone, devices whose router cannot, and a C with
     * more than 256 (k + 1) - 64 results of all experts on a device: SL_ERR_UNSUPPORTED */
    const char *routing;
    /* Bytes of this machine's memory for the model, its KV cache and its work; 0: what is
     * available. A converted model that does not fit keeps as many routed experts in it as do, and
     * reads the others from disk when they are wanted (struct sl_memory). No bit depends on it */
    uint64_t host_memory;
    uint32_t n_ctx;             /* context that memory is set aside for; 0: a session's default */
    unsigned n_threads;         /* 0: one per online CPU */
    struct sl_profile *profile; /* records this model's work; borrowed until close. NULL: nothing */
    sl_progress_fn progress;    /* may be NULL */
    void *progress_user;
};

int sl_model_open(struct sl_model **out, const struct sl_model_params *params);
void sl_model_close(struct sl_model **model);

/* Facts for `info` and for the session's caller. Strings live as long as the model. */
struct sl_model_info {
    const char *architecture;                   /* "hunyuan-large" "mixtral" "llama" ... */
    const char *format, *format_dense, *device; /* "exact" paths: "-" */
    uint32_t n_layer, d_model, n_head, n_kv_head, head_dim, d_ff, n_expert, n_expert_used;
    /* A dense model has no experts: d_ff is its MLP's. */
    uint32_t n_shared_expert, n_vocab, n_ctx_train, cla_factor;
    uint64_t n_param, n_param_active;
    uint64_t weight_bytes; /* as stored */
    /* KV cache, bytes for one token over all layers; LFA state is per sequence. */
    uint64_t kv_bytes_mha_bf16, kv_bytes_bf16, kv_bytes_int8, kv_bytes_int4, lfa_state_bytes;
};
void sl_model_get_info(const struct sl_model *model, struct sl_model_info *out);
/* The same from a config alone: no weights are opened (for `info` on a model one cannot hold). */
int sl_config_info(const char *path, struct sl_model_info *out);

/* Where a model's bytes go in this machine's memory, before anything is loaded. */
struct sl_memory_part {
    const char *name; /* static: "dense matrices" "routed experts" ... */
    uint64_t bytes;
};
enum { SL_MEMORY_MAX_PART = 8 };
struct sl_memory {
    struct sl_memory_part part[SL_MEMORY_MAX_PART];
    size_t n_part;
    uint64_t total, limit; /* limit: that of the parameters, or what is available; 0: not known */
    const char *limit_by;  /* static: "the machine" "the control group" "the limit given" */
    /* Routed experts: how many there are, how many of them memory holds at a time, and of how many
     * bytes. streamed: the others are read from disk */
    uint32_t n_expert, n_expert_held;
    uint64_t expert_bytes;
    bool streamed;
};
/* SL_ERR_NOMEM names the largest parts of a model that does not fit; sl_model_open refuses it with
 * the same words. Exact models are not planned: SL_ERR_UNSUPPORTED. */
int sl_memory_plan(struct sl_memory *out, const struct sl_model_params *params);
/* Of an open model; an exact one has no parts. */
void sl_model_get_memory(const struct sl_model *model, struct sl_memory *out);
/* Largest resident size of this process so far, in bytes; 0: not known. */
uint64_t sl_memory_peak(void);

/* ---- session: one sequence with its KV cache ------------------------------------------------ */

struct sl_session;

/* Tokens of a prefill chunk unless told otherwise, and the most of one pass through experts: each
 * is read once for all of them, from disk and over the link, which is what prefill waits for where
 * memory does not hold it. */
enum { SL_BATCH_TOKENS = 512 };

struct sl_session_params {
    uint32_t n_ctx;           /* 0: the model's own, at most 4096 */
    uint32_t n_batch;         /* prefill chunk in tokens; 0: the above. No bit depends on it but
                                 with a routing that has a capacity: at most 64 then, 0: 64 */
    const char *cache_type_k; /* "f32" "int8" "int4"; NULL: "int8", exact models: "f32" */
    const char *cache_type_v;
    bool kv_on_fabric; /* pack K and V on the device at decode too */
};

int sl_session_open(struct sl_session **out, struct sl_model *model,
                    const struct sl_session_params *params);
void sl_session_close(struct sl_session **session);
void sl_session_reset(struct sl_session *session); /* back to position 0 */

/* Appends ids[n] to the sequence. `logits` receives float[n_vocab] of the last token, or, with
 * all_logits, float[n][n_vocab]; NULL: none. SL_ERR_RANGE when n_ctx would be exceeded (nothing is
 * appended). */
int sl_session_eval(struct sl_session *session, const int32_t *ids, size_t n, bool all_logits,
                    float *logits);
/* Called from now on behind each layer of an evaluation of several tokens, in the caller's thread;
 * done and total count layers. False: the evaluation ends with SL_ERR_INTERRUPTED and appends
 * nothing. NULL: nobody is called. */
void sl_session_set_progress(struct sl_session *session, sl_progress_fn fn, void *user);

struct sl_op_stat {
    const char *op;   /* "router" "expert_ffn" "linear" "kv_pack" "attention" ... */
    const char *impl; /* what ran it: "csim" "cpu" "exact" */
    uint64_t calls;
};
/* Time without a board, of a device that keeps a clock of its own (accel/link.h): modelled seconds,
 * no measurement. total_s is core + launch + link + cpu. */
struct sl_virtual_time {
    double total_s;
    double core_s;       /* cycles of the core by its nominal clock */
    double launch_s;     /* what a runtime takes for a launch beside them */
    double link_s;       /* the host waited for the link */
    double cpu_s;        /* the host's own work, as far as it is counted */
    double up_s, down_s; /* the link was busy: towards the card, from it */
    double beside_s;     /* of up_s: transfers that nobody waited for from the start */
    double hidden_s;     /* ... and of them what passed while launches ran */
    uint64_t up_bytes, down_bytes, launches;
    bool known; /* false: the device has no such clock, and all is 0 */
};

/* Since the model was opened. Strings live as long as the model. */
struct sl_device_use {
    const char *name;
    const char *failure; /* why the CPU took over its work; "": it did not */
    uint64_t launches;
    struct sl_virtual_time time;
};
/* Guesses of the next layer's experts (sets of a pass), as far as experts are read from disk. */
struct sl_prediction {
    uint64_t guesses, right, chosen; /* experts that were guessed, of them right; and wanted */
    uint64_t switched;               /* how often its use began or ended */
    bool on;                         /* guesses are read ahead */
};
/* What became of the demands for routed experts. */
struct sl_placement {
    /* Tokens through one expert each. on_cpu: where a card could have computed them, had it held
     * the expert. */
    uint64_t on_card, on_cpu, streamed;
    /* Slots of cards, and what moved into them. */
    uint64_t n_slot, promoted, promoted_bytes;
    uint64_t passed_by, put_off, upload_failed; /* not thought worth it; no room; failed */
    /* Experts read from disk; no slots: memory holds them all. */
    uint64_t memory_slot, memory_slot_bytes, demands, hits, bytes_read;
    uint64_t prefetches, prefetch_hits, prefetch_wasted;
    double wait_s; /* for the disk */
    struct sl_prediction decode, prefill;
};
struct sl_session_stats {
    uint64_t n_tokens, n_launches, n_retries; /* retries: jobs repeated with a lower u_h */
    uint64_t n_decode_tokens, n_decode_launches;
    struct sl_op_stat op[12];
    size_t n_op;
    struct sl_device_use device[8]; /* none for an exact model */
    size_t n_device;
    struct sl_placement placement; /* since the model was opened */
};
void sl_session_get_stats(const struct sl_session *session, struct sl_session_stats *out);

/* ---- tokenizer ------------------------------------------------------------------------------ */

struct sl_tokenizer;

/* Of a model's directory the first of these files that is there:
 *   hy.tiktoken (or the only *.tiktoken)  the Hunyuan family's ranks; config.json is needed
 *   tokenizer.json                        BPE of Hugging Face's tokenizers library
 *   tokenizer.model                       BPE of sentencepiece
 * but Yuan's tokenizer.model goes before a tokenizer.json. tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json and generation_config.json are read where they are.
 * SL_ERR_UNSUPPORTED names what in a file would change ids and is not implemented. */
int sl_tokenizer_open(struct sl_tokenizer **out, const char *model_dir);
void sl_tokenizer_close(struct sl_tokenizer **tok);
/* ids are malloc()ed, the caller frees. parse_special: text such as <|eos|> becomes its id. Of text
 * that is not UTF-8 each stray byte is kept, as a token of its own; vocabularies that are no byte
 * vocabularies (tokenizer.model, tokenizer.json with U+2581 for blanks) read it as U+FFFD. */
int sl_tokenizer_encode(const struct sl_tokenizer *tok, const char *text, size_t len,
                        bool parse_special, int32_t **ids, size_t *n);
/* Bytes of one token; special tokens give their name. NULL for an id that has none. */
const char *sl_tokenizer_piece(const struct sl_tokenizer *tok, int32_t id, size_t *len);
/* The bytes by which a token continues a text: those of its piece, but none for special tokens and
 * ids without a piece, and without the blank that encoding put in front of the first word. *start:
 * true at the start of a text, false when it continues another; kept up to date from token to
 * token. Never NULL. */
const char *sl_tokenizer_text(const struct sl_tokenizer *tok, int32_t id, bool *start, size_t *len);
bool sl_tokenizer_is_special(const struct sl_tokenizer *tok, int32_t id);
/* Id that starts a text, or -1 where the family has none. */
int32_t sl_tokenizer_bos(const struct sl_tokenizer *tok);
/* True for the ids that end a generation (generation_config.json, else the family's own). */
bool sl_tokenizer_is_eog(const struct sl_tokenizer *tok, int32_t id);
size_t sl_tokenizer_size(const struct sl_tokenizer *tok);

/* ---- chat ----------------------------------------------------------------------------------- */

/* The fixed form of a family's conversations (engine/chat_templates.c says which and from where),
 * with the ids of one vocabulary. Special tokens come from the template alone: text never becomes
 * one. */
struct sl_chat;

/* Borrows the tokenizer. name: NULL: the first template whose special tokens the vocabulary has, of
 * those for this architecture (as sl_model_info). SL_ERR_UNSUPPORTED: there is none, or the named
 * one's tokens are missing; SL_ERR_USAGE: no template has the name. */
int sl_chat_open(struct sl_chat **out, const struct sl_tokenizer *tok, const char *architecture,
                 const char *name);
void sl_chat_close(struct sl_chat **chat);
const char *sl_chat_name(const struct sl_chat *chat); /* static */
/* The templates' names; NULL behind the last. */
const char *sl_chat_template_name(size_t index);
/* True for the token that closes an answer; beside those of sl_tokenizer_is_eog. */
bool sl_chat_is_end(const struct sl_chat *chat, int32_t id);

enum sl_chat_role { SL_CHAT_SYSTEM, SL_CHAT_USER, SL_CHAT_ASSISTANT };
struct sl_chat_message {
    enum sl_chat_role role;
    const char *text;
    size_t len;
    /* Of an answer: the ids as they were generated, without the one that ended it; NULL: the text
     * is made ids. Templates that tell past answers as text ignore them. */
    const int32_t *ids;
    size_t n_ids;
};
/* Ids of a conversation up to where the next answer begins: at most one system message, the first,
 * then turns of user and assistant, the last of them the user's (SL_ERR_USAGE otherwise). ids are
 * malloc()ed, the caller frees. SL_ERR_UNSUPPORTED: the template has no system message. */
int sl_chat_encode(const struct sl_chat *chat, const struct sl_chat_message *messages, size_t n,
                   int32_t **ids, size_t *n_ids);

/* ---- sampler -------------------------------------------------------------------------------- */

/* How a model wants to be sampled, and which ids end its texts. */
struct sl_generation {
    float temp; /* 0: greedy */
    uint32_t top_k;
    float top_p, repeat_penalty; /* these as in sl_sampler_params */
    const char *from[4]; /* of the four, in this order: where the value comes from; static */
    int32_t stop[16];    /* eos_token_id of the file; none: the tokenizer's own */
    size_t n_stop;
    bool found; /* the directory has the file */
};
/* generation_config.json of the directory; without one what the family's release has; where that
 * says nothing: greedy, nothing cut. SL_ERR_FORMAT names the key that is wrong. */
int sl_generation_load(struct sl_generation *out, const char *model_dir);

struct sl_sampler;

struct sl_sampler_params {
    float temp;           /* <= 0: greedy */
    uint32_t top_k;       /* 0: all */
    float top_p;          /* >= 1: all */
    float repeat_penalty; /* 1: none */
    uint64_t seed;
    struct sl_profile *profile; /* records sampling; borrowed. May be NULL */
};
int sl_sampler_open(struct sl_sampler **out, const struct sl_sampler_params *params,
                    size_t n_vocab);
void sl_sampler_close(struct sl_sampler **sampler);
void sl_sampler_accept(struct sl_sampler *sampler,
                       int32_t id); /* prompt and output, for the penalty */
/* Nothing was accepted; the random numbers go on where they are. */
void sl_sampler_forget(struct sl_sampler *sampler);
/* logits[n_vocab] are read only. Never fails: a NaN logit is never chosen while another exists. */
int32_t sl_sampler_sample(struct sl_sampler *sampler, const float *logits);

/* ---- conversion ----------------------------------------------------------------------------- */

struct sl_convert_params {
    const char *in_dir, *out_dir;
    const char *format, *format_dense; /* as in sl_model_params */
    bool force;                        /* start over although out_dir holds another conversion */
    unsigned n_threads;
    sl_progress_fn progress;
    void *progress_user;
};
struct sl_convert_report {
    uint64_t bytes_in, bytes_out, n_group, n_group_raised; /* groups too small for the window */
    uint32_t n_layer_resumed; /* layers found complete from an earlier run */
};
int sl_convert(const struct sl_convert_params *params, struct sl_convert_report *out);

/* What a conversion will take, before it begins. */
struct sl_convert_estimate {
    uint32_t n_file, n_tensor;    /* of the checkpoint */
    uint64_t bytes_in, bytes_out; /* its tensors; the result's files */
    uint64_t bytes_todo; /* of bytes_out what an earlier run has not finished, and small files */
    uint64_t bytes_free; /* for it, where out_dir lies; with what will be overwritten there */
    bool fits;           /* bytes_todo <= bytes_free */
    /* Measured on samples of this model, by n_threads: reading, bytes/s; packing experts and dense
     * matrices, weights/s. seconds: what follows for bytes_todo, where writing hides behind them */
    double read_rate, expert_rate, dense_rate, seconds;
    double open_s; /* to open the checkpoint and to look up every tensor */
};
/* Checks what sl_convert would: directories, shards, every tensor's presence, shape and type, and
 * what out_dir holds, with the same failures; but it reads samples of the weights only, writes
 * nothing, and says in `fits` when space is short. Leaves params->progress alone. */
int sl_convert_estimate(const struct sl_convert_params *params, struct sl_convert_estimate *out);

/* Bytes of a config's converted model in one format. */
struct sl_format_size {
    const char *format;      /* static */
    uint64_t experts, dense; /* routed and shared; attention matrices and LM head */
};
struct sl_convert_sizes {
    struct sl_format_size format[8];
    size_t n_format;
    uint64_t routers, kept; /* in every format; kept: embedding, norms, biases, in bf16 */
};
/* From a config alone: nothing else is opened. SL_ERR_UNSUPPORTED: it cannot be quantised.
 * SL_ERR_USAGE: it is converted already. */
int sl_convert_sizes(const char *path, struct sl_convert_sizes *out);

/* ---- devices -------------------------------------------------------------------------------- */

struct sl_device_desc {
    char name[256]; /* what --device takes */
    char detail[192];
    bool usable;
};
/* Fills at most cap entries, returns how many exist. */
size_t sl_devices(struct sl_device_desc *out, size_t cap);

/* Tests of one device, in this order; each is reported as it ends. */
enum sl_validate_result { SL_VALIDATE_PASSED, SL_VALIDATE_FAILED, SL_VALIDATE_SKIPPED };
enum { SL_VALIDATE_MAX_ROW = 8, SL_VALIDATE_MAX_COLUMN = 5, SL_VALIDATE_N_TEST = 9 };

struct sl_validate_row {
    char name[24];
    double value[SL_VALIDATE_MAX_COLUMN]; /* NaN: the device does not tell */
};
struct sl_validate_test {
    unsigned number;  /* 1 .. SL_VALIDATE_N_TEST */
    const char *name; /* static */
    enum sl_validate_result result;
    double seconds;   /* wall time of the test */
    char detail[400]; /* what was seen; or why it failed or was skipped */
    /* Measurements, a table; none: n_row is 0. Names hold the unit and say what clock it is. */
    const char *row_title, *column[SL_VALIDATE_MAX_COLUMN]; /* static */
    unsigned n_row, n_column;
    struct sl_validate_row row[SL_VALIDATE_MAX_ROW];
};
struct sl_validate_params {
    const char *device; /* one, as in sl_model_params */
    void (*report)(void *user, const struct sl_validate_test *test);
    void *user;
    sl_progress_fn progress; /* may be NULL */
    void *progress_user;
};
/* 0 when every test was reported, however it ended. A device that cannot be opened: its error, and
 * test 1 has failed, the others were skipped. SL_ERR_INTERRUPTED: the rest was not reported. */
int sl_validate(const struct sl_validate_params *params);

/* How fast the CPU is at the fabric's work, beside what the machine gives in the same moment. */
struct sl_bench_machine {
    unsigned n_thread;
    double clock;                    /* Hz of one core; 0: not known */
    double peak;                     /* VNNI multiply-accumulates per second of one core; 0: none */
    double read_one[2], read_all[2]; /* bytes per second from memory, of one thread and of all: a
                                        plain loop, a prefetching one; medians */
};
/* One operation in one format with so many tokens. Whole operations of the device from memory, all
 * threads: medians over the turns, ratios of what was measured in the same turn. NaN: not measured.
 */
struct sl_bench_row {
    const char *op, *format; /* "expert" (d_model, d_ff), "plain" (d_ff rows of d_model) */
    const char *impl;        /* the device's name */
    uint32_t d_model, d_ff, n_tok;
    double read, rate, share; /* bytes per second: the better read loop, the operation; ratio */
    double macs, of_peak;     /* per second; ratio to all threads' VNNI peak */
    double tokens;            /* per second */
    /* Rows of a plain matrix from one core's L2, the best of all turns. */
    double l2_rate, l2_per_cycle; /* weight bytes per second and cycle */
    double l2_macs, l2_of_peak;
};
/* One launch of one job that is not weights, data in caches: the median of 301. */
struct sl_bench_op {
    const char *what;
    uint32_t n_tok;
    double seconds;
};
enum { SL_BENCH_MAX_BATCH = 8, SL_BENCH_MAX_TOKENS = 4096 };
struct sl_bench_params {
    const char *device;                 /* "cpu", "cpu:avx2" ..; NULL: "cpu" */
    const char *format;                 /* NULL: all */
    uint32_t d_model, d_ff;             /* multiples of 32, at most 32,768 */
    uint32_t n_tok[SL_BENCH_MAX_BATCH]; /* 1 .. SL_BENCH_MAX_TOKENS; n_batch of them */
    unsigned n_batch, turns, n_thread;  /* n_thread 0: one per processor */
    bool machine_only;
    void (*machine)(void *user, const struct sl_bench_machine *m);
    void (*row)(void *user, const struct sl_bench_row *row);
    void (*op)(void *user, const struct sl_bench_op *op);
    void *user;
    sl_progress_fn progress; /* may be NULL */
    void *progress_user;
};
/* Takes at most 64 slabs of about a quarter of a GB together, at least four. SL_ERR_USAGE for a
 * device that is not the CPU, SL_ERR_SHAPE and SL_ERR_RANGE for the numbers above. */
int sl_bench(const struct sl_bench_params *params);

/* ---- routes and residency ------------------------------------------------------------------- */

/* Which experts were chosen, as CSV: "token,layer,expert", a line for each. Tokens are counted from
 * 0 over everything that is recorded; the order does not depend on how they were cut into chunks.
 */
struct sl_route_log;

/* A path that cannot be written is refused at once: SL_ERR_IO. */
int sl_route_log_open(struct sl_route_log **out, const char *path);
/* Records this session from now on, and no other. The log is closed behind the session. */
int sl_session_log_routes(struct sl_session *session, struct sl_route_log *log);
/* Gives what was recorded, which is whole tokens, its name; until then nothing bears it. SL_ERR_IO.
 */
int sl_route_log_write(struct sl_route_log *log, uint64_t *n_token);
void sl_route_log_close(struct sl_route_log **log);

/* Such a file, read. SL_ERR_FORMAT names the line that is none. */
struct sl_routes;
int sl_routes_open(struct sl_routes **out, const char *path, sl_progress_fn progress,
                   void *progress_user);
void sl_routes_close(struct sl_routes **routes);

struct sl_routes_info {
    uint64_t n_access, n_token; /* lines; tokens */
    uint32_t n_layer, n_expert; /* largest numbers + 1 */
    uint32_t n_key;             /* different experts of all layers */
};
void sl_routes_get_info(const struct sl_routes *routes, struct sl_routes_info *out);

/* Policies of one pool of slots for the experts of all layers: "lru" "lfu" "static" "adaptive",
 * and with knowledge of the future "belady", the optimum without prefetch, and "lookahead", which
 * begins uploads one layer early. NULL behind the last. */
const char *sl_residency_policy(size_t index);

struct sl_residency_params {
    const char *policy;
    uint64_t n_slot;         /* at least 1 */
    uint32_t n_ahead;        /* "lookahead": uploads that fit beside the work of one layer */
    const char *what;        /* for progress */
    sl_progress_fn progress; /* may be NULL */
    void *progress_user;
};
struct sl_residency {
    uint64_t n_access, n_hit, n_miss;
    uint64_t n_load;   /* uploads; a miss without one is computed where the weights are */
    uint64_t n_hidden; /* uploads begun a layer early */
};
int sl_routes_replay(const struct sl_routes *routes, const struct sl_residency_params *params,
                     struct sl_residency *out);

/* Bytes of one expert of a config or a checkpoint in `format` (NULL: "q8"), or of a converted store
 * in its own (NULL or the same). */
int sl_expert_bytes(const char *path, const char *format, uint64_t *out);

/* ---- plan ----------------------------------------------------------------------------------- */

/* What a model would do on cards that need not exist: modelled by the transaction model of the core
 * and the link's published figures (--device model), never measured; only the CPU's read rate may
 * be. */
struct sl_plan_params {
    const char *path;                  /* a config.json, its directory, or a converted store */
    const char *format, *format_dense; /* NULL: "q8"; a store has its own */
    const char *cards;    /* "u55c" "2xu50,ports=16": sched/plan_parse.h; NULL: "u55c" */
    const char *host;     /* "gb=64,gbps=40,disk=3" likewise; NULL: gb=64, disk=3, gbps measured */
    const char *resident; /* routed experts of a layer on the cards: as for sl_model_params, or
                             NULL: as many as fit */
    const char *dense;    /* as for sl_model_params */
    const char *routing; /* "uniform" (NULL), "zipf:A", or "hit:H": H of the choices are resident */
    uint32_t n_ctx;      /* positions that a decoded token attends to; 0: 1024 */
    uint32_t n_prompt;   /* tokens of the prompt; 0: 512 */
};

/* Seconds of one decoded token, or of the prompt. The parts add up: of what the CPU and the link do
 * beside launches only what is waited for is in them. */
struct sl_plan_time {
    double total_s, tokens_per_s;
    double core_s, launch_s, link_s;        /* as in sl_virtual_time */
    /* The CPU reads experts, dense weights, the KV cache and, of Yuan, the localized filter. */
    double experts_s, dense_s, attention_s;
    double beside_s; /* in no sum: the CPU computed experts while the card did not wait */
    double disk_s;   /* of what does not fit the host's memory */
    double weight_bytes, link_bytes; /* read by the core; over the link, both ways */
    const char *bound; /* "hbm" "array" "pcie" "launch" "cpu" "disk": the largest part */
};

/* Bytes of a kind of weights and where they are; what the CPU reads is in its memory too. */
struct sl_plan_place {
    const char *what; /* "router" "dense" "shared experts" "routed experts" */
    double card, host, disk;
};

struct sl_plan {
    char card[64]; /* what was understood */
    unsigned n_card, n_port, n_column;
    double card_gb, card_gbps, clock_hz; /* of one card, what its ports reach */
    double pcie_gbps, pcie_us, launch_us;
    double host_gb, cpu_gbps, disk_gbps;
    bool cpu_measured;             /* cpu_gbps: by a loop that reads memory, in this process */
    const char *dense;             /* where dense matrices are: "auto" "cpu" "device" */
    uint32_t n_expert, n_resident; /* of a layer */
    double hit;                    /* share of choices that are resident */
    char routing[48];              /* the assumption behind it */
    struct sl_plan_place place[4];
    double kv_bytes; /* of n_ctx positions, in the host's memory */
    uint32_t n_ctx, n_prompt;
    struct sl_plan_time decode, prefill;
};

/* SL_ERR_NOMEM: router and shared experts do not fit the cards. SL_ERR_USAGE: a text is refused. */
int sl_plan(const struct sl_plan_params *params, struct sl_plan *out);

/* What a run of a model should take, to be held beside what it took. */
struct sl_expect_params {
    const struct sl_model_params *model; /* as it was opened */
    uint32_t n_prompt, n_ctx;            /* tokens of the prompt; positions at decode, a mean */
    double prefill_hit, decode_hit;      /* share of the choices whose experts the device held */
};
struct sl_expected {
    /* Static: "memory": bytes that the CPU reads, by the rate of its memory, and in prefill its
     * products, by the rate of these; "plan": sl_plan of the modelled or simulated device, whose
     * clock does not know attention. NULL: nothing can be said of such a device, and the rest is
     * 0. */
    const char *by;
    double prefill_tokens_per_s, decode_tokens_per_s;
    double cpu_gbps;  /* 1e9 bytes a second; 0: the host's work is not counted */
    double cpu_gmacs; /* "memory": 1e9 multiply-accumulates a second, of the experts' format */
    bool cpu_measured;
};
/* The disk is left out: what experts wait for is told by struct sl_placement. Takes some tenths of
 * a second where the memory's rate is measured. SL_ERR_*: of the model's files. */
int sl_expect(const struct sl_expect_params *params, struct sl_expected *out);

/* ---- profile -------------------------------------------------------------------------------- */

struct sl_profile_params {
    const char *path;  /* Chrome trace (JSON) that sl_profile_write makes; NULL: none */
    size_t max_events; /* spans, launches and jobs that are kept for the trace, of each; 0: 262144.
                          Sums always cover everything */
};

/* A recorder for one model and its sessions. A path that cannot be written is refused at once:
 * SL_ERR_IO. */
int sl_profile_open(struct sl_profile **out, const struct sl_profile_params *params);
/* Writes the trace and gives it its name; until then nothing bears it. SL_ERR_IO. */
int sl_profile_write(struct sl_profile *profile);
/* Behind the model and the sampler that it records. */
void sl_profile_close(struct sl_profile **profile);

/* The device, and what its launches took altogether. */
struct sl_profile_device {
    char name[256];  /* "": no launch was recorded */
    char memory[32]; /* timing model of its memory, "" where there is none */
    unsigned n_port, n_column;
    double clock_hz; /* nominal, of its cycles; 0: it reports none */
    double ceiling;  /* bytes a cycle that linear reads get at most, all ports; 0: unknown */
    uint64_t launches, cycles, job_cycles;    /* cycles of launches; of the jobs inside them */
    double launch_s;                          /* wall time that the host waited for them */
    uint64_t dropped_launches, dropped_spans; /* missing in the trace, not in the sums */
};
void sl_profile_get_device(const struct sl_profile *profile, struct sl_profile_device *out);

/* An operation of the core. Shares are of the time in `cycles`; NaN where nothing is known. */
struct sl_profile_op {
    const char *op, *format; /* "EXPERT" "nf4"; format is "" where the operation has none */
    const char *phase;       /* "prefill" "decode" */
    uint64_t jobs, launches, cycles, macs, bytes; /* bytes: of weights */
    uint64_t stall_read, stall_ctl, stall_core, saturations, clamps;
    double memory_share; /* bytes, of the memory's ceiling */
    double slot_share;   /* macs, of what the array could have multiplied */
    const char *bound;   /* "memory" "array" "control port" "latency"; "-" without cycles */
};
/* Fill at most cap entries, return how many exist. */
size_t sl_profile_get_ops(const struct sl_profile *profile, struct sl_profile_op *out, size_t cap);

/* Work of the host, in wall time. */
struct sl_profile_work {
    const char *name;
    uint64_t calls;
    double total_s, self_s; /* self: without what is recorded inside of it */
    bool setup;             /* done once, before anything is evaluated */
};
size_t sl_profile_get_work(const struct sl_profile *profile, struct sl_profile_work *out,
                           size_t cap);

#endif
