/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile keeps of a launch: every job's record, and the device's own count of cycles. */
#include <stdio.h>

#include "accel/code_names.h"
#include "fabric/joblist.h"
#include "store/format.h"
#include "store/slab.h"

/* Format, mode or kind of record of a job that went well. */
static const char *format_of(const struct sl_job *job)
{
    static const char *const modes[] = {"softmax", "sigmoid", "attention"};
    static const char *const records[] = {"int8", "int4"};
    switch (job->op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: return sl_format_name(job->format);
    case SL_OP_ROUTER: return modes[job->format];
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK: return records[job->format];
    default: return "";
    }
}

/* Multiply-accumulates that P ports and T columns can do in a cycle: one for each code of a beat,
 * of which there are 64 of 8 bits, 128 of 4 bits and, of a router, 32 of 16 bits. */
static uint32_t slots_of(const struct sl_joblist *list, const struct sl_job *job)
{
    bool weights = job->op == SL_OP_EXPERT || job->op == SL_OP_PLAIN;
    uint32_t codes = job->op == SL_OP_ROUTER ? SL_BEAT_BYTES / 2 : SL_BEAT_BYTES;
    if (weights && sl_format_is_4bit(job->format))
        codes = 2 * SL_BEAT_BYTES;
    return list->dev->n_port * list->n_column * codes;
}

static void add_job(const struct sl_joblist *list, uint32_t i)
{
    const struct sl_job *job = sl_joblist_at(list, list->jobs_off + i);
    const struct sl_record *r = sl_joblist_record(list, i);
    bool indirect = job->op == SL_OP_EXPERT && job->flags & SL_FLAG_INDIRECT;
    struct sl_profile_job entry = {.op = sl_op_name(job->op),
                                   .format = format_of(job),
                                   .cycles = r->cycles,
                                   .macs = r->macs,
                                   .beats = r->beats,
                                   .stall_read = r->stall_read,
                                   .stall_ctl = r->stall_ctl,
                                   .stall_core = r->stall_core,
                                   .saturations = r->saturations,
                                   .clamps = r->clamps,
                                   .slots = slots_of(list, job),
                                   .n_tok = job->n_tokens,
                                   .expert = indirect ? r->expert : -1};
    sl_profile_add_job(list->profile, &entry);
}

uint64_t sl_joblist_cycles(const struct sl_joblist *list)
{
    struct sl_device_counters c;
    if (!list->profile || !list->dev->ops->counters || sl_device_counters(list->dev, &c))
        return 0;
    return c.cycles;
}

void sl_joblist_record_launch(const struct sl_joblist *list, uint64_t begin, uint64_t end,
                              uint64_t cycles)
{
    struct sl_profile_launch launch = {begin, end, cycles};
    for (uint32_t i = 0; i < list->n_job; i++)
        add_job(list, i);
    sl_profile_add_launch(list->profile, &launch);
}

void sl_joblist_set_profile(struct sl_joblist *list, struct sl_profile *profile,
                            const struct sl_caps *caps)
{
    struct sl_device *dev = list->dev;
    struct sl_profile_device facts = {.n_port = caps->n_port, .n_column = caps->n_column};
    struct sl_device_counters c;
    snprintf(facts.name, sizeof facts.name, "%s", dev->name);
    if (dev->ops->counters && !sl_device_counters(dev, &c)) {
        facts.clock_hz = c.clock_hz;
        facts.ceiling = c.ceiling * c.n_port;
        snprintf(facts.memory, sizeof facts.memory, "%s", c.memory);
    }
    list->profile = profile;
    list->n_column = caps->n_column;
    sl_profile_set_device(profile, &facts);
}
