/* SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <stdio.h>

typedef unsigned long long ull;

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_prediction(const char *phase, const struct sl_prediction *p)
{
    if (p->guesses)
        fprintf(stderr,
                "  %s: of %llu guesses for the next layer %.1f %% right (%.1f %% of what was "
                "wanted); %s, switched %llu times\n",
                phase, (ull)p->guesses, percent(p->right, p->guesses), percent(p->right, p->chosen),
                p->on ? "they are read ahead" : "not used", (ull)p->switched);
}

void sl_explain_print(const struct sl_placement *p)
{
    const uint64_t all = p->on_card + p->on_cpu + p->streamed;
    if (all)
        fprintf(stderr,
                "experts: %llu tokens through one each: %.1f %% by cards that held it, %.1f %% by "
                "cards it was sent to, %.1f %% by the CPU, as no card held it\n",
                (ull)all, percent(p->on_card, all), percent(p->streamed, all),
                percent(p->on_cpu, all));
    if (p->n_slot)
        fprintf(
            stderr,
            "  cards: %llu slots; %llu experts moved in (%.1f MB); not worth it %llu times, put "
            "off %llu times (an earlier one was on its way), %llu failed\n",
            (ull)p->n_slot, (ull)p->promoted, (double)p->promoted_bytes / 1e6, (ull)p->passed_by,
            (ull)p->put_off, (ull)p->upload_failed);
    if (!p->memory_slot)
        return;
    fprintf(stderr,
            "  memory: %llu slots of %.1f MB; %llu demands, %.1f %% found there; %.1f MB read, "
            "%.2f s waited\n",
            (ull)p->memory_slot, (double)p->memory_slot_bytes / 1e6, (ull)p->demands,
            percent(p->hits, p->demands), (double)p->bytes_read / 1e6, p->wait_s);
    print_prediction("decode", &p->decode);
    print_prediction("prefill", &p->prefill);
    if (p->prefetches)
        fprintf(stderr, "  read ahead: %llu experts, %.1f %% wanted later, %.1f %% in vain\n",
                (ull)p->prefetches, percent(p->prefetch_hits, p->prefetches),
                percent(p->prefetch_wasted, p->prefetches));
}

static json_t *prediction(const struct sl_prediction *p)
{
    return json_pack("{sI sI sI sI sb}", "guesses", (json_int_t)p->guesses, "right",
                     (json_int_t)p->right, "chosen", (json_int_t)p->chosen, "switched",
                     (json_int_t)p->switched, "on", p->on);
}

json_t *sl_explain_json(const struct sl_placement *p)
{
    return json_pack("{sI sI sI s{sI sI sI sI sI sI} s{sI sI sI sI sI sI sI sI sf} so so}",
                     "on_card", (json_int_t)p->on_card, "on_cpu", (json_int_t)p->on_cpu, "streamed",
                     (json_int_t)p->streamed, "cards", "slots", (json_int_t)p->n_slot, "promoted",
                     (json_int_t)p->promoted, "promoted_bytes", (json_int_t)p->promoted_bytes,
                     "passed_by", (json_int_t)p->passed_by, "put_off", (json_int_t)p->put_off,
                     "failed", (json_int_t)p->upload_failed, "memory", "slots",
                     (json_int_t)p->memory_slot, "slot_bytes", (json_int_t)p->memory_slot_bytes,
                     "demands", (json_int_t)p->demands, "hits", (json_int_t)p->hits, "bytes_read",
                     (json_int_t)p->bytes_read, "prefetches", (json_int_t)p->prefetches,
                     "prefetch_hits", (json_int_t)p->prefetch_hits, "prefetch_wasted",
                     (json_int_t)p->prefetch_wasted, "wait_s", p->wait_s, "decode",
                     prediction(&p->decode), "prefill", prediction(&p->prefill));
}
