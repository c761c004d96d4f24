/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch costs, and how fast the core reads its weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sl_sim.h"
#include "validate/validate_data.h"

enum { MIN_LAUNCH = 10, MAX_LAUNCH = 300, WARM_UP = 2 };
/* Seconds: after MIN_LAUNCH, and in any case (without its helper XRT's emulation may pause long).
 */
static const double time_for_launches = 4, time_at_most = 20;

/* A list in the control arena; the QUERY's record goes to beat 1, its answer to beat 2. */
struct latency {
    const char *name;
    uint32_t n_job;
    double wall[MAX_LAUNCH];
    unsigned n;
    double cycles, sim_s; /* of one launch on average; NaN: not counted */
};

static bool count(struct sl_validate *v, struct sl_device_counters *c)
{
    return v->dev->ops->counters && !sl_device_counters(v->dev, c);
}

static int launch_often(struct sl_validate *v, struct latency *l)
{
    double total = 0;
    int err = 0;
    for (unsigned i = 0; i < WARM_UP && !err; i++)
        err = sl_device_launch(v->dev, 0, l->n_job, sl_validate_deadline(v));
    while (!err && l->n < MAX_LAUNCH &&
           total < (l->n < MIN_LAUNCH ? time_at_most : time_for_launches)) {
        if ((err = sl_validate_go_on(v)))
            break;
        const double begin = sl_validate_seconds();
        err = sl_device_launch(v->dev, 0, l->n_job, sl_validate_deadline(v));
        l->wall[l->n] = sl_validate_seconds() - begin;
        total += l->wall[l->n++];
    }
    return err;
}

static int measure(struct sl_validate *v, struct latency *l)
{
    struct sl_device_counters before, after;
    const bool counts = count(v, &before);
    int err = launch_often(v, l);
    l->cycles = l->sim_s = NAN;
    if (err || !counts || !count(v, &after))
        return err;
    const double n = (double)(after.launches - before.launches);
    if (n > 0) {
        l->cycles = (double)(after.cycles - before.cycles) / n;
        l->sim_s = v->kind == SL_VALIDATE_MODEL ? NAN : (after.cpu_s - before.cpu_s) / n;
    }
    return 0;
}

static int check_query(struct sl_validate *v, const struct sl_job *job, struct sl_record *rec)
{
    struct sl_caps caps;
    int err = sl_device_read(v->dev, SL_ARENA_CTL, 1, rec, 1);
    err = err ? err : sl_device_read(v->dev, SL_ARENA_CTL, 2, &caps, 1);
    if (err)
        return err;
    if (rec->cookie != job->cookie || rec->status != SL_STATUS_OK ||
        memcmp(&caps, &v->caps, sizeof caps))
        return sl_validate_wrong(v, "the QUERY ended as %s, or with another answer than at first",
                                 sl_status_name(rec->status));
    return 0;
}

static void show(struct sl_validate *v, struct latency *l)
{
    struct sl_validate_row *row = sl_validate_add_row(v, l->name);
    row->value[0] = sl_validate_quantile(l->wall, l->n, 0.5) * 1e6;
    row->value[1] = sl_validate_quantile(l->wall, l->n, 0.99) * 1e6;
    row->value[2] = l->cycles;
    row->value[3] = l->cycles / SL_SIM_CLOCK_HZ * 1e6;
    row->value[4] = l->sim_s * 1e6;
}

static void explain(struct sl_validate *v, unsigned n)
{
    const double *q = v->test.row[1].value;
    char over[160] = "";
    if (!isnan(q[4]))
        snprintf(over, sizeof over,
                 "; the host's CPU simulates a QUERY in %.0f us on average, the rest of %.0f us is "
                 "overhead",
                 q[4], q[0] - q[4] > 0 ? q[0] - q[4] : 0);
    else if (v->kind == SL_VALIDATE_CARD && !isnan(q[3]))
        snprintf(over, sizeof over, "; over the core's own time: %.0f us", q[0] - q[3]);
    snprintf(v->test.detail, sizeof v->test.detail, "%u launches (wall time)%s", n, over);
}

int sl_validate_latency(struct sl_validate *v)
{
    struct latency *l = sl_alloc(2, sizeof *l);
    struct sl_job job = {.op = SL_OP_QUERY, .cookie = 0x4C415459u, .n_tokens = 1, .y_off = 2};
    struct sl_record rec = {0};
    if (!l)
        return SL_ERR_NOMEM;
    l[0].name = "empty job list";
    l[1].name = "QUERY";
    l[1].n_job = 1;
    int err = sl_device_write(v->dev, SL_ARENA_CTL, 0, &job, 1);
    err = err ? err : sl_device_write(v->dev, SL_ARENA_CTL, 1, &rec, 1);
    err = err ? err : measure(v, &l[0]);
    err = err ? err : measure(v, &l[1]);
    err = err ? err : check_query(v, &job, &rec);
    if (!err && v->test.result == SL_VALIDATE_PASSED) {
        if (isnan(l[1].cycles) && rec.cycles)
            l[1].cycles = (double)rec.cycles;
        v->test.row_title = "launch";
        v->test.column[0] = "median us";
        v->test.column[1] = "99th percentile us";
        v->test.column[2] = sl_validate_cycles(v);
        v->test.column[3] = "us of them at 225 MHz";
        v->test.column[4] = "us simulating";
        show(v, &l[0]);
        show(v, &l[1]);
        v->test.n_column = isnan(v->test.row[1].value[2]) ? 2 : isnan(l[1].sim_s) ? 4 : 5;
        explain(v, l[1].n);
    }
    free(l);
    return err;
}

/* ---- weights -------------------------------------------------------------------------------- */

enum { K = 4096, ROWS_PER_PORT = 480, REPEAT = 16 };

static void show_cycles(struct sl_validate *v, const struct sl_record *rec)
{
    struct sl_device_counters c = {0};
    const double cycles = (double)rec->cycles, bytes = (double)rec->beats * SL_BEAT_BYTES;
    const double port = count(v, &c) && c.ceiling > 0 ? c.ceiling : SL_BEAT_BYTES;
    struct sl_validate_row *row = sl_validate_add_row(v, "PLAIN nf4");
    v->test.row_title = "job";
    v->test.column[0] = "weight bytes";
    v->test.column[1] = sl_validate_cycles(v);
    v->test.column[2] = "bytes a cycle";
    v->test.column[3] = "% of the ceiling";
    v->test.n_column = 4;
    row->value[0] = bytes;
    row->value[1] = cycles;
    row->value[2] = bytes / cycles;
    row->value[3] = 100 * bytes / cycles / (port * v->caps.n_port);
    snprintf(v->test.detail, sizeof v->test.detail,
             "%u x %u weights read with %.1f bytes in each of %.0f %s, %.1f %% of the %s: %.1f "
             "bytes a cycle from each of %u port%s",
             v->caps.n_port * ROWS_PER_PORT, K, bytes / cycles, cycles, sl_validate_cycles(v),
             row->value[3], port < SL_BEAT_BYTES ? "memory model's ceiling" : "port's width", port,
             v->caps.n_port, v->caps.n_port == 1 ? "" : "s");
}

/* A core that reports no cycles: the launch again with the job many times in the list. */
static int show_wall(struct sl_validate *v, const struct sl_validate_set *s)
{
    struct sl_job job;
    double seconds[5];
    int err = 0;
    memcpy(&job, s->got, sizeof job);
    for (uint32_t i = 0; i < REPEAT && !err; i++)
        err = sl_device_write(v->dev, SL_ARENA_CTL, s->top + i, &job, 1);
    for (unsigned i = 0; i < 5 && !err; i++) {
        const double begin = sl_validate_seconds();
        err = sl_validate_go_on(v);
        err = err ? err : sl_device_launch(v->dev, s->top, REPEAT, sl_validate_deadline(v));
        seconds[i] = sl_validate_seconds() - begin;
    }
    if (err)
        return err;
    const struct sl_record rec = sl_validate_set_record(s, 0);
    const double bytes = (double)rec.beats * SL_BEAT_BYTES * REPEAT;
    struct sl_validate_row *row = sl_validate_add_row(v, "PLAIN nf4");
    v->test.row_title = "job";
    v->test.column[0] = "weight bytes";
    v->test.column[1] = "wall time us";
    v->test.column[2] = "MB/s (wall time)";
    v->test.n_column = 3;
    row->value[0] = bytes;
    row->value[1] = sl_validate_quantile(seconds, 5, 0.5) * 1e6;
    row->value[2] = bytes / row->value[1];
    snprintf(
        v->test.detail, sizeof v->test.detail,
        "%u x %u weights, %d times in a list, at %.0f MB/s (wall time of the launch: this core "
        "counts no cycles)",
        v->caps.n_port * ROWS_PER_PORT, K, REPEAT, row->value[2]);
    return 0;
}

static int show_weights(struct sl_validate *v, const struct sl_validate_set *s)
{
    const struct sl_record rec = sl_validate_set_record(s, 0);
    if (!rec.cycles)
        return show_wall(v, s);
    show_cycles(v, &rec);
    return 0;
}

int sl_validate_weights(struct sl_validate *v)
{
    struct sl_validate_set s;
    if (v->kind == SL_VALIDATE_NATIVE)
        return sl_validate_skip(v, "csim counts no cycles and has no memory of its own");
    int err = sl_validate_set_open(&s);
    struct sl_validate_job *j =
        err ? NULL : sl_validate_add_plain(v, &s, SL_FORMAT_NF4, K, ROWS_PER_PORT * v->caps.n_port);
    if (j)
        j->job.n_tokens = 1;
    else
        err = SL_ERR_NOMEM;
    err = err ? err : sl_validate_set_run(v, &s);
    err = err ? err : sl_validate_set_check(v, &s);
    if (!err && v->test.result == SL_VALIDATE_PASSED)
        err = show_weights(v, &s);
    sl_validate_set_close(&s);
    return err;
}
