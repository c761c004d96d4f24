/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ledger.h"

#include <stdio.h>

#include "base/err.h"

enum part { DENSE, ROUTER, SHARED, KEPT, EXPERTS, KV, WORK, DEVICE };
static const char *const names[SL_MEMORY_MAX_PART] = {
    "dense matrices", "routers",  "shared experts", "tensors kept as they are",
    "routed experts", "KV cache", "work buffers",   "device in this machine"};

static enum part part_of(enum sl_slab_role role)
{
    switch (role) {
    case SL_SLAB_ROLE_ROUTER: return ROUTER;
    case SL_SLAB_ROLE_SHARED: return SHARED;
    case SL_SLAB_ROLE_EXPERT: return EXPERTS;
    default: return DENSE;
    }
}

static void add_slabs(struct sl_memory *m, const struct sl_ledger_params *p)
{
    const struct sl_layout *l = p->layout;
    for (size_t i = 0; i < l->n_item; i++) {
        const struct sl_slab_item *item = &l->item[i];
        const uint64_t bytes = sl_slab_item_room(item);
        const enum part part = part_of(item->role);
        m->part[part].bytes += bytes;
        const bool copied =
            part == EXPERTS ? item->expert < p->n_resident : part != DENSE || p->device_dense;
        if (p->device_copies && copied)
            m->part[DEVICE].bytes += bytes;
    }
}

static uint64_t sum(const struct sl_memory *m)
{
    uint64_t total = 0;
    for (size_t i = 0; i < m->n_part; i++)
        total += m->part[i].bytes;
    return total;
}

/* The part with the most bytes below `below`. */
static const struct sl_memory_part *next_largest(const struct sl_memory *m, uint64_t below)
{
    const struct sl_memory_part *best = NULL;
    for (size_t i = 0; i < m->n_part; i++)
        if (m->part[i].bytes < below && (!best || m->part[i].bytes > best->bytes))
            best = &m->part[i];
    return best;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (1 << 30);
}

static int refuse(const struct sl_memory *m, const struct sl_ledger_params *p)
{
    char text[256];
    size_t n = 0;
    uint64_t below = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        const struct sl_memory_part *part = next_largest(m, below);
        if (!part || !part->bytes)
            break;
        below = part->bytes;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.2f", i ? ", " : "", part->name,
                              gib(part->bytes));
    }
    return sl_fail(SL_ERR_NOMEM,
                   !m->expert_bytes ? "choose a shorter context, or a smaller format"
                   : !p->can_stream
                       ? "convert it once: a converted model is read from disk as needed"
                   : m->part[DEVICE].bytes ? "let the device hold less: --device cpu, or --resident"
                                           : "choose a shorter context, or convert to a smaller "
                                             "format",
                   "memory: %.2f GiB are needed, %s leaves %.2f: %s", gib(sum(m)), p->limit_by,
                   gib(p->limit), text);
}

int sl_ledger_make(struct sl_memory *out, const struct sl_ledger_params *p)
{
    const struct sl_config *c = &p->layout->config;
    const struct sl_slab_item *expert = sl_layout_find(p->layout, SL_SLAB_ROLE_EXPERT, 0, 0);
    struct sl_memory m = {.n_part = SL_MEMORY_MAX_PART,
                          .limit = p->limit,
                          .limit_by = p->limit_by,
                          .n_expert = c->n_layer * c->n_expert,
                          .n_expert_held = c->n_layer * c->n_expert,
                          .expert_bytes = expert ? sl_slab_item_room(expert) : 0};
    for (size_t i = 0; i < m.n_part; i++)
        m.part[i].name = names[i];
    if (!c->n_expert)
        m.part[SHARED].name = "MLPs";
    add_slabs(&m, p);
    m.part[KEPT].bytes = p->kept_bytes;
    m.part[KV].bytes = p->kv_bytes;
    m.part[WORK].bytes = p->work_bytes;
    const uint64_t rest = sum(&m) - m.part[EXPERTS].bytes;
    if (p->limit && sum(&m) > p->limit) {
        const uint64_t left = p->limit > rest ? p->limit - rest : 0,
                       n = m.expert_bytes ? left / m.expert_bytes : 0;
        m.streamed = p->can_stream && m.expert_bytes;
        if (m.streamed) {
            m.n_expert_held = n > c->n_expert_used ? (uint32_t)n : c->n_expert_used;
            m.part[EXPERTS].bytes = m.n_expert_held * m.expert_bytes;
        }
        if (!m.streamed || n < c->n_expert_used)
            return refuse(&m, p);
    }
    m.total = sum(&m);
    *out = m;
    return 0;
}
