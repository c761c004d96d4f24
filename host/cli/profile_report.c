/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

enum { MAX_OP = 128, MAX_WORK = 64 };

/* ---- table ---------------------------------------------------------------------------------- */

/* "12.3 %", or "-" for what is not known. */
static const char *percent(double share, char text[16])
{
    snprintf(text, 16, isnan(share) ? "-" : "%.1f %%", 100 * share);
    return text;
}

static const char *count(uint64_t n, bool known, char text[24])
{
    snprintf(text, 24, known ? "%llu" : "-", (unsigned long long)n);
    return text;
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

/* What the core is, and what 100 % is. */
static void core_header(FILE *f, const struct sl_profile_device *d)
{
    unsigned slots = 64 * d->n_port * d->n_column;
    fprintf(f, "profile of core %s: %u weight port%s x %u token column%s, %llu launches\n", d->name,
            d->n_port, d->n_port == 1 ? "" : "s", d->n_column, d->n_column == 1 ? "" : "s",
            (unsigned long long)d->launches);
    if (d->clock_hz > 0)
        fprintf(f, "  cycles are %s, %.1f MHz nominal: %.6f s for %llu cycles\n",
                strncmp(d->memory, "modelled", 8) ? "simulated" : "modelled", d->clock_hz * 1e-6,
                (double)d->cycles / d->clock_hz, (unsigned long long)d->cycles);
    else
        fputs("  it reports no cycles, so shares of time are unknown\n", f);
    if (d->ceiling > 0)
        fprintf(f,
                "  memory: 100 %% is %.2f weight bytes a cycle, the most that linear reads get of "
                "the model \"%s\"\n",
                d->ceiling, d->memory);
    fprintf(f,
            "  slots: 100 %% is %u multiply-accumulates a cycle, of 4-bit formats %u, of the "
            "router's 16-bit codes %u\n",
            slots, 2 * slots, slots / 2);
    if (d->clock_hz > 0)
        fputs("  bound by: the largest use or stall; latency: start and end of jobs, units without "
              "weights\n",
              f);
}

static void core_row(FILE *f, const struct sl_profile_op *op, bool timed)
{
    char name[48], cycles[24], memory[16], slots[16], stall[3][16];
    snprintf(name, sizeof name, "%s%s%s", op->op, *op->format ? " " : "", op->format);
    fprintf(f, "  %-18s %-8s %8llu %9llu %14s %14llu %8s %8s %8s %8s %8s  %s\n", name, op->phase,
            (unsigned long long)op->jobs, (unsigned long long)op->launches,
            count(op->cycles, timed, cycles), (unsigned long long)op->bytes,
            percent(op->memory_share, memory), percent(op->slot_share, slots),
            percent(ratio(op->stall_read, op->cycles), stall[0]),
            percent(ratio(op->stall_ctl, op->cycles), stall[1]),
            percent(ratio(op->stall_core, op->cycles), stall[2]), op->bound);
}

static void core_table(FILE *f, const struct sl_profile *profile, const struct sl_profile_device *d)
{
    struct sl_profile_op op[MAX_OP];
    size_t n = sl_profile_get_ops(profile, op, MAX_OP);
    bool timed = d->clock_hz > 0;
    core_header(f, d);
    fprintf(f, "  %-18s %-8s %8s %9s %14s %14s %8s %8s %8s %8s %8s  %s\n", "operation", "phase",
            "jobs", "launches", "cycles", "weight bytes", "memory", "slots", "wait mem", "wait ctl",
            "wait arr", "bound by");
    for (size_t i = 0; i < n && i < MAX_OP; i++)
        core_row(f, &op[i], timed);
    if (timed && d->cycles > d->job_cycles)
        fprintf(f, "  %-18s %-8s %8s %9llu %14llu %66s\n", "outside of jobs", "", "",
                (unsigned long long)d->launches, (unsigned long long)(d->cycles - d->job_cycles),
                "launch");
}

static void host_table(FILE *f, const struct sl_profile *profile)
{
    struct sl_profile_work work[MAX_WORK];
    size_t n = sl_profile_get_work(profile, work, MAX_WORK);
    double sum = 0;
    n = n < MAX_WORK ? n : MAX_WORK;
    for (size_t i = 0; i < n; i++)
        sum += work[i].setup ? 0 : work[i].self_s;
    fputs("host, wall time; seconds without what is listed by itself, shares without set-up\n", f);
    fprintf(f, "  %-18s %8s %12s %8s\n", "work", "calls", "seconds", "share");
    for (size_t i = 0; i < n; i++) {
        char share[16];
        fprintf(f, "  %-18s %8llu %12.6f %8s\n", work[i].name, (unsigned long long)work[i].calls,
                work[i].self_s,
                percent(work[i].setup || sum <= 0 ? NAN : work[i].self_s / sum, share));
    }
}

void sl_profile_table(FILE *f, const struct sl_profile *profile)
{
    struct sl_profile_device d;
    sl_profile_get_device(profile, &d);
    if (d.launches)
        core_table(f, profile, &d);
    host_table(f, profile);
    if (d.dropped_spans || d.dropped_launches)
        fprintf(f,
                "note: the trace lacks %llu spans and %llu launches that came after it was full; "
                "the sums have them\n",
                (unsigned long long)d.dropped_spans, (unsigned long long)d.dropped_launches);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Number, or null for what the device does not report. */
static json_t *known(uint64_t n, bool is_known)
{
    return is_known ? integer(n) : json_null();
}

static json_t *device_json(const struct sl_profile_device *d)
{
    bool timed = d->clock_hz > 0;
    if (!d->launches)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(d->name));
    json_object_set_new(o, "ports", integer(d->n_port));
    json_object_set_new(o, "columns", integer(d->n_column));
    json_object_set_new(o, "launches", integer(d->launches));
    json_object_set_new(o, "launch_wall_s", json_real(d->launch_s));
    json_object_set_new(o, "simulated_cycles", known(d->cycles, timed));
    json_object_set_new(o, "simulated_cycles_of_jobs", known(d->job_cycles, timed));
    json_object_set_new(o, "nominal_clock_hz", timed ? json_real(d->clock_hz) : json_null());
    json_object_set_new(o, "memory", timed ? json_string(d->memory) : json_null());
    json_object_set_new(o, "memory_ceiling_bytes_per_cycle",
                        d->ceiling > 0 ? json_real(d->ceiling) : json_null());
    json_object_set_new(o, "slots_per_cycle", integer(64 * d->n_port * d->n_column));
    return o;
}

static json_t *op_json(const struct sl_profile_op *op, bool timed)
{
    json_t *o = json_object();
    json_object_set_new(o, "op", json_string(op->op));
    json_object_set_new(o, "format", *op->format ? json_string(op->format) : json_null());
    json_object_set_new(o, "phase", json_string(op->phase));
    json_object_set_new(o, "jobs", integer(op->jobs));
    json_object_set_new(o, "launches", integer(op->launches));
    json_object_set_new(o, "cycles", known(op->cycles, timed));
    json_object_set_new(o, "macs", integer(op->macs));
    json_object_set_new(o, "weight_bytes", integer(op->bytes));
    json_object_set_new(o, "stall_read", known(op->stall_read, timed));
    json_object_set_new(o, "stall_ctl", known(op->stall_ctl, timed));
    json_object_set_new(o, "stall_core", known(op->stall_core, timed));
    json_object_set_new(o, "saturations", integer(op->saturations));
    json_object_set_new(o, "clamps", integer(op->clamps));
    json_object_set_new(o, "memory_share", sl_json_number(op->memory_share));
    json_object_set_new(o, "slot_share", sl_json_number(op->slot_share));
    json_object_set_new(o, "bound_by", timed ? json_string(op->bound) : json_null());
    return o;
}

json_t *sl_profile_json(const struct sl_profile *profile, const char *path)
{
    struct sl_profile_device d;
    struct sl_profile_op op[MAX_OP];
    struct sl_profile_work work[MAX_WORK];
    size_t n_op = sl_profile_get_ops(profile, op, MAX_OP);
    size_t n_work = sl_profile_get_work(profile, work, MAX_WORK);
    json_t *ops = json_array(), *host = json_array();
    sl_profile_get_device(profile, &d);
    for (size_t i = 0; i < n_op && i < MAX_OP; i++)
        json_array_append_new(ops, op_json(&op[i], d.clock_hz > 0));
    for (size_t i = 0; i < n_work && i < MAX_WORK; i++)
        json_array_append_new(host,
                              json_pack("{s:s, s:b, s:I, s:f, s:f}", "work", work[i].name, "setup",
                                        (int)work[i].setup, "calls", (json_int_t)work[i].calls,
                                        "wall_s", work[i].total_s, "self_wall_s", work[i].self_s));
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I}", "file", path, "device", device_json(&d),
                     "operations", ops, "host", host, "dropped_spans", (json_int_t)d.dropped_spans,
                     "dropped_launches", (json_int_t)d.dropped_launches);
}
