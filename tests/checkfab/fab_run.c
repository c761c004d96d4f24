/* SPDX-License-Identifier: Apache-2.0 */
/* Walks implementations, operations, classes and formats; one line for each operation x format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fab.h"

static const struct fab_set *const all_sets[] = {fab_list_sets,   fab_plain_sets, fab_expert_sets,
                                                 fab_router_sets, fab_kv_sets,    fab_hostile_sets};

const struct fab_set *fab_set_at(unsigned i)
{
    for (size_t t = 0; t < sizeof all_sets / sizeof all_sets[0]; t++)
        for (const struct fab_set *s = all_sets[t]; s->op; s++)
            if (i-- == 0)
                return s;
    return NULL;
}

static const struct {
    const char *op;
    const char *format[6];
    unsigned ops;
} operations[] = {
    {"query", {"-"}, 1u << SL_OP_QUERY},
    {"plain", {"fp8", "q8", "nf4", "int4", "mxfp4"}, 1u << SL_OP_PLAIN},
    {"expert", {"fp8", "q8", "nf4", "int4", "mxfp4"}, 1u << SL_OP_EXPERT},
    {"reduce", {"-"}, 1u << SL_OP_REDUCE},
    {"router", {"softmax", "sigmoid", "attention"}, 1u << SL_OP_ROUTER},
    {"kv_pack", {"int8", "int4"}, 1u << SL_OP_KV_PACK},
    {"kv_unpack", {"int8", "int4"}, 1u << SL_OP_KV_UNPACK},
    {"list", {"fp8", "q8", "nf4", "int4", "mxfp4"}, 0xFE},
    {"jobs", {"-"}, 0}, /* chosen by each case */
};
enum { N_OPERATION = sizeof operations / sizeof operations[0], MAX_FORMAT = 5 };

static unsigned operation_of(const char *op)
{
    unsigned i = 0;
    while (i + 1 < N_OPERATION && strcmp(operations[i].op, op))
        i++;
    return i;
}

const char *const *fab_formats(const char *op)
{
    return operations[operation_of(op)].format;
}

unsigned fab_set_ops(const struct fab_set *set)
{
    return operations[operation_of(set->op)].ops;
}

bool fab_chosen(const char *choice, const char *name)
{
    return !choice || !strcmp(choice, name);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Every port holds its share, a header and a unit more of every slab. */
static uint32_t w_beats(const struct fab_set *set, unsigned n_port)
{
    enum { SPARE = 4000 };
    return n_port == 1 ? set->w_beats_1 : set->w_beats_1 / n_port + SPARE;
}

int fab_open(struct fab *f, const char *name, const struct fab_set *set)
{
    enum { DEADLINE_MS = 120000 };
    struct sl_device *dev = NULL;
    memset(f, 0, sizeof *f);
    f->name = name;
    f->family = fab_family_of(name);
    if (!f->family)
        return SL_ERR_USAGE;
    f->rig = set->scene ? &f->scene.rig : &f->own;
    int err = f->family->open(&dev, name);
    if (!err)
        err = set->scene ? scene_open_on(&f->scene, dev)
                         : rig_open_on(&f->own, dev, set->ctl_beats, w_beats(set, dev->n_port));
    f->n_column = f->rig->ref.n_column;
    f->rig->deadline_ms = DEADLINE_MS;
    return err;
}

void fab_close(struct fab *f)
{
    if (f->rig == &f->scene.rig)
        scene_close(&f->scene);
    else
        rig_close(&f->own);
}

/* What is not there is skipped; what is there and does not answer is wrong. */
void fab_say_skipped(const char *name, int err, struct fab_totals *totals)
{
    const struct fab_family *family = fab_family_of(name);
    const bool absent = err == SL_ERR_USAGE || err == SL_ERR_UNSUPPORTED || err == SL_ERR_IO;
    const char *hint = sl_error_hint();
    totals->skipped += absent;
    totals->failed += !absent;
    if (!family)
        printf("SKIPPED %s: no such implementation; `checkfab --list` has them\n", name);
    else
        printf("%s %s: %s (%s); hint: %s\n", absent ? "SKIPPED" : "FAIL", name, sl_error_message(),
               sl_err_name(err), *hint ? hint : family->make);
}

/* ---- one line -------------------------------------------------------------------------------- */

/* An operation in one format, over all classes. */
struct line {
    bool used, wrong;
    uint64_t n_case, n_skip, n_row, n_sum, cycles;
};

static void print_line(const char *name, const char *op, const char *format, const struct line *l)
{
    printf("%-10s %-9s %-16s %-4s %5llu cases", op, format, name, l->wrong ? "FAIL" : "ok",
           (unsigned long long)l->n_case);
    if (l->n_skip)
        printf(" (%llu left out)", (unsigned long long)l->n_skip);
    if (l->n_row)
        printf(", %llu rows", (unsigned long long)l->n_row);
    if (l->n_sum)
        printf(", %llu group sums", (unsigned long long)l->n_sum);
    if (l->cycles)
        printf(", %llu cycles", (unsigned long long)l->cycles);
    printf("\n");
    fflush(stdout);
}

/* The forms with and without group sums in C take the same cycles. False: they do not. */
static bool cycles_agree(const char *name, const char *op, const char *format, const struct line *l,
                         struct fab_totals *totals)
{
    enum { CAP = sizeof totals->line / sizeof totals->line[0] };
    const char *dpi = strstr(name, ",dpi");
    struct fab_cycles new = {.cycles = l->cycles};
    snprintf(new.line, sizeof new.line, "%s %s %.*s%s", op, format,
             (int)(dpi ? dpi - name : (ptrdiff_t)strlen(name)), name, dpi ? dpi + 4 : "");
    for (unsigned i = 0; i < totals->n_line; i++)
        if (!strcmp(totals->line[i].line, new.line) && totals->line[i].cycles != l->cycles) {
            printf("  %s took %llu cycles in another form of the same device\n", new.line,
                   (unsigned long long)totals->line[i].cycles);
            return false;
        }
    if (totals->n_line < CAP)
        totals->line[totals->n_line++] = new;
    return true;
}

static void say_repeat(const struct fab *f, const struct fab_set *set, const struct fab_case *c)
{
    const char *format = fab_formats(set->op)[c->format];
    if (f->why)
        printf("\n  %s: device %s seed %llu: %s\n", f->rig->what, f->rig->dev->name,
               (unsigned long long)c->seed, f->why);
    printf("  repeat: checkfab --impl %s --op %s%s%s --shape %s --seed %llu --n 1\n",
           f->rig->dev->name, set->op, *format == '-' ? "" : " --format ",
           *format == '-' ? "" : format, set->shape, (unsigned long long)c->seed);
    fflush(stdout);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static unsigned cycle_of(const struct fab_set *set)
{
    return set->n_shape * (set->every_data ? N_FAB_DATA : 1);
}

static struct fab_case case_of(const struct fab_set *set, int format, uint64_t seed)
{
    return (struct fab_case){
        .format = format,
        .shape = (unsigned)(seed % set->n_shape),
        .data = set->every_data ? (enum fab_data)(seed / set->n_shape % N_FAB_DATA) : FAB_RANDOM,
        .round = (unsigned)(seed / cycle_of(set)),
        .seed = seed};
}

static void take(struct line *l, struct fab *f)
{
    l->n_case += f->n_case;
    l->n_skip += f->n_skip;
    l->n_row += f->n_row;
    l->n_sum += f->n_sum;
    l->cycles += f->cycles;
    f->n_case = f->n_skip = f->n_row = f->n_sum = f->cycles = 0;
}

static void say_case(const struct fab *f, const struct fab_set *set, const struct fab_case *c,
                     enum fab_result r)
{
    static const char *const word[] = {"ok", "WRONG", "left out"};
    printf("  %s seed %llu: %s, about %llu cycles%s\n", f->rig->what, (unsigned long long)c->seed,
           word[r], (unsigned long long)(set->scene ? 0 : fab_cost(f)),
           f->rig->outcome.loose[0].len ? ", y undefined" : "");
}

/* A device that an undefined job has stopped is opened again. */
static bool reopen(struct fab *f, const struct fab_set *set, struct line *l)
{
    const bool unlimited = f->unlimited;
    const struct rig_flaw flaw = f->rig->flaw;
    take(l, f);
    fab_close(f);
    if (fab_open(f, f->name, set))
        return false;
    f->unlimited = unlimited;
    f->rig->flaw = flaw;
    return true;
}

/* The cases of one set in one format up to the first that is wrong. */
static void run_cases(struct fab *f, const struct fab_set *set, int format,
                      const struct fab_options *o, struct line *l)
{
    const uint64_t n = o->n ? o->n : cycle_of(set);
    l->used = true;
    for (uint64_t i = 0; i < n && !l->wrong; i++) {
        const struct fab_case c = case_of(set, format, o->seed + i);
        const enum fab_result r = set->run(f, &c);
        if (o->verbose)
            say_case(f, set, &c, r);
        f->n_case += r != FAB_SKIP;
        f->n_skip += r == FAB_SKIP;
        l->wrong = r == FAB_WRONG;
        if (l->wrong)
            say_repeat(f, set, &c);
        else if (f->rig->lost && !reopen(f, set, l))
            l->wrong = true;
    }
    take(l, f);
}

/* One set in all formats, on a device of its own: a card takes long to open. False: it cannot be
 * opened. */
static bool run_set(const struct fab_options *o, const char *name, const struct fab_set *set,
                    struct line line[MAX_FORMAT])
{
    struct fab f;
    bool open = false;
    const char *const *formats = fab_formats(set->op);
    for (int format = 0; formats[format]; format++) {
        if (!fab_chosen(o->format, formats[format]) || line[format].wrong)
            continue;
        const int err = open ? 0 : fab_open(&f, name, set);
        open = !err;
        if (open) {
            f.unlimited = o->shape != NULL;
            f.rig->flaw = o->flaw;
            run_cases(&f, set, format, o, &line[format]);
        }
        /* What was wrong may be the device's state. */
        if (err || line[format].wrong) {
            fab_close(&f);
            open = false;
        }
        if (err)
            return false;
    }
    if (open)
        fab_close(&f);
    return true;
}

/* Whole experts of real models take minutes: only when asked for. */
static bool set_chosen(const struct fab_options *o, const struct fab_family *family,
                       const struct fab_set *set)
{
    if (!o->shape && !strcmp(set->shape, "real"))
        return false;
    return fab_chosen(o->op, set->op) && fab_chosen(o->shape, set->shape) &&
           (fab_set_ops(set) & ~family->ops) == 0;
}

static bool run_operation(const struct fab_options *o, const char *name, unsigned op,
                          struct fab_totals *totals)
{
    struct line line[MAX_FORMAT] = {0};
    const char *const *formats = operations[op].format;
    bool alive = true;
    for (unsigned i = 0; alive && fab_set_at(i); i++) {
        const struct fab_set *set = fab_set_at(i);
        if (!strcmp(set->op, operations[op].op) && set_chosen(o, fab_family_of(name), set))
            alive = run_set(o, name, set, line);
    }
    for (int format = 0; format < MAX_FORMAT; format++)
        if (line[format].used) {
            if (!line[format].wrong &&
                !cycles_agree(name, operations[op].op, formats[format], &line[format], totals))
                line[format].wrong = true;
            print_line(name, operations[op].op, formats[format], &line[format]);
            totals->passed += !line[format].wrong;
            totals->failed += line[format].wrong;
        }
    if (!alive) {
        printf("FAIL %s: %s\n", name, sl_error_message());
        totals->failed++;
    }
    return alive;
}

void fab_run_impl(const struct fab_options *o, const char *name, struct fab_totals *totals)
{
    struct fab f;
    const int err = fab_open(&f, name, fab_set_at(0));
    fab_close(&f);
    if (err) {
        fab_say_skipped(name, err, totals);
        return;
    }
    for (unsigned op = 0; op < N_OPERATION; op++)
        if (!run_operation(o, name, op, totals))
            return;
}
