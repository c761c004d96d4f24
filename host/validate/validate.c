/* SPDX-License-Identifier: Apache-2.0 */
#include "validate/validate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

static const struct step {
    const char *name;
    int (*run)(struct sl_validate *v);
    bool needs_device;
} steps[SL_VALIDATE_N_TEST] = {
    {"open and query", sl_validate_open, false},
    {"memory", sl_validate_memory, true},
    {"transfer bandwidth", sl_validate_bandwidth, true},
    {"launch latency", sl_validate_latency, true},
    {"arithmetic", sl_validate_arithmetic, true},
    {"malformed jobs", sl_validate_malformed, true},
    {"core to memory", sl_validate_weights, true},
    {"close and open again", sl_validate_reopen, false},
    {"sensors", sl_validate_sensors, false},
};

/* ---- for the tests -------------------------------------------------------------------------- */

static void say(struct sl_validate *v, enum sl_validate_result result, const char *fmt,
                va_list args)
{
    v->test.result = result;
    vsnprintf(v->test.detail, sizeof v->test.detail, fmt, args);
}

int sl_validate_wrong(struct sl_validate *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(v, SL_VALIDATE_FAILED, fmt, args);
    va_end(args);
    return 0;
}

int sl_validate_skip(struct sl_validate *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(v, SL_VALIDATE_SKIPPED, fmt, args);
    va_end(args);
    return 0;
}

int sl_validate_go_on(struct sl_validate *v)
{
    const struct sl_validate_params *p = v->params;
    if (!p->progress ||
        p->progress(p->progress_user, v->test.name, v->test.number - 1, SL_VALIDATE_N_TEST))
        return 0;
    return sl_fail(SL_ERR_INTERRUPTED, NULL, "validation was interrupted in test %u, %s",
                   v->test.number, v->test.name);
}

struct sl_validate_row *sl_validate_add_row(struct sl_validate *v, const char *name)
{
    struct sl_validate_row *row = &v->test.row[v->test.n_row++];
    snprintf(row->name, sizeof row->name, "%s", name);
    for (unsigned i = 0; i < SL_VALIDATE_MAX_COLUMN; i++)
        row->value[i] = NAN;
    return row;
}

unsigned sl_validate_deadline(const struct sl_validate *v)
{
    enum { DEADLINE_MS = 120000 };
    return v->dev->deadline_ms && v->dev->deadline_ms < DEADLINE_MS ? v->dev->deadline_ms
                                                                    : DEADLINE_MS;
}

/* xorshift: any words do, as long as a wrong one is not right by chance. */
uint64_t sl_validate_random(struct sl_validate *v)
{
    v->rng ^= v->rng << 13;
    v->rng ^= v->rng >> 7;
    v->rng ^= v->rng << 17;
    return v->rng * 0x2545F4914F6CDD1Du;
}

double sl_validate_seconds(void)
{
    return (double)sl_now_ns() * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double sl_validate_quantile(double *value, unsigned n, double share)
{
    qsort(value, n, sizeof value[0], ascending);
    const unsigned i = (unsigned)(share * n);
    return value[i < n ? i : n - 1];
}

const char *sl_validate_cycles(const struct sl_validate *v)
{
    if (v->kind == SL_VALIDATE_MODEL)
        return "modelled cycles";
    return v->kind == SL_VALIDATE_SIM || v->kind == SL_VALIDATE_EMULATED ? "simulated cycles"
                                                                         : "cycles";
}

/* ---- the sequence --------------------------------------------------------------------------- */

/* Why a test is not run; false: it is. */
static bool excused(struct sl_validate *v, const struct step *step)
{
    if (v->open_err)
        return sl_validate_skip(v, "the device could not be opened"), true;
    if (v->lost && step->needs_device)
        return sl_validate_skip(v, "the device failed in test %u", v->lost), true;
    return false;
}

/* The device's failure in words, with what to do about it. */
static void take_failure(struct sl_validate *v)
{
    const char *hint = sl_error_hint();
    sl_validate_wrong(v, "%s%s%s", sl_error_message(), *hint ? "; hint: " : "", hint);
    v->test.n_row = 0;
    if (!v->lost)
        v->lost = v->test.number;
}

static int run_step(struct sl_validate *v, unsigned i)
{
    const double begin = sl_validate_seconds();
    v->test = (struct sl_validate_test){.number = i + 1, .name = steps[i].name};
    if (!excused(v, &steps[i])) {
        int err = sl_validate_go_on(v);
        err = err ? err : steps[i].run(v);
        if (err == SL_ERR_INTERRUPTED)
            return err;
        if (err)
            take_failure(v);
    }
    v->test.seconds = sl_validate_seconds() - begin;
    v->params->report(v->params->user, &v->test);
    return 0;
}

int sl_validate_with(const struct sl_validate_params *params, sl_validate_open_fn open)
{
    struct sl_validate *v = sl_alloc(1, sizeof *v);
    if (!v)
        return SL_ERR_NOMEM;
    v->params = params;
    v->open = open;
    v->rng = 0x51DEC0DE;
    int err = 0;
    for (unsigned i = 0; i < SL_VALIDATE_N_TEST && !err; i++)
        err = run_step(v, i);
    sl_device_close(&v->dev);
    sl_device_close(&v->ref);
    err = err ? err : v->open_err;
    free(v);
    return err;
}

int sl_validate(const struct sl_validate_params *params)
{
    return sl_validate_with(params, sl_device_open);
}
