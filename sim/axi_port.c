/* SPDX-License-Identifier: Apache-2.0 */
#include "axi_port.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sl_axi_violate(struct sl_axi_world *world, int port, const char *fmt, ...)
{
    if (world->violated)
        return;
    va_list args;
    char name[24];
    if (port == SL_SIM_CTL)
        snprintf(name, sizeof name, "m_axi_ctl");
    else
        snprintf(name, sizeof name, "m_axi_w[%d]", port);
    int n = snprintf(world->message, sizeof world->message,
                     "cycle %llu, %s: ", (unsigned long long)world->now, name);
    va_start(args, fmt);
    vsnprintf(world->message + n, sizeof world->message - (size_t)n, fmt, args);
    va_end(args);
    world->violated = true;
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* The arena that holds the whole burst for this port, or NULL. */
static const struct sl_sim_arena *find_arena(const struct sl_axi_world *world, int port,
                                             uint64_t addr, uint64_t bytes)
{
    uint32_t bit = 1u << (port + 1);
    for (uint32_t i = 0; i < world->n_arena; i++) {
        const struct sl_sim_arena *a = &world->arena[i];
        if (a->ports & bit && addr >= a->base && addr - a->base < a->bytes &&
            a->bytes - (addr - a->base) >= bytes)
            return a;
    }
    return NULL;
}

static bool check_burst(struct sl_axi_world *world, int port, const struct sl_axi_address *a,
                        uint32_t outstanding, const char *name)
{
    uint64_t bytes = ((uint64_t)a->len + 1) * SL_MEM_BEAT;
    unsigned long long addr = a->addr;
    if (a->addr % SL_MEM_BEAT)
        sl_axi_violate(world, port, "%s address 0x%llx is not a multiple of 64", name, addr);
    else if (a->addr / 4096 != (a->addr + bytes - 1) / 4096)
        sl_axi_violate(world, port, "%s burst of %u beats at 0x%llx crosses 4 KiB", name,
                       a->len + 1u, addr);
    else if (outstanding >= SL_AXI_MAX_BURSTS)
        sl_axi_violate(world, port, "more than %d %s bursts outstanding", SL_AXI_MAX_BURSTS, name);
    return !world->violated;
}

void sl_axi_held_check(struct sl_axi_world *world, int port, struct sl_axi_held *held,
                       const struct sl_axi_address *a, const char *name)
{
    held->is = false;
    if (!a->valid)
        sl_axi_violate(world, port, "%sVALID fell before %sREADY", name, name);
    else if (a->addr != held->addr || a->len != held->len)
        sl_axi_violate(world, port, "%s changed before %sREADY: 0x%llx+%u, then 0x%llx+%u", name,
                       name, (unsigned long long)held->addr, held->len + 1u,
                       (unsigned long long)a->addr, a->len + 1u);
}

/* ---- faults --------------------------------------------------------------------------------- */

/* The fault of item number `n` (counted from 1), or NULL. */
static const struct sl_sim_fault *next_fault(struct sl_axi_faults *f, uint64_t n)
{
    return f->next < f->n && f->list[f->next].at == n ? &f->list[f->next++] : NULL;
}

static void add_fault(struct sl_axi_faults *f, const struct sl_sim_fault *fault)
{
    uint32_t at = f->n++;
    for (; at > 0 && f->list[at - 1].at > fault->at; at--)
        f->list[at] = f->list[at - 1];
    f->list[at] = *fault;
}

static bool is_write_fault(const struct sl_sim_fault *f)
{
    return f->kind == SL_SIM_WRITE_ERROR || f->kind == SL_SIM_WRITE_LATE ||
           f->kind == SL_SIM_WRITE_DEAD;
}

static void take_faults(struct sl_axi_faults *f, const struct sl_sim_options *options, int port,
                        bool write)
{
    for (uint32_t i = 0; i < options->n_fault && i < SL_SIM_MAX_FAULT; i++)
        if (options->fault[i].port == port && is_write_fault(&options->fault[i]) == write)
            add_fault(f, &options->fault[i]);
}

void sl_axi_read_faults(struct sl_axi_read *r, const struct sl_sim_options *options)
{
    take_faults(&r->faults, options, r->port, false);
}

void sl_axi_write_faults(struct sl_axi_write *w, const struct sl_sim_options *options)
{
    take_faults(&w->faults, options, w->port, true);
}

/* ---- random streams ------------------------------------------------------------------------- */

/* A nonzero start of stream n of a port. */
static uint64_t stream(uint64_t seed, int port, unsigned n)
{
    uint64_t z = seed + 0x9E3779B97F4A7C15u * (uint64_t)(8 * (port + 2) + (int)n);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) | 1;
}

void sl_axi_read_start(struct sl_axi_read *r, uint64_t seed)
{
    r->ar_rng = stream(seed, r->port, 0);
    r->r_rng = stream(seed, r->port, 1);
    r->mem->ops->reset(r->mem);
}

void sl_axi_write_start(struct sl_axi_write *w, uint64_t seed)
{
    w->aw_rng = stream(seed, w->port, 2);
    w->w_rng = stream(seed, w->port, 3);
    w->b_rng = stream(seed, w->port, 4);
    w->w_from = 0;
}

/* ---- read ----------------------------------------------------------------------------------- */

/* A read overtaken by the write of the same beats would return either. */
static void check_order(struct sl_axi_world *world, const struct sl_axi_read *r, uint64_t first,
                        uint64_t end)
{
    const struct sl_axi_write *w = r->writes;
    for (uint32_t i = w->b_head; i != w->b_tail; i++) {
        const struct sl_axi_write_burst *b = &w->burst[i % SL_AXI_MAX_BURSTS];
        if (first < b->end && b->first < end)
            sl_axi_violate(world, r->port, "read of 0x%llx while a write of it has no response yet",
                           (unsigned long long)first);
    }
}

void sl_axi_read_accept(struct sl_axi_world *world, struct sl_axi_read *r,
                        const struct sl_axi_address *ar)
{
    if (!check_burst(world, r->port, ar, r->b_tail - r->b_head, "AR"))
        return;
    uint32_t n = ar->len + 1u, at = r->tail;
    uint64_t bytes = (uint64_t)n * SL_MEM_BEAT, ready[SL_MEM_MAX_BURST];
    if (r->writes)
        check_order(world, r, ar->addr, ar->addr + bytes);
    const struct sl_sim_arena *a = find_arena(world, r->port, ar->addr, bytes);
    uint64_t off = a ? ar->addr - a->base : 0, commands = off / SL_MEM_BEAT;
    commands = (commands + n - 1) / SL_MEM_COMMAND_BEATS - commands / SL_MEM_COMMAND_BEATS + 1;
    r->mem->ops->read(r->mem, off, n, world->now - world->start, ready);
    for (uint32_t i = 0; i < n; i++)
        r->ready[at++ % SL_AXI_MAX_BEATS] = world->start + ready[i];
    r->tail = at;
    if (r->b_head == r->b_tail)
        r->busy_from = world->now;
    r->burst[r->b_tail++ % SL_AXI_MAX_BURSTS] =
        (struct sl_axi_read_burst){a ? a->host + off : NULL, n, (uint32_t)commands, world->now};
    r->commands += (uint32_t)commands;
    r->traffic->read_bursts++;
}

/* True: the beat is presented, perhaps with an error; false: it has to wait. */
static bool apply_read_fault(const struct sl_axi_world *world, struct sl_axi_read *r)
{
    const struct sl_sim_fault *f = next_fault(&r->faults, r->traffic->read_beats + 1);
    if (!f)
        return true;
    if (f->kind == SL_SIM_READ_ERROR) {
        r->rresp = SL_AXI_SLVERR;
        return true;
    }
    r->overdue = true;
    r->ready[r->head % SL_AXI_MAX_BEATS] =
        f->kind == SL_SIM_LATE ? world->now + f->cycles : UINT64_MAX;
    return false;
}

void sl_axi_read_beat(struct sl_axi_world *world, struct sl_axi_read *r)
{
    struct sl_axi_read_burst *b = &r->burst[r->b_head % SL_AXI_MAX_BURSTS];
    r->rresp = b->host ? SL_AXI_OKAY : SL_AXI_DECERR;
    if (r->faults.next < r->faults.n && !apply_read_fault(world, r))
        return;
    if (r->rresp == SL_AXI_OKAY)
        memcpy(r->rdata, b->host, SL_MEM_BEAT);
    else
        memset(r->rdata, 0xEE, SL_MEM_BEAT);
    if (b->host)
        b->host += SL_MEM_BEAT;
    r->rvalid = true;
    r->rlast = b->left == 1;
}

void sl_axi_read_taken(const struct sl_axi_world *world, struct sl_axi_read *r)
{
    struct sl_axi_read_burst *b = &r->burst[r->b_head % SL_AXI_MAX_BURSTS];
    r->rvalid = r->rlast = false;
    r->head++;
    r->traffic->read_beats++;
    r->traffic->read_bytes += SL_MEM_BEAT;
    if (--b->left == 0) {
        r->commands -= b->commands;
        r->b_head++;
        r->traffic->read_latency += world->now - b->accepted;
        if (r->b_head == r->b_tail)
            r->traffic->read_busy += world->now - r->busy_from;
    }
    r->stale = world->stall != 0;
}

/* The core may not look at data that is not valid. */
void sl_axi_read_spoil(struct sl_axi_read *r)
{
    r->stale = false;
    memset(r->rdata, (int)(r->r_rng & 0xFF), SL_MEM_BEAT);
}

/* ---- write ---------------------------------------------------------------------------------- */

void sl_axi_write_accept(struct sl_axi_world *world, struct sl_axi_write *w,
                         const struct sl_axi_address *aw)
{
    if (!check_burst(world, w->port, aw, w->b_tail - w->b_head, "AW"))
        return;
    if (w->b_head == w->b_tail)
        w->busy_from = world->now;
    uint32_t n = aw->len + 1u, at = w->b_tail++ % SL_AXI_MAX_BURSTS;
    uint64_t bytes = (uint64_t)n * SL_MEM_BEAT;
    const struct sl_sim_arena *a = find_arena(world, w->port, aw->addr, bytes);
    uint64_t off = a ? aw->addr - a->base : 0;
    w->burst[at] = (struct sl_axi_write_burst){
        a ? a->host + off : NULL, aw->addr, aw->addr + bytes, off, world->now, n};
    w->resp[at] = a ? SL_AXI_OKAY : SL_AXI_DECERR;
    w->traffic->write_bursts++;
}

static void store_beat(uint8_t *host, const struct sl_axi_data *data)
{
    if (data->strb == UINT64_MAX) {
        memcpy(host, data->data, SL_MEM_BEAT);
        return;
    }
    for (unsigned i = 0; i < SL_MEM_BEAT; i++)
        if (data->strb >> i & 1)
            host[i] = data->data[i];
}

static void end_burst(struct sl_axi_world *world, struct sl_axi_write *w)
{
    uint32_t at = w->w_at++ % SL_AXI_MAX_BURSTS;
    const struct sl_sim_fault *f = next_fault(&w->faults, w->w_at);
    w->respond[at] = world->now + 1 + w->mem->write_cycles;
    if (!f)
        return;
    if (f->kind == SL_SIM_WRITE_ERROR)
        w->resp[at] = SL_AXI_SLVERR;
    else
        w->respond[at] = f->kind == SL_SIM_WRITE_LATE ? world->now + f->cycles : UINT64_MAX;
    w->dead = f->kind == SL_SIM_WRITE_DEAD;
    w->overdue = w->overdue || f->kind != SL_SIM_WRITE_ERROR;
}

/* Whether the burst at work will not reach the memory. */
static bool is_refused(const struct sl_axi_write *w)
{
    const struct sl_sim_fault *f = &w->faults.list[w->faults.next];
    return w->faults.next < w->faults.n && f->at == (uint64_t)w->w_at + 1 &&
           f->kind != SL_SIM_WRITE_LATE;
}

void sl_axi_write_beat(struct sl_axi_world *world, struct sl_axi_write *w,
                       const struct sl_axi_data *data)
{
    struct sl_axi_write_burst *b = &w->burst[w->w_at % SL_AXI_MAX_BURSTS];
    if (b->host && !is_refused(w))
        store_beat(b->host, data);
    if (b->host)
        b->host += SL_MEM_BEAT;
    w->traffic->write_beats++;
    w->traffic->write_bytes += (uint64_t)__builtin_popcountll(data->strb);
    w->w_from = world->start + w->mem->ops->write(w->mem, b->off, world->now - world->start);
    b->off += SL_MEM_BEAT;
    b->left--;
    if (data->last != (b->left == 0))
        sl_axi_violate(world, w->port, "WLAST is %d with %u beats of the burst left", data->last,
                       b->left);
    if (b->left == 0)
        end_burst(world, w);
}

void sl_axi_write_hold(struct sl_axi_write *w, const struct sl_axi_data *data)
{
    w->w_held = true;
    w->w_held_last = data->last;
    w->w_held_strb = data->strb;
    memcpy(w->w_held_data, data->data, SL_MEM_BEAT);
}

void sl_axi_write_held_check(struct sl_axi_world *world, struct sl_axi_write *w,
                             const struct sl_axi_data *data)
{
    w->w_held = false;
    if (!data->valid)
        sl_axi_violate(world, w->port, "WVALID fell before WREADY");
    else if (data->last != w->w_held_last || data->strb != w->w_held_strb ||
             memcmp(data->data, w->w_held_data, SL_MEM_BEAT) != 0)
        sl_axi_violate(world, w->port, "W changed before WREADY");
}

void sl_axi_write_respond(struct sl_axi_world *world, struct sl_axi_write *w)
{
    (void)world;
    w->bvalid = true;
    w->bresp = w->resp[w->b_head % SL_AXI_MAX_BURSTS];
}

void sl_axi_write_done(const struct sl_axi_world *world, struct sl_axi_write *w)
{
    w->traffic->write_latency += world->now - w->burst[w->b_head++ % SL_AXI_MAX_BURSTS].accepted;
    w->bvalid = false;
    if (w->b_head == w->b_tail)
        w->traffic->write_busy += world->now - w->busy_from;
}
