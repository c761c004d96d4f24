/* SPDX-License-Identifier: Apache-2.0 */
/* plan: what fits on cards, and how fast it would be. */
#include <stdio.h>

#include "console.h"
#include "verbs.h"

static const char *const part_names[] = {"core",       "launch",         "link", "cpu: experts",
                                         "cpu: dense", "cpu: attention", "disk"};
enum { N_PART = sizeof part_names / sizeof part_names[0] };

static void parts_of(const struct sl_plan_time *t, double out[N_PART])
{
    const double parts[N_PART] = {t->core_s,  t->launch_s,    t->link_s, t->experts_s,
                                  t->dense_s, t->attention_s, t->disk_s};
    for (unsigned i = 0; i < N_PART; i++)
        out[i] = parts[i];
}

/* ---- text ----------------------------------------------------------------------------------- */

static void print_assumptions(const struct sl_plan *p)
{
    printf("modelled, not measured: cycles by the core's transaction model, link and launch by "
           "published figures\n");
    printf("cards: %u x %s: core of %u ports x %u columns at %.0f MHz, %.1f GB at %.0f GB/s behind "
           "them; layers in turn\n",
           p->n_card, p->card, p->n_port, p->n_column, p->clock_hz * 1e-6, p->card_gb,
           p->card_gbps);
    printf("link: %.1f GB/s and %.1f us a transfer; %.0f us a launch\n", p->pcie_gbps, p->pcie_us,
           p->launch_us);
    printf("host: %.1f GB, CPU reads %.1f GB/s (%s), disk %.1f GB/s\n", p->host_gb, p->cpu_gbps,
           p->cpu_measured ? "measured by a loop over memory, here" : "given", p->disk_gbps);
    if (p->n_expert)
        printf("routing: %s: %.1f %% of the choices are resident (%u of %u experts a layer)\n",
               p->routing, 100 * p->hit, p->n_resident, p->n_expert);
    printf("dense matrices: --dense %s; experts of the CPU and uploads run beside launches, "
           "nothing else overlaps; norms, sampling and the like are not counted\n",
           p->dense);
}

static void print_places(const struct sl_plan *p)
{
    printf("\n%-16s %12s %12s %12s\n", "GB", "cards", "host memory", "disk");
    for (unsigned i = 0; i < sizeof p->place / sizeof p->place[0]; i++)
        printf("%-16s %12.3f %12.3f %12.3f\n", p->place[i].what, p->place[i].card * 1e-9,
               p->place[i].host * 1e-9, p->place[i].disk * 1e-9);
    printf("%-16s %12s %12.3f\n", "KV cache", "", p->kv_bytes * 1e-9);
}

static void print_times(const struct sl_plan *p)
{
    double decode[N_PART], prefill[N_PART];
    parts_of(&p->decode, decode);
    parts_of(&p->prefill, prefill);
    printf("\n%-16s %18s %8s %18s %8s\n", "time", "decode, ms a token", "share", "prefill, ms",
           "share");
    for (unsigned i = 0; i < N_PART; i++)
        printf("%-16s %18.3f %6.1f %% %18.3f %6.1f %%\n", part_names[i], 1e3 * decode[i],
               100 * decode[i] / p->decode.total_s, 1e3 * prefill[i],
               100 * prefill[i] / p->prefill.total_s);
    printf("%-16s %18.3f %8s %18.3f\n", "cpu, not waited", 1e3 * p->decode.beside_s, "",
           1e3 * p->prefill.beside_s);
    printf("\ndecode at %u positions: %.2f tok/s, bound by %s\n", p->n_ctx, p->decode.tokens_per_s,
           p->decode.bound);
    printf("prefill of %u tokens: %.2f tok/s, bound by %s\n", p->n_prompt, p->prefill.tokens_per_s,
           p->prefill.bound);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *time_object(const struct sl_plan_time *t)
{
    return json_pack("{s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                     "tokens_per_s", t->tokens_per_s, "total_s", t->total_s, "bound", t->bound,
                     "core_s", t->core_s, "launch_s", t->launch_s, "link_s", t->link_s,
                     "cpu_experts_s", t->experts_s, "cpu_dense_s", t->dense_s, "cpu_attention_s",
                     t->attention_s, "cpu_beside_s", t->beside_s, "disk_s", t->disk_s,
                     "weight_bytes", t->weight_bytes, "link_bytes", t->link_bytes);
}

static json_t *place_list(const struct sl_plan *p)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < sizeof p->place / sizeof p->place[0]; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f}", "what", p->place[i].what,
                                              "card_bytes", p->place[i].card, "host_bytes",
                                              p->place[i].host, "disk_bytes", p->place[i].disk));
    return list;
}

static json_t *plan_object(const struct sl_plan *p)
{
    json_t *cards =
        json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "name", p->card, "count",
                  (int)p->n_card, "ports", (int)p->n_port, "columns", (int)p->n_column, "gb",
                  p->card_gb, "gbps", p->card_gbps, "clock_hz", p->clock_hz, "pcie_gbps",
                  p->pcie_gbps, "pcie_us", p->pcie_us, "launch_us", p->launch_us);
    json_t *host = json_pack("{s:f, s:f, s:b, s:f}", "gb", p->host_gb, "cpu_gbps", p->cpu_gbps,
                             "cpu_measured", (int)p->cpu_measured, "disk_gbps", p->disk_gbps);
    return json_pack("{s:s, s:o, s:o, s:s, s:f, s:i, s:i, s:s, s:o, s:f, s:i, s:i, s:o, s:o}",
                     "clock", "modelled", "cards", cards, "host", host, "routing", p->routing,
                     "hit", p->hit, "resident", (int)p->n_resident, "experts", (int)p->n_expert,
                     "dense", p->dense, "places", place_list(p), "kv_bytes", p->kv_bytes,
                     "positions", (int)p->n_ctx, "prompt_tokens", (int)p->n_prompt, "decode",
                     time_object(&p->decode), "prefill", time_object(&p->prefill));
}

int sl_verb_plan(const struct sl_options *o)
{
    const struct sl_plan_params params = {.path = o->n_arg ? o->arg[0] : o->model,
                                          .format = o->format,
                                          .format_dense = o->format_dense,
                                          .cards = o->cards,
                                          .host = o->host,
                                          .resident = o->resident,
                                          .dense = o->dense,
                                          .routing = o->routing,
                                          .n_ctx = (uint32_t)o->ctx_size,
                                          .n_prompt = (uint32_t)o->prompt_tokens};
    struct sl_plan plan;
    int err = sl_plan(&params, &plan);
    if (err)
        return sl_cli_library_error(err);
    if (o->json)
        return sl_json_print(plan_object(&plan));
    print_assumptions(&plan);
    print_places(&plan);
    print_times(&plan);
    return sl_stdout_finish();
}
