/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkfab: every operation x implementation x format x shape class beside the reference of
 * tests/ref. A case is made from its operation, format, class and seed alone, so that one command
 * repeats it.
 */
#ifndef SL_FAB_H
#define SL_FAB_H

#include "core_scene.h"

/* ---- implementations ------------------------------------------------------------------------- */

/* A kind of implementation: what its name begins with, and what it can be asked. */
struct fab_family {
    const char *prefix; /* name, or name:arguments or name,arguments */
    const char *make;   /* builds it */
    unsigned ops;       /* bit i: SL_OP i */
    unsigned no_flags;  /* flags that its jobs are not given */
    uint64_t max_cost; /* modelled cycles (fab_cost) of one case at most, unless a class is named */
    bool timed;        /* reports cycles */
    /* 0 or a negative enum sl_err. */
    int (*open)(struct sl_device **out, const char *name);
};

/* The units of hls/ as an HLS tool made them: fab_hlsrtl.c. */
int fab_hlsrtl_open(struct sl_device **out, const char *name);
/* Whether it can be asked to run the job, which loses the flags that it may not have. */
bool fab_takes(const struct fab_family *family, struct sl_job *job);
/* NULL: no such family. */
const struct fab_family *fab_family_of(const char *name);
/* What a plain run tests, ends with NULL. */
extern const char *const fab_standard[];
/* Next name of a list "csim,csim:4,sim:1x4,dpi": a word that is no family's continues the name
 * before it. Returns the rest, or NULL behind the last one. */
const char *fab_next_name(const char *list, char *out, size_t cap);

/* ---- cases ----------------------------------------------------------------------------------- */

enum fab_result {
    FAB_OK,
    FAB_WRONG,
    FAB_SKIP /* more than the implementation is asked to do, or an operation that it has not */
};

enum fab_data { FAB_RANDOM, FAB_WORST, FAB_DEGENERATE, N_FAB_DATA };

/* The implementation under test and what was done to it. */
struct fab {
    const char *name; /* as given */
    const struct fab_family *family;
    struct core_rig *rig; /* `own`, or the scene's */
    struct core_rig own;
    struct core_scene scene;
    unsigned n_column; /* T */
    bool unlimited;    /* max_cost does not count */
    bool verbose;
    uint64_t n_case, n_skip, n_row, n_sum, cycles; /* of the line that is being tested */
    const char *why; /* of a case that is wrong though the arenas are equal, or NULL */
};

struct fab_case {
    int format;     /* of the operation */
    unsigned shape; /* of the set's table */
    enum fab_data data;
    unsigned round; /* how often the table was walked */
    uint64_t seed;
};

/* One operation in one class of shapes. */
struct fab_set {
    const char *op, *shape;
    unsigned n_shape;
    bool every_data;               /* once for each enum fab_data; else random */
    uint32_t ctl_beats, w_beats_1; /* arenas; the weights' with one port */
    enum fab_result (*run)(struct fab *f, const struct fab_case *c);
    bool scene; /* in the arenas of core_scene */
};

/* Weights and activations of a case. */
struct fab_input {
    enum gen w, x;
    int base_max;
};
struct fab_input fab_input_of(const struct fab_case *c);

/* Tokens of a shape: a number, or one that depends on the implementation. */
enum { FAB_T = 1000, FAB_T_1 = 1001 };
unsigned fab_tokens(const struct fab *f, unsigned n);

/* Starts a case in the rig. */
void fab_reset(struct fab *f, const struct fab_case *c, const char *op, const char *shape);
/* Runs the rig's jobs and compares; with all_ok every status must be OK. */
enum fab_result fab_launch(struct fab *f, bool all_ok);
/* Cycles that the rig's jobs should take, roughly. */
uint64_t fab_cost(const struct fab *f);
/* Adds the records of the last launch to the counts. */
void fab_count(struct fab *f);

/* ---- makers of jobs, shared by sets ---------------------------------------------------------- */

struct fab_expert {
    uint32_t k, d_ff;
    unsigned n_tokens;
    uint32_t first, count; /* of the slice; count 0: whole */
    int flags;
};
/* x of every token of the job. */
void fab_fill_x(struct fab *f, const struct sl_job *job, struct fab_input in);
/* Slab, x and y of a new job; LIST and INDIRECT are left to the caller. */
struct sl_job *fab_add_expert(struct fab *f, const struct fab_expert *s, int format,
                              struct fab_input in);
/* A job on the slab and x of another. */
struct sl_job *fab_add_slice(struct fab *f, const struct sl_job *of, uint32_t first, uint32_t count,
                             int flags);
/* A token list of job->n_tokens entries over `rows` rows, and y for it. */
void fab_add_list(struct fab *f, struct sl_job *job, uint32_t rows);

struct fab_plain {
    uint32_t k, rows;
    unsigned n_tokens;
    int flags;
};
struct sl_job *fab_add_plain(struct fab *f, const struct fab_plain *s, int format,
                             struct fab_input in);

struct fab_reduce {
    uint32_t rows;
    unsigned n_tokens, n_part;
};
struct sl_job *fab_add_reduce(struct fab *f, const struct fab_reduce *s, enum fab_data data);
/* A REDUCE job that writes the u32 words, each below 2^24, to the beats at y_off. */
struct sl_job *fab_add_poke(struct fab *f, uint32_t y_off, const uint32_t *word, unsigned n);

struct fab_router {
    uint32_t n_expert, k;
    unsigned top_k, n_tokens;
    int flags;
    bool bias;
    unsigned capacity;  /* of RECYCLE */
    uint32_t deviation; /* of NOISE */
};
struct sl_job *fab_add_router(struct fab *f, const struct fab_router *s, int mode,
                              enum fab_data data, unsigned variant);

struct fab_kv {
    unsigned d, n_tokens, rows;
};
struct sl_job *fab_add_pack(struct fab *f, const struct fab_kv *s, int kind, enum fab_data data);
struct sl_job *fab_add_unpack(struct fab *f, const struct fab_kv *s, int kind, enum fab_data data);

/* ---- sets ------------------------------------------------------------------------------------ */

/* Each ends with a NULL op. */
extern const struct fab_set fab_expert_sets[], fab_plain_sets[], fab_router_sets[], fab_kv_sets[],
    fab_list_sets[], fab_hostile_sets[];

/* The set with number i, or NULL. */
const struct fab_set *fab_set_at(unsigned i);
/* Formats of an operation: their names, NULL behind the last. */
const char *const *fab_formats(const char *op);
/* Operation codes that the set's jobs use. */
unsigned fab_set_ops(const struct fab_set *set);

/* ---- runs ------------------------------------------------------------------------------------ */

/* What the command line asks for; NULL: everything. */
struct fab_options {
    const char *impl, *op, *format, *shape;
    uint64_t seed;
    uint64_t n;                             /* cases of each set in each format, 0: each shape */
    double max_sums, max_rows, max_seconds; /* soak */
    bool verbose;
    struct rig_flaw flaw;
};

/* Cycles of one line, so that the form of the simulation with group sums in C can be compared. */
struct fab_cycles {
    char line[96]; /* operation, format and the implementation's name without ",dpi" */
    uint64_t cycles;
};

/* Numbers of a whole run. */
struct fab_totals {
    unsigned passed, failed, skipped;
    unsigned n_line;
    struct fab_cycles line[400];
};

int fab_open(struct fab *f, const char *name, const struct fab_set *set);
void fab_close(struct fab *f);
/* Prints why an implementation cannot be tested, and counts it as skipped or failed. */
void fab_say_skipped(const char *name, int err, struct fab_totals *totals);
/* Whether the options' choice contains it; a NULL choice: all. */
bool fab_chosen(const char *choice, const char *name);

void fab_run_impl(const struct fab_options *o, const char *name, struct fab_totals *totals);
void fab_soak(const struct fab_options *o, const char *name, struct fab_totals *totals);
/* Whether --bench has such a table; NULL: the small one. */
bool fab_bench_has(const char *shape);
void fab_bench(const struct fab_options *o, const char *name, struct fab_totals *totals);

#endif
