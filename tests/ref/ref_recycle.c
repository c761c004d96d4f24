/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_recycle.h"

void ref_philox(uint32_t key, const uint32_t counter[2], uint32_t word[2])
{
    word[0] = counter[0];
    word[1] = counter[1];
    for (uint32_t i = 0; i < 10; i++) {
        const uint64_t p = 0xD256D193u * (uint64_t)word[0];
        word[0] = (uint32_t)(p / 0x100000000u) ^ (key + i * 0x9E3779B9u) ^ word[1];
        word[1] = (uint32_t)(p % 0x100000000u);
    }
}

int32_t ref_noisy(const struct sl_job *job, unsigned t, unsigned expert, int32_t score)
{
    int64_t twice = 0; /* n, doubled */
    for (unsigned j = 0; j < 3; j++) {
        const uint32_t counter[2] = {job->route_off + t,
                                     job->route_token * 0x10000u + 256 + 4 * expert + j};
        uint32_t word[2];
        ref_philox(job->part_stride, counter, word);
        for (int i = 0; i < 2; i++)
            twice += 2 * (int64_t)(word[i] % 65536 + word[i] / 65536) - 2 * 65535;
    }
    return ref_sat32(score + (int64_t)ref_round((ref_wide)(twice / 2) * job->list_off, 16));
}

static unsigned expert_of(const struct sl_route_entry *entry, unsigned choice)
{
    return ref_get16((const uint8_t *)entry + SL_AT_route_expert0 + 2 * choice);
}

/* The candidates of a token, ascending; returns how many. */
static unsigned candidates(const struct ref_recycle *r, const struct sl_job *job,
                           const bool own[SL_MAX_N_EXPERT], unsigned list[SL_MAX_N_EXPERT])
{
    unsigned n = 0;
    for (unsigned e = 0; e < job->rows; e++)
        if (!own[e] && r->load[e] < job->slice_count)
            list[n++] = e;
    return n;
}

void ref_recycle(struct ref_recycle *r, const struct sl_job *job, unsigned t,
                 struct sl_route_entry *entry)
{
    bool own[SL_MAX_N_EXPERT] = {false};
    unsigned list[SL_MAX_N_EXPERT];
    for (unsigned c = 0; c < job->top_k; c++)
        own[expert_of(entry, c)] = true;
    for (unsigned c = 0; c < job->top_k; c++) {
        unsigned e = expert_of(entry, c);
        if (r->load[e] >= job->slice_count) {
            const uint32_t counter[2] = {job->route_off + t, job->route_token * 0x10000u + c};
            uint32_t word[2];
            const unsigned n = candidates(r, job, own, list);
            ref_philox(job->part_stride, counter, word);
            e = n ? list[(uint64_t)word[0] * n / 0x100000000u] : e;
            own[e] = true;
            r->overflows++;
        }
        r->load[e]++;
        ref_put16((uint8_t *)entry + SL_AT_route_expert0 + 2 * c, (uint16_t)e);
    }
}
