/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of checkfab. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fab.h"

enum { NAME_MAX_BYTES = 64, NOTHING_RAN = 77 };

static const char usage[] =
    "usage: checkfab [options]\n"
    "Runs the operations of the core on every implementation beside the reference in tests/ref.\n"
    "  --impl NAME[,NAME]  implementations, as --device names them (default: --list)\n"
    "  --op OP             one operation\n"
    "  --format F          one format, router mode or kind of KV record\n"
    "  --shape CLASS       one class of shapes; `real` (whole experts of real models) only so\n"
    "  --seed N            seed of the first case (default 0): the case itself with --n 1\n"
    "  --n CASES           cases of each operation x format x class (default: each shape once)\n"
    "  --bench             cycles, bytes and utilisation by the device's own counters, as a table\n"
    "                      in markdown; --shape small (default), decode, prefill or real (both)\n"
    "  --soak              random shapes until interrupted or wrong, or until, in each format,\n"
    "    --groups N        N group sums (sums over 32 columns of one row for one token)\n"
    "    --rows N          and N whole rows were compared,\n"
    "    --seconds S       or that many seconds are over\n"
    "  --corrupt WHAT      self test: wrong bit in y:WORD, record:WORD, guard:WORD (of what was\n"
    "                      read back) or weight:WORD (of what was uploaded)\n"
    "  --list              implementations, operations, formats, classes\n"
    "  --verbose           a line for every case\n"
    "exit code: 0 all equal, 1 a difference, 2 a wrong command, 77 no implementation could run\n";

static int list_all(void)
{
    printf("implementations of a plain run:");
    for (const char *const *name = fab_standard; *name; name++)
        printf(" %s", *name);
    printf("\n");
    for (unsigned i = 0; fab_set_at(i); i++) {
        const struct fab_set *set = fab_set_at(i);
        printf("%-10s %-12s %4u shapes; formats:", set->op, set->shape, set->n_shape);
        for (const char *const *f = fab_formats(set->op); *f; f++)
            printf(" %s", *f);
        printf("\n");
    }
    return 0;
}

/* Whether the choices name something; `bench` has shapes of its own. */
static bool is_known(const struct fab_options *o, bool bench)
{
    bool op = !o->op, shape = !o->shape || (bench && fab_bench_has(o->shape)), format = !o->format;
    for (unsigned i = 0; fab_set_at(i); i++) {
        const struct fab_set *set = fab_set_at(i);
        const bool here = fab_chosen(o->op, set->op);
        op = op || here;
        shape = shape || (!bench && here && fab_chosen(o->shape, set->shape));
        for (const char *const *f = fab_formats(set->op); *f && here; f++)
            format = format || fab_chosen(o->format, *f);
    }
    if (!op || !shape || !format)
        fprintf(stderr, "error: no such %s; `checkfab --list` has them\n",
                !op      ? "operation"
                : !shape ? "class of shapes"
                         : "format");
    return op && shape && format;
}

static bool parse_flaw(const char *text, struct rig_flaw *flaw)
{
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"y", RIG_FLAW_Y},
                 {"record", RIG_FLAW_RECORD},
                 {"guard", RIG_FLAW_GUARD},
                 {"weight", RIG_FLAW_WEIGHT}};
    const size_t len = strcspn(text, ":");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].name) == len && !strncmp(kinds[i].name, text, len)) {
            flaw->kind = kinds[i].kind;
            flaw->word = text[len] ? (uint32_t)strtoul(text + len + 1, NULL, 0) : 0;
            flaw->bit = 5;
            return true;
        }
    return false;
}

/* What was asked for beyond a plain run. */
struct mode {
    bool bench, soak, list, help;
};

/* Options without a value. */
static bool take_switch(const char *arg, struct fab_options *o, struct mode *mode)
{
    const struct {
        const char *name;
        bool *flag;
    } switches[] = {{"--bench", &mode->bench},
                    {"--soak", &mode->soak},
                    {"--list", &mode->list},
                    {"--verbose", &o->verbose},
                    {"--help", &mode->help}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (!strcmp(arg, switches[i].name)) {
            *switches[i].flag = true;
            return true;
        }
    return false;
}

static bool take_value(const char *arg, const char *value, struct fab_options *o)
{
    char *end = NULL;
    if (!value)
        return false;
    const double number = strtod(value, &end);
    const bool is_number = end != value && !*end && number >= 0;
    if (!strcmp(arg, "--impl"))
        o->impl = value;
    else if (!strcmp(arg, "--op"))
        o->op = value;
    else if (!strcmp(arg, "--format"))
        o->format = value;
    else if (!strcmp(arg, "--shape"))
        o->shape = value;
    else if (!strcmp(arg, "--corrupt"))
        return parse_flaw(value, &o->flaw);
    else if (!strcmp(arg, "--seed"))
        o->seed = strtoull(value, NULL, 0);
    else if (!is_number)
        return false;
    else if (!strcmp(arg, "--n"))
        o->n = (uint64_t)number;
    else if (!strcmp(arg, "--groups"))
        o->max_sums = number;
    else if (!strcmp(arg, "--rows"))
        o->max_rows = number;
    else if (!strcmp(arg, "--seconds"))
        o->max_seconds = number;
    else
        return false;
    return true;
}

static bool parse(int argc, char **argv, struct fab_options *o, struct mode *mode)
{
    for (int i = 1; i < argc; i++) {
        if (take_switch(argv[i], o, mode))
            continue;
        if (!take_value(argv[i], i + 1 < argc ? argv[i + 1] : NULL, o)) {
            fprintf(stderr, "error: %s: no such option or value; checkfab --help\n", argv[i]);
            return false;
        }
        i++;
    }
    return true;
}

static void run_one(const struct fab_options *o, const struct mode *mode, const char *name,
                    struct fab_totals *totals)
{
    if (mode->soak)
        fab_soak(o, name, totals);
    else if (mode->bench)
        fab_bench(o, name, totals);
    else
        fab_run_impl(o, name, totals);
}

static void run_all(const struct fab_options *o, const struct mode *mode, struct fab_totals *totals)
{
    char name[NAME_MAX_BYTES];
    const char *rest = o->impl;
    for (const char *const *std = fab_standard; *std && !o->impl; std++)
        run_one(o, mode, *std, totals);
    while (rest) {
        rest = fab_next_name(rest, name, sizeof name);
        run_one(o, mode, name, totals);
    }
}

int main(int argc, char **argv)
{
    struct fab_options o = {0};
    struct mode mode = {0};
    struct fab_totals totals = {0};
    if (!parse(argc, argv, &o, &mode))
        return 2;
    if (mode.help) {
        fputs(usage, stdout);
        return 0;
    }
    if (mode.list)
        return list_all();
    if (!is_known(&o, mode.bench))
        return 2;
    run_all(&o, &mode, &totals);
    printf("%u passed, %u failed\n", totals.passed, totals.failed);
    if (totals.passed + totals.failed == 0)
        return NOTHING_RAN;
    return totals.failed ? 1 : 0;
}
