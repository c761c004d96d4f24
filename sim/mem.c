/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <stddef.h>

static const struct {
    const char *name;
    struct sl_mem *(*open)(int32_t latency);
} models[] = {
    [SL_SIM_HBM] = {"hbm", sl_mem_hbm_open},
    [SL_SIM_DDR] = {"ddr", sl_mem_ddr_open},
    [SL_SIM_IDEAL] = {"ideal", sl_mem_ideal_open},
};

struct sl_mem *sl_mem_open(const struct sl_sim_options *options)
{
    struct sl_mem *mem = models[options->memory].open(options->latency);
    if (mem)
        mem->ops->reset(mem);
    return mem;
}

void sl_mem_close(struct sl_mem *mem)
{
    if (mem)
        mem->ops->close(mem);
}

const char *sl_mem_name(enum sl_sim_memory memory)
{
    return models[memory].name;
}

/* Bursts wait in the port as they do behind ARREADY: the oldest beat is taken in the cycle in which
 * it is there. */
double sl_mem_stream(const struct sl_sim_options *options, uint64_t bytes)
{
    enum { COMMANDS = SL_MEM_MAX_BURST / SL_MEM_COMMAND_BEATS, MAX_BURSTS = 64 };
    struct sl_mem *mem = sl_mem_open(options);
    if (!mem)
        return 0;
    uint64_t done[MAX_BURSTS] = {0}, ready[SL_MEM_MAX_BURST], now = 0, first = 0, taken = 0;
    unsigned depth = mem->max_command / COMMANDS;
    depth = depth < 1 ? 1 : depth < MAX_BURSTS ? depth : MAX_BURSTS;
    for (uint64_t i = 0; i < bytes / (SL_MEM_MAX_BURST * SL_MEM_BEAT); i++) {
        if (i >= depth && done[i % depth] >= now)
            now = done[i % depth] + 1;
        mem->ops->read(mem, i * SL_MEM_MAX_BURST * SL_MEM_BEAT, SL_MEM_MAX_BURST, now++, ready);
        for (unsigned b = 0; b < SL_MEM_MAX_BURST; b++)
            taken = ready[b] > taken ? ready[b] : taken + 1;
        first = i ? first : ready[0];
        done[i % depth] = taken;
    }
    sl_mem_close(mem);
    return (double)bytes / (double)(taken + 1 - first);
}

double sl_mem_ceiling(const struct sl_sim_options *options)
{
    return sl_mem_stream(options, 64u << 20);
}
