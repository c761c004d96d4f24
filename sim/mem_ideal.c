/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed latency, a beat a cycle, any number outstanding. What is judged under it is the core alone.
 */
#include <stdlib.h>

#include "mem.h"

enum { DEFAULT_LATENCY = 100 };

struct ideal {
    struct sl_mem base;
    uint64_t latency;
    uint64_t free_at; /* first cycle without a beat */
};

static void ideal_reset(struct sl_mem *mem)
{
    ((struct ideal *)mem)->free_at = 0;
}

static void ideal_read(struct sl_mem *mem, uint64_t off, unsigned n, uint64_t now, uint64_t *ready)
{
    struct ideal *m = (struct ideal *)mem;
    uint64_t at = now + m->latency;
    (void)off;
    at = at > m->free_at ? at : m->free_at;
    for (unsigned i = 0; i < n; i++)
        ready[i] = at + i;
    m->free_at = at + n;
}

static uint64_t ideal_write(struct sl_mem *mem, uint64_t off, uint64_t now)
{
    (void)mem;
    (void)off;
    return now + 1;
}

static void ideal_close(struct sl_mem *mem)
{
    free(mem);
}

static const struct sl_mem_ops ideal_ops = {"ideal", ideal_reset, ideal_read, ideal_write,
                                            ideal_close};

struct sl_mem *sl_mem_ideal_open(int32_t latency)
{
    struct ideal *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->latency = latency < 0 ? DEFAULT_LATENCY : (uint64_t)latency;
    m->base.ops = &ideal_ops;
    m->base.max_command = UINT32_MAX;
    m->base.write_cycles = (uint32_t)m->latency;
    return &m->base;
}
