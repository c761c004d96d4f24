/* SPDX-License-Identifier: Apache-2.0 */
#include "time_report.h"

#include <math.h>

#include "verbs.h"

/* What passed between two readings of the clock. */
static struct sl_virtual_time between(const struct sl_virtual_time *a,
                                      const struct sl_virtual_time *b)
{
    return (struct sl_virtual_time){.total_s = b->total_s - a->total_s,
                                    .core_s = b->core_s - a->core_s,
                                    .launch_s = b->launch_s - a->launch_s,
                                    .link_s = b->link_s - a->link_s,
                                    .cpu_s = b->cpu_s - a->cpu_s,
                                    .up_s = b->up_s - a->up_s,
                                    .down_s = b->down_s - a->down_s,
                                    .beside_s = b->beside_s - a->beside_s,
                                    .hidden_s = b->hidden_s - a->hidden_s,
                                    .up_bytes = b->up_bytes - a->up_bytes,
                                    .down_bytes = b->down_bytes - a->down_bytes,
                                    .launches = b->launches - a->launches};
}

static double rate(size_t n, const struct sl_virtual_time *t)
{
    return t->total_s > 0 ? (double)n / t->total_s : NAN;
}

/* Of the shorter one, uploads beside launches or launches: what went on at the same time. */
static double hidden_share(const struct sl_virtual_time *t)
{
    const double shorter = fmin(t->beside_s, t->core_s + t->launch_s);
    return shorter > 0 ? t->hidden_s / shorter : NAN;
}

static void phase(FILE *f, const char *name, size_t n, const struct sl_virtual_time *t)
{
    if (!(t->total_s > 0))
        return;
    const double all = t->total_s / 100;
    fprintf(
        f,
        "modelled: %s %zu tokens in %.6f s, %.1f tok/s; core %.1f %%, launch %.1f %%, link %.1f "
        "%%, cpu %.1f %%; up %.3f MB, down %.3f MB",
        name, n, t->total_s, rate(n, t), t->core_s / all, t->launch_s / all, t->link_s / all,
        t->cpu_s / all, (double)t->up_bytes * 1e-6, (double)t->down_bytes * 1e-6);
    if (t->beside_s > 0)
        fprintf(f, "; uploads beside launches hidden %.1f %%", 100 * hidden_share(t));
    fputc('\n', f);
}

void sl_report_time(FILE *f, size_t n_prefill, size_t n_decode, const struct sl_report_clock *clock)
{
    const struct sl_virtual_time prefill = between(clock->opened, clock->read);
    const struct sl_virtual_time decode = between(clock->read, clock->now);
    phase(f, "prefill", n_prefill, &prefill);
    phase(f, "decode", n_decode, &decode);
}

static json_t *phase_json(size_t n, const struct sl_virtual_time *t)
{
    return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:I, s:I, s:I}",
                     "tokens_per_s", sl_json_number(rate(n, t)), "total_s", t->total_s, "core_s",
                     t->core_s, "launch_s", t->launch_s, "link_s", t->link_s, "cpu_s", t->cpu_s,
                     "up_s", t->up_s, "down_s", t->down_s, "beside_s", t->beside_s, "hidden_s",
                     t->hidden_s, "hidden_share", sl_json_number(hidden_share(t)), "up_bytes",
                     (json_int_t)t->up_bytes, "down_bytes", (json_int_t)t->down_bytes, "launches",
                     (json_int_t)t->launches);
}

json_t *sl_time_json(size_t n_prefill, size_t n_decode, const struct sl_report_clock *clock)
{
    static const struct sl_virtual_time zero;
    const struct sl_virtual_time setup = between(&zero, clock->opened);
    const struct sl_virtual_time prefill = between(clock->opened, clock->read);
    const struct sl_virtual_time decode = between(clock->read, clock->now);
    return json_pack("{s:s, s:o, s:o, s:o}", "clock", "modelled", "setup", phase_json(0, &setup),
                     "prefill", phase_json(n_prefill, &prefill), "decode",
                     phase_json(n_decode, &decode));
}
