/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

/* Registers of both kinds, and a bit. */
enum { REG_CONTROL = 0x08, REG_SAMPLE = 0x20, CONTROL_RESET = 2 };
/* A 64-bit count has its upper half so far behind the lower one. */
enum { AIM_FIRST = 0x80, AIM_UPPER = 0x40, AM_UPPER = 0x20 };

static struct sl_sim_traffic traffic_of(const struct sl_sim_counters *c, uint64_t port)
{
    return port == 0 ? c->ctl : c->w[port - 1];
}

static uint64_t aim_count(const struct sl_sim_traffic *t, uint32_t reg)
{
    switch (reg) {
    case 0x80: return t->write_bytes;
    case 0x84: return t->write_bursts;
    case 0x88: return t->write_latency;
    case 0x8C: return t->read_bytes;
    case 0x90: return t->read_bursts;
    case 0x94: return t->read_latency;
    case 0xB4: return t->read_busy;
    case 0xB8: return t->write_busy;
    default: return 0;
    }
}

static uint32_t aim_read(const struct monitors *m, uint64_t port, uint32_t reg)
{
    const bool upper = reg >= AIM_FIRST + AIM_UPPER;
    const uint32_t low = upper ? reg - AIM_UPPER : reg;
    const uint64_t count = aim_count(&m->port[port], low) - aim_count(&m->zero[port], low);
    return (uint32_t)(upper ? count >> 32 : count);
}

static uint64_t am_count(const struct monitors *m, uint32_t reg)
{
    switch (reg) {
    case 0x80: /* ends */
    case 0x9C: /* starts */ return m->core.launches - m->core_zero.launches;
    case 0x84: return m->core.cycles - m->core_zero.cycles;
    case 0x94: return m->min_cycles;
    case 0x98: return m->max_cycles;
    default: return 0;
    }
}

static uint32_t am_read(const struct monitors *m, uint32_t reg)
{
    const bool upper = reg >= 0xA0 && reg <= 0xBC;
    const uint64_t count = am_count(m, upper ? reg - AM_UPPER : reg);
    return (uint32_t)(upper ? count >> 32 : count);
}

uint32_t monitor_read(struct monitors *m, uint64_t offset, const struct sl_sim_counters *counters)
{
    const uint64_t index = offset / MONITOR_STRIDE;
    const uint32_t reg = (uint32_t)(offset % MONITOR_STRIDE);
    if (index < m->n_port && reg == REG_SAMPLE)
        m->port[index] = traffic_of(counters, index);
    else if (index < m->n_port)
        return aim_read(m, index, reg);
    else if (index == m->n_port && reg == REG_SAMPLE)
        m->core = (struct monitor_core){counters->launches, counters->cycles};
    else if (index == m->n_port)
        return am_read(m, reg);
    return 0;
}

void monitor_write(struct monitors *m, uint64_t offset, uint32_t value,
                   const struct sl_sim_counters *counters)
{
    const uint64_t index = offset / MONITOR_STRIDE;
    if (offset % MONITOR_STRIDE != REG_CONTROL || !(value & CONTROL_RESET))
        return;
    if (index < m->n_port)
        m->zero[index] = traffic_of(counters, index);
    if (index == m->n_port) {
        m->core_zero = (struct monitor_core){counters->launches, counters->cycles};
        m->min_cycles = m->max_cycles = 0;
    }
}

void monitor_launch(struct monitors *m, uint64_t cycles)
{
    if (!m->min_cycles || cycles < m->min_cycles)
        m->min_cycles = cycles;
    if (cycles > m->max_cycles)
        m->max_cycles = cycles;
}
