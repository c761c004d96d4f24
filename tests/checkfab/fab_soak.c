/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random shapes and inputs until interrupted, wrong, or until enough was compared in every format.
 * A case follows from its format and seed alone; seeds go up one by one and formats take turns, so
 * that the last line tells where to go on.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fab.h"

enum { N_FORMAT = 5, CTL_BEATS = 36864, W_BEATS = 160000, SAY_S = 10, DEADLINE_MS = 900000 };

static const struct fab_set soak_set = {"plain", "soak", 1, false, CTL_BEATS, W_BEATS, NULL, false};

struct soak {
    const struct fab_options *o;
    const char *name;
    struct fab f;
    uint64_t seed; /* next case */
    uint64_t n_case, n_sum[N_FORMAT], n_row[N_FORMAT], cycles;
    double start_s, said_s;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Between lo and hi, every octave alike. */
static uint32_t octaves(struct sl_rng *rng, unsigned lo_log2, unsigned hi_log2)
{
    const uint32_t top = 1u << sl_rng_range(rng, lo_log2, hi_log2 - 1);
    return top + (uint32_t)sl_rng_range(rng, 0, top);
}

/* Mostly many, so that one weight beat gives many group sums; fewer of the longest rows. */
static unsigned soak_tokens(struct sl_rng *rng, uint32_t k)
{
    const unsigned most = k > 8192 ? 12 : SL_MAX_TOKENS;
    const int64_t kind = sl_rng_range(rng, 0, 7);
    if (kind < 4)
        return most;
    return kind == 4 ? 1 : (unsigned)sl_rng_range(rng, 1, most);
}

static struct fab_input soak_input(struct sl_rng *rng)
{
    const int64_t kind = sl_rng_range(rng, 0, 15);
    struct fab_input in = {GEN_RANDOM, GEN_RANDOM, (int)sl_rng_range(rng, 0, 9)};
    if (kind == 0)
        in.w = in.x = GEN_WORST;
    else if (kind < 4)
        in.w = (enum gen)sl_rng_range(rng, 0, N_GEN - 1);
    else if (kind < 6)
        in.x = (enum gen)sl_rng_range(rng, 0, N_GEN - 1);
    else if (kind < 9)
        in.w = GEN_ANY;
    return in;
}

/* Every weight of a case is multiplied some ten million times at most. */
enum { WEIGHTS = 150000 };

static void add_plain(struct fab *f, int format)
{
    struct sl_rng *rng = &f->rig->rng;
    struct fab_plain s = {.k = 32 * octaves(rng, 0, 10)};
    s.n_tokens = soak_tokens(rng, s.k);
    const uint32_t most = WEIGHTS / s.k + 2;
    s.rows = (uint32_t)sl_rng_range(rng, 1, most > 1000 ? 1000 : most);
    s.flags = sl_rng_range(rng, 0, 2) ? 0 : SL_FLAG_PARTIAL;
    const struct fab_input in = soak_input(rng);
    struct sl_job *job = fab_add_plain(f, &s, format, in);
    if (sl_rng_range(rng, 0, 4) == 0)
        fab_add_list(f, job, job->n_tokens);
}

static void add_expert(struct fab *f, int format)
{
    struct sl_rng *rng = &f->rig->rng;
    struct fab_expert s = {.k = 32 * octaves(rng, 0, 6)};
    s.n_tokens = soak_tokens(rng, s.k);
    const uint32_t most = WEIGHTS / s.k / 96 + 1;
    s.d_ff = 32 * (uint32_t)sl_rng_range(rng, 1, most > 30 ? 30 : most);
    s.flags = sl_rng_range(rng, 0, 2) || s.k > 1024 ? 0 : SL_FLAG_PARTIAL;
    if (sl_rng_range(rng, 0, 2) == 0) {
        s.first = 32 * (uint32_t)sl_rng_range(rng, 0, s.d_ff / 32 - 1);
        s.count = 32 * (uint32_t)sl_rng_range(rng, 1, (s.d_ff - s.first) / 32);
    }
    const struct fab_input in = soak_input(rng);
    struct sl_job *job = fab_add_expert(f, &s, format, in);
    if (sl_rng_range(rng, 0, 4) == 0)
        fab_add_list(f, job, job->n_tokens);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int format_of(const struct soak *s)
{
    const char *const *formats = fab_formats("plain");
    for (int i = 0; i < N_FORMAT && s->o->format; i++)
        if (!strcmp(formats[i], s->o->format))
            return i;
    return (int)(s->seed % N_FORMAT);
}

static bool run_case(struct soak *s, int format)
{
    struct fab *f = &s->f;
    const struct fab_case c = {.format = format, .seed = s->seed};
    fab_reset(f, &c, "plain", "soak");
    if (sl_rng_range(&f->rig->rng, 0, 9) < 7)
        add_plain(f, format);
    else
        add_expert(f, format);
    f->n_sum = f->n_row = f->cycles = 0;
    const enum fab_result r = fab_launch(f, true);
    s->n_sum[format] += f->n_sum;
    s->n_row[format] += f->n_row;
    s->cycles += f->cycles;
    s->n_case++;
    if (r == FAB_WRONG)
        printf("  %s\n  repeat: checkfab --impl %s --soak --format %s --seed %llu --n 1\n",
               f->why ? f->why : "", s->name, fab_formats("plain")[format],
               (unsigned long long)s->seed);
    return r != FAB_WRONG;
}

static bool enough(const struct soak *s)
{
    const struct fab_options *o = s->o;
    if ((o->n && s->n_case >= o->n) ||
        (o->max_seconds > 0 && now_s() - s->start_s >= o->max_seconds))
        return true;
    if (o->max_sums <= 0 && o->max_rows <= 0)
        return false;
    for (int i = 0; i < N_FORMAT; i++) {
        if (o->format && strcmp(o->format, fab_formats("plain")[i]))
            continue;
        if ((double)s->n_sum[i] < o->max_sums || (double)s->n_row[i] < o->max_rows)
            return false;
    }
    return true;
}

static void say(struct soak *s, FILE *to, const char *verdict)
{
    fprintf(to, "%-10s %-16s %-4s %llu cases", "soak", s->name, verdict,
            (unsigned long long)s->n_case);
    for (int i = 0; i < N_FORMAT; i++)
        if (s->n_row[i])
            fprintf(to, "; %s %.4g group sums, %.4g rows", fab_formats("plain")[i],
                    (double)s->n_sum[i], (double)s->n_row[i]);
    if (s->cycles)
        fprintf(to, "; %.4g cycles", (double)s->cycles);
    fprintf(to, "; %.0f s; go on with --seed %llu\n", now_s() - s->start_s,
            (unsigned long long)s->seed);
    fflush(to);
    s->said_s = now_s();
}

void fab_soak(const struct fab_options *o, const char *name, struct fab_totals *totals)
{
    struct soak s = {.o = o, .name = name, .seed = o->seed};
    const int err = fab_open(&s.f, name, &soak_set);
    bool right = true;
    if (err) {
        fab_say_skipped(name, err, totals);
        fab_close(&s.f);
        return;
    }
    s.f.unlimited = true;
    s.f.rig->flaw = o->flaw;
    s.f.rig->deadline_ms = DEADLINE_MS; /* a machine that slept for a while is no failure */
    s.start_s = s.said_s = now_s();
    while (right && !enough(&s)) {
        right = run_case(&s, format_of(&s));
        s.seed += right;
        if (now_s() - s.said_s >= SAY_S)
            say(&s, stderr, "...");
    }
    say(&s, stdout, right ? "ok" : "FAIL");
    totals->passed += right;
    totals->failed += !right;
    fab_close(&s.f);
}
