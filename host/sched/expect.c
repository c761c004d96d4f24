/* SPDX-License-Identifier: Apache-2.0 */
/* What a run should take: sluice.h, sl_expect. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/sim_options.h"
#include "accel/tlm_device.h"
#include "base/err.h"
#include "fabric/fabric_state.h"
#include "sched/cpu_rate.h"
#include "sched/plan.h"
#include "sched/plan_weights.h"

static const double without_limit = 1e9; /* in units of 1e9 bytes, and of that a second */

/* The options behind "NAME:", NULL: it has none. False: the device has another name, or there are
 * several. */
static bool is_device(const char *device, const char *name, const char **options)
{
    const size_t len = strcspn(device, ":,");
    *options = device[len] ? device + len + 1 : NULL;
    return strlen(name) == len && !strncmp(device, name, len) && !strchr(device, '+');
}

/* ---- the CPU alone --------------------------------------------------------------------------- */

struct cpu {
    double gbps, gmacs, gmacs_dense; /* memory; products in the experts' and the dense format */
};

static int measure_cpu(struct cpu *out, const char *instructions, unsigned n_thread,
                       const struct sl_layout *layout)
{
    const struct sl_cpu_ops *ops = sl_cpu_ops_best();
    int err = instructions ? sl_cpu_ops_named(&ops, instructions) : 0;
    if (err)
        return err;
    out->gbps = sl_cpu_rate_memory(n_thread);
    out->gmacs = sl_cpu_rate_multiply(ops, n_thread, layout->format);
    out->gmacs_dense = layout->format_dense == layout->format
                           ? out->gmacs
                           : sl_cpu_rate_multiply(ops, n_thread, layout->format_dense);
    return 0;
}

/* What n tokens cost, in bytes read. */
static double pass_bytes(const struct sl_plan_weights *w, const struct cpu *cpu, uint32_t n)
{
    const struct sl_layout *l = &w->manifest.layout;
    const struct sl_config *c = &l->config;
    const double distinct = c->n_expert ? sl_plan_distinct(c, n) : 0;
    const double each = c->n_expert ? n * c->n_expert_used / distinct : 0;
    const double dense = sl_cpu_rate_work(n, l->format_dense, cpu->gbps, cpu->gmacs_dense);
    const double shared = sl_cpu_rate_work(n, l->format, cpu->gbps, cpu->gmacs);
    const double expert = sl_cpu_rate_work(each, l->format, cpu->gbps, cpu->gmacs);
    const double router = ceil((double)n / SL_MAX_TOKENS);
    return w->n_layer * (w->dense * dense + w->router * router + w->shared * shared +
                         w->expert * distinct * expert);
}

static int expect_cpu(const struct sl_expect_params *q, const char *instructions,
                      struct sl_expected *out)
{
    const struct sl_model_params *m = q->model;
    struct sl_plan_weights w;
    struct sl_model_info info;
    struct cpu cpu = {0};
    int err = sl_plan_weights_open(&w, m->path, m->format, m->format_dense);
    err = err ? err : measure_cpu(&cpu, instructions, m->n_threads, &w.manifest.layout);
    if (!err && cpu.gbps > 0) {
        sl_config_get_info(&w.manifest.layout.config, &info);
        const double kv = (double)info.kv_bytes_int8 * q->n_ctx;
        const double decode = pass_bytes(&w, &cpu, 1) + w.head + kv + w.n_layer * w.filter;
        double prefill = w.head;
        for (uint32_t t = 0; t < q->n_prompt; t += SL_BATCH_TOKENS)
            prefill += pass_bytes(
                &w, &cpu, q->n_prompt - t < SL_BATCH_TOKENS ? q->n_prompt - t : SL_BATCH_TOKENS);
        *out = (struct sl_expected){.by = "memory",
                                    .decode_tokens_per_s = cpu.gbps * 1e9 / decode,
                                    .prefill_tokens_per_s = q->n_prompt * cpu.gbps * 1e9 / prefill,
                                    .cpu_gbps = cpu.gbps,
                                    .cpu_gmacs = cpu.gmacs,
                                    .cpu_measured = true};
    }
    sl_plan_weights_close(&w);
    return err;
}

/* ---- a device with a clock of its own -------------------------------------------------------- */

static struct sl_plan_cards cards_of(const struct sl_sim_config *c)
{
    return (struct sl_plan_cards){.name = "device",
                                  .n = 1,
                                  .core = sl_tlm_device_core(c),
                                  .gb = without_limit,
                                  .gbps = without_limit,
                                  .clock_hz = SL_TLM_CLOCK_HZ,
                                  .link = c->link};
}

/* The device's clock does not know of attention. */
static double tokens_per_s(const struct sl_plan_time *t, uint32_t n)
{
    return n / (t->total_s - t->attention_s);
}

static int expect_device(const struct sl_expect_params *q, const char *options,
                         struct sl_expected *out)
{
    const struct sl_model_params *m = q->model;
    struct sl_sim_config config;
    struct sl_plan plan;
    char routing[32];
    int err = sl_sim_config_parse(&config, options);
    if (err)
        return err;
    const struct sl_link_config *link = &config.link;
    const struct sl_plan_cards cards = cards_of(&config);
    out->cpu_measured = link->cpu_measured;
    out->cpu_gbps = link->cpu_measured ? sl_cpu_rate_memory(m->n_threads) : link->cpu_gbps;
    const struct sl_plan_host host = {.gb = without_limit,
                                      .gbps = out->cpu_gbps > 0 ? out->cpu_gbps : without_limit,
                                      .disk_gbps = without_limit};
    struct sl_plan_params p = {.path = m->path,
                               .format = m->format,
                               .format_dense = m->format_dense,
                               .resident = m->resident ? m->resident : "all",
                               .dense = m->dense,
                               .routing = routing,
                               .n_ctx = q->n_ctx,
                               .n_prompt = q->n_prompt};
    snprintf(routing, sizeof routing, "hit:%.9f", q->decode_hit);
    err = sl_plan_for(&p, &cards, &host, &plan);
    if (err)
        return err;
    out->decode_tokens_per_s = tokens_per_s(&plan.decode, 1);
    snprintf(routing, sizeof routing, "hit:%.9f", q->prefill_hit);
    err = sl_plan_for(&p, &cards, &host, &plan);
    if (err)
        return err;
    out->prefill_tokens_per_s = tokens_per_s(&plan.prefill, q->n_prompt);
    out->by = "plan";
    return 0;
}

int sl_expect(const struct sl_expect_params *params, struct sl_expected *out)
{
    const struct sl_model_params *m = params->model;
    const char *options, *device = m->device ? m->device : "";
    *out = (struct sl_expected){0};
    if (m->exact)
        return 0;
    if (is_device(device, "cpu", &options))
        return expect_cpu(params, options, out);
    if (is_device(device, "model", &options) || is_device(device, "sim", &options))
        return expect_device(params, options, out);
    return 0;
}
