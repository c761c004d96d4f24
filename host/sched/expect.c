/* SPDX-License-Identifier: Apache-2.0 */
/* What a run should take: sluice.h, sl_expect. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/fabric_state.h"
#include "accel/sim_options.h"
#include "accel/tlm_device.h"
#include "base/err.h"
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

/* Bytes that the experts of n tokens cost in a layer, read once for at most 64 tokens. */
static double expert_bytes(const struct sl_plan_weights *w, uint32_t n)
{
    const struct sl_config *c = &w->manifest.layout.config;
    if (!c->n_expert)
        return 0;
    const double distinct = sl_plan_distinct(c, n), each = n * c->n_expert_used / distinct;
    const double tasks = ceil(each / SL_MAX_TOKENS);
    return w->expert * distinct * tasks * sl_cpu_work(1) * (1 + 0.25 * each / tasks) / 1.25;
}

static double pass_bytes(const struct sl_plan_weights *w, uint32_t n)
{
    const double other = (w->dense + w->router + w->shared) * sl_plan_dense_work(n);
    return w->n_layer * (other + expert_bytes(w, n));
}

static int expect_cpu(const struct sl_expect_params *q, struct sl_expected *out)
{
    const struct sl_model_params *m = q->model;
    struct sl_plan_weights w;
    struct sl_model_info info;
    int err = sl_plan_weights_open(&w, m->path, m->format, m->format_dense);
    out->cpu_gbps = err ? 0 : sl_plan_measure_cpu(m->n_threads);
    out->cpu_measured = true;
    if (!err && out->cpu_gbps > 0) {
        sl_config_get_info(&w.manifest.layout.config, &info);
        const double kv = (double)info.kv_bytes_int8 * q->n_ctx;
        const double decode = pass_bytes(&w, 1) + w.head + kv;
        double prefill = w.head;
        for (uint32_t t = 0; t < q->n_prompt; t += SL_BATCH_TOKENS)
            prefill += pass_bytes(&w, q->n_prompt - t < SL_BATCH_TOKENS ? q->n_prompt - t
                                                                        : SL_BATCH_TOKENS);
        out->by = "memory";
        out->decode_tokens_per_s = out->cpu_gbps * 1e9 / decode;
        out->prefill_tokens_per_s = q->n_prompt * out->cpu_gbps * 1e9 / prefill;
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
    out->cpu_gbps = link->cpu_measured ? sl_plan_measure_cpu(m->n_threads) : link->cpu_gbps;
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
        return expect_cpu(params, out);
    if (is_device(device, "model", &options) || is_device(device, "sim", &options))
        return expect_device(params, options, out);
    return 0;
}
