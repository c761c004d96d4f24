/* SPDX-License-Identifier: Apache-2.0 */
#include "expect_report.h"

#include <math.h>

#include "input.h"
#include "verbs.h"

/* Of the choices between two counts: how many a device held; otherwise: there were none. */
static double hit(const struct sl_placement *a, const struct sl_placement *b, double otherwise)
{
    const uint64_t held = b->on_card - a->on_card;
    const uint64_t all = held + b->on_cpu - a->on_cpu + b->streamed - a->streamed;
    return all ? (double)held / (double)all : otherwise;
}

static int expect(const struct sl_expect_run *run, struct sl_expect_params *params,
                  struct sl_model_params *model, struct sl_expected *out)
{
    static const struct sl_placement none;
    const double prefill = hit(&none, run->read, 1);
    *model = sl_input_model_params(run->o);
    *params = (struct sl_expect_params){.model = model,
                                        .n_prompt = (uint32_t)run->n_prompt,
                                        .n_ctx = (uint32_t)(run->n_prompt + run->n_decoded / 2),
                                        .prefill_hit = prefill,
                                        .decode_hit = hit(run->read, run->now, prefill)};
    return sl_expect(params, out);
}

void sl_expect_print(FILE *f, const struct sl_expect_run *run)
{
    struct sl_expect_params params;
    struct sl_model_params model;
    struct sl_expected e;
    if (expect(run, &params, &model, &e)) {
        fprintf(f, "note: nothing can be expected: %s\n", sl_error_message());
        return;
    }
    if (!e.by)
        return;
    fprintf(f, "expected: prefill %.1f tok/s, decode %.1f tok/s (by %s", e.prefill_tokens_per_s,
            e.decode_tokens_per_s, e.by);
    if (e.cpu_gbps > 0)
        fprintf(f, "; CPU memory %.1f GB/s", e.cpu_gbps);
    if (e.cpu_gmacs > 0)
        fprintf(f, " and %.1f G multiply-accumulates/s", e.cpu_gmacs);
    if (e.cpu_gbps > 0)
        fprintf(f, ", %s", e.cpu_measured ? "measured" : "given");
    fprintf(f, "%s)\n", run->now->memory_slot ? "; without the disk" : "");
}

json_t *sl_expect_json(const struct sl_expect_run *run)
{
    struct sl_expect_params params;
    struct sl_model_params model;
    struct sl_expected e;
    if (expect(run, &params, &model, &e) || !e.by)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:f, s:f, s:f, s:f, s:b, s:b}", "by", e.by,
                     "prefill_tokens_per_s", sl_json_number(e.prefill_tokens_per_s),
                     "decode_tokens_per_s", sl_json_number(e.decode_tokens_per_s), "prefill_hit",
                     params.prefill_hit, "decode_hit", params.decode_hit, "cpu_gbps", e.cpu_gbps,
                     "cpu_gmacs", e.cpu_gmacs, "cpu_measured", (int)e.cpu_measured, "disk_counted",
                     (int)!run->now->memory_slot);
}
