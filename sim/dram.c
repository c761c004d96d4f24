/* SPDX-License-Identifier: Apache-2.0 */
#include "dram.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BUFFER = 256, /* power of two above every buffer_beats */
    MAX_WRITES = 128,
    MAX_ACCESS = 2048, /* of all banks' rows with one number */
    NO_ROW = -1
};

struct bank {
    int64_t row;
    uint64_t act_from; /* earliest activate while closed */
    uint64_t col_from; /* earliest column command of the open row */
    uint64_t pre_from; /* earliest precharge */
};

struct dram {
    struct sl_mem base;
    struct sl_dram_params p;
    uint64_t path_in, path_out;      /* units */
    unsigned access_shift, per_beat; /* accesses */
    uint8_t bank_at[MAX_ACCESS];     /* of each access; its group in the high bits */
    /* From here on state, zero at the start of a launch. */
    struct bank bank[SL_DRAM_MAX_BANK];
    uint64_t act[4]; /* of the last four activates, a ring */
    uint64_t n_act;
    uint64_t last_act, last_read, last_write, last_col;
    unsigned act_group, write_group, col_group;
    bool any_read, any_write, any_col;
    uint64_t refresh_at;
    uint64_t command[SL_DRAM_MAX_QUEUE]; /* last column of each of the last commands, a ring */
    unsigned command_at;
    uint64_t taken[MAX_BUFFER]; /* when the port took each of the last beats, a ring */
    uint64_t n_beat, free_at;   /* beats so far; first cycle without one */
    struct {
        uint64_t off, at;
    } write[MAX_WRITES];
    unsigned write_head, write_tail; /* free running */
};

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static unsigned field(uint64_t off, struct sl_dram_field f)
{
    return (unsigned)(off >> f.shift) & ((1u << f.bits) - 1);
}

/* Banks of the access at off and of those behind it in its row. */
static inline const uint8_t *banks_from(const struct dram *d, uint64_t off)
{
    return d->bank_at + ((off & ((1u << d->p.row_shift) - 1)) >> d->access_shift);
}

static void lay_out_banks(struct dram *d)
{
    const struct sl_dram_params *p = &d->p;
    while (1u << d->access_shift < p->access_bytes)
        d->access_shift++;
    d->per_beat = SL_MEM_BEAT / p->access_bytes;
    for (uint64_t off = 0; off < 1u << p->row_shift; off += p->access_bytes) {
        unsigned group = field(off, p->group_low) | field(off, p->group_high) << p->group_low.bits;
        d->bank_at[off >> d->access_shift] = (uint8_t)(group << p->bank.bits | field(off, p->bank));
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* All banks are closed, precharged and refreshed; nothing else happens meanwhile. */
static void refresh(struct dram *d)
{
    const struct sl_dram_params *p = &d->p;
    uint64_t pre = d->refresh_at;
    bool open = false;
    for (unsigned b = 0; b < SL_DRAM_MAX_BANK; b++)
        if (d->bank[b].row != NO_ROW) {
            pre = later(pre, d->bank[b].pre_from);
            open = true;
        }
    uint64_t end = pre + (open ? p->rp : 0) + p->rfc;
    for (unsigned b = 0; b < SL_DRAM_MAX_BANK; b++)
        d->bank[b] = (struct bank){.row = NO_ROW, .act_from = end};
    d->refresh_at += p->refi;
}

/* When the row could be opened: the bank is precharged first when another one is open. */
static uint64_t activate_at(const struct dram *d, const struct bank *b, unsigned group,
                            uint64_t from)
{
    const struct sl_dram_params *p = &d->p;
    uint64_t at = b->row == NO_ROW ? later(from, b->act_from) : later(from, b->pre_from) + p->rp;
    if (d->n_act)
        at = later(at, d->last_act + (group == d->act_group ? p->rrd_l : p->rrd_s));
    return d->n_act >= 4 ? later(at, d->act[d->n_act % 4] + p->faw) : at;
}

static void activate(struct dram *d, struct bank *b, unsigned group, int64_t row, uint64_t at)
{
    d->act[d->n_act++ % 4] = at;
    d->last_act = at;
    d->act_group = group;
    b->row = row;
    b->col_from = at + d->p.rcd;
    b->pre_from = at + d->p.ras;
}

/* ---- columns -------------------------------------------------------------------------------- */

static inline uint64_t bus_from(const struct dram *d, unsigned group, bool write)
{
    const struct sl_dram_params *p = &d->p;
    uint64_t at = 0;
    if (d->any_col)
        at = d->last_col + (group == d->col_group ? p->ccd_l : p->ccd_s);
    if (write && d->any_read)
        at = later(at, d->last_read + p->rtw);
    if (!write && d->any_write)
        at = later(at, d->last_write + p->cwl + p->burst +
                           (group == d->write_group ? p->wtr_l : p->wtr_s));
    return at;
}

/* When the row of bank b is open and a column command can be sent to it, not before `from`; the row
 * is not opened before `look`. */
static uint64_t open_row(struct dram *d, struct bank *b, unsigned group, int64_t row, uint64_t look,
                         uint64_t from)
{
    for (;;) {
        bool open = b->row == row;
        uint64_t act = open ? 0 : activate_at(d, b, group, look);
        uint64_t at = later(from, open ? b->col_from : act + d->p.rcd);
        if (at < d->refresh_at) {
            if (!open)
                activate(d, b, group, row, act);
            return at;
        }
        refresh(d);
    }
}

/* One column command, not before `from`, its row not opened before `look`. Returns its time. */
static inline uint64_t column(struct dram *d, unsigned bank, int64_t row, uint64_t look,
                              uint64_t from, bool write)
{
    const struct sl_dram_params *p = &d->p;
    unsigned group = bank >> p->bank.bits;
    struct bank *b = &d->bank[bank];
    from = later(from, bus_from(d, group, write));
    uint64_t at = later(from, b->col_from);
    if (b->row != row || at >= d->refresh_at)
        at = open_row(d, b, group, row, look, from);
    d->last_col = at;
    d->col_group = group;
    d->any_col = true;
    if (write) {
        d->last_write = at;
        d->write_group = group;
        d->any_write = true;
        b->pre_from = later(b->pre_from, at + p->cwl + p->burst + p->wr);
    } else {
        d->last_read = at;
        d->any_read = true;
        b->pre_from = later(b->pre_from, at + p->rtp);
    }
    return at;
}

/* When the queue has room for the next command, and when that command leaves. */
static uint64_t queue_from(const struct dram *d)
{
    return d->command[(d->command_at + SL_DRAM_MAX_QUEUE - d->p.queue) % SL_DRAM_MAX_QUEUE];
}

static void queue_push(struct dram *d, uint64_t last)
{
    d->command[d->command_at] = last;
    d->command_at = (d->command_at + 1) % SL_DRAM_MAX_QUEUE;
}

/* ---- writes --------------------------------------------------------------------------------- */

static unsigned n_write(const struct dram *d)
{
    return d->write_tail - d->write_head;
}

static uint64_t send_write(struct dram *d)
{
    uint64_t off = d->write[d->write_head % MAX_WRITES].off;
    uint64_t from = d->write[d->write_head++ % MAX_WRITES].at, look = later(from, queue_from(d));
    uint64_t at = 0;
    const uint8_t *bank = banks_from(d, off);
    for (unsigned i = 0; i < d->per_beat; i++)
        at = column(d, *bank++, (int64_t)(off >> d->p.row_shift), look, from, true);
    queue_push(d, at);
    return at;
}

/* Writes go while there is nothing to read: those that would start before `until`. */
static void send_idle_writes(struct dram *d, uint64_t until)
{
    while (n_write(d)) {
        uint64_t at = later(d->write[d->write_head % MAX_WRITES].at, d->last_col + d->p.ccd_l);
        if (at + d->p.rp + d->p.rcd + d->p.rtw >= until)
            return;
        send_write(d);
    }
}

static uint64_t dram_write(struct sl_mem *mem, uint64_t off, uint64_t now)
{
    struct dram *d = (struct dram *)mem;
    const struct sl_dram_params *p = &d->p;
    uint64_t at = now * p->cycle + d->path_in + p->request, next = now + 1;
    send_idle_writes(d, at);
    d->write[d->write_tail % MAX_WRITES].off = off;
    d->write[d->write_tail++ % MAX_WRITES].at = at;
    if (n_write(d) < p->write_high)
        return next;
    uint64_t room = send_write(d); /* the first one makes the room that the next beat needs */
    while (n_write(d) > p->write_low)
        send_write(d);
    room = room > d->path_in + p->request ? (room - d->path_in - p->request) / p->cycle : 0;
    return later(next, room);
}

/* ---- reads ---------------------------------------------------------------------------------- */

/* One beat of the port: its column commands, and the cycle in which the port may take it. A column
 * waits until the buffer has room, which is when the port has taken the beat buffer_beats before
 * (it takes one a cycle). */
static inline uint64_t read_beat(struct dram *d, const uint8_t *bank, int64_t row, uint64_t look,
                                 uint64_t from, uint64_t *col)
{
    const struct sl_dram_params *p = &d->p;
    uint64_t room = d->taken[(d->n_beat + MAX_BUFFER - p->buffer_beats) % MAX_BUFFER] * p->cycle;
    uint64_t delay = p->cl + p->burst + p->reply + d->path_out, cycle = d->free_at;
    if (d->n_beat >= p->buffer_beats && room > delay)
        from = later(from, room - delay);
    for (unsigned i = 0; i < d->per_beat; i++)
        *col = column(d, bank[i], row, look, from, false);
    if (*col + delay > cycle * p->cycle)
        cycle = (*col + delay + p->cycle - 1) / p->cycle;
    d->taken[d->n_beat++ % MAX_BUFFER] = cycle;
    d->free_at = cycle + 1;
    return cycle;
}

/* The burst is cut into commands at multiples of their size, which are in one row. */
static void dram_read(struct sl_mem *mem, uint64_t off, unsigned n, uint64_t now, uint64_t *ready)
{
    struct dram *d = (struct dram *)mem;
    const struct sl_dram_params *p = &d->p;
    uint64_t from = now * p->cycle + d->path_in + p->request;
    send_idle_writes(d, from);
    for (unsigned i = 0; i < n;) {
        uint64_t look = later(from, queue_from(d)), col = 0;
        unsigned room = SL_MEM_COMMAND_BEATS - (unsigned)(off / SL_MEM_BEAT % SL_MEM_COMMAND_BEATS);
        const uint8_t *bank = banks_from(d, off);
        int64_t row = (int64_t)(off >> p->row_shift);
        room = room < n - i ? room : n - i;
        off += (uint64_t)room * SL_MEM_BEAT;
        for (unsigned end = i + room; i < end; i++, bank += d->per_beat)
            ready[i] = read_beat(d, bank, row, look, from, &col);
        queue_push(d, col);
    }
}

/* ---- the model ------------------------------------------------------------------------------ */

static void dram_reset(struct sl_mem *mem)
{
    struct dram *d = (struct dram *)mem;
    memset((char *)d + offsetof(struct dram, bank), 0, sizeof *d - offsetof(struct dram, bank));
    d->refresh_at = d->p.refi;
    for (unsigned b = 0; b < SL_DRAM_MAX_BANK; b++)
        d->bank[b].row = NO_ROW;
}

static void dram_close(struct sl_mem *mem)
{
    free(mem);
}

static const struct sl_mem_ops dram_ops = {"dram", dram_reset, dram_read, dram_write, dram_close};

struct sl_mem *sl_dram_open(const struct sl_dram_params *params, int32_t latency)
{
    struct dram *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    uint64_t path = (uint64_t)(latency < 0 ? params->path : latency) * params->cycle;
    d->p = *params;
    lay_out_banks(d);
    d->path_in = path / 2;
    d->path_out = path - path / 2;
    d->base.ops = &dram_ops;
    d->base.max_command = params->max_command;
    d->base.write_cycles = params->write_cycles + (uint32_t)(path / params->cycle);
    return &d->base;
}
