/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_rate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "store/expert_memory.h"

enum {
    ROUND_EXPERTS = 16,    /* at least; of each way in a round */
    ROUND_BYTES = 1 << 28, /* about, where experts are small */
    MAX_ROUND = 1024,
    WAIT_MS = 30000
};

struct bench {
    struct sl_store *store;
    struct sl_expert_memory *memory;
    unsigned window, n_round; /* experts of a round */
    bool in_turn;
    uint32_t n_layer, n_expert, next; /* next: window that was not read yet, over all layers */
    uint8_t *buffer;                  /* [window] slabs of the raw way */
    uint64_t slot_bytes;
};

/* Expert i of the rounds: windows go through the layers, so that what comes lies elsewhere. */
static void place(const struct bench *b, uint32_t i, uint32_t *layer, uint32_t *expert)
{
    const uint32_t window = i / b->window, per_layer = b->n_expert / b->window;
    *layer = window % b->n_layer;
    *expert = window / b->n_layer % per_layer * b->window + i % b->window;
}

static int submit_raw(struct bench *b, uint32_t i, uint32_t *handle)
{
    uint32_t layer, expert;
    place(b, b->next + i, &layer, &expert);
    const struct sl_expert_place p = sl_store_expert_place(b->store, layer, expert);
    const struct sl_read read = {.file = p.file,
                                 .offset = p.offset,
                                 .bytes = p.bytes,
                                 .dst = b->buffer + i % b->window * b->slot_bytes};
    return sl_reader_submit(sl_store_reader(b->store), &read, handle);
}

static int read_raw(struct bench *b)
{
    uint32_t handle[MAX_ROUND];
    int err = 0;
    for (uint32_t i = 0, begun = 0; i < b->n_round && !err; i++) {
        const uint32_t last = b->in_turn ? (i / b->window + 1) * b->window : i + b->window;
        for (; begun < last && begun < b->n_round && !err; begun++)
            err = submit_raw(b, begun, &handle[begun]);
        err = err ? err : sl_reader_wait(sl_store_reader(b->store), handle[i], WAIT_MS, NULL);
    }
    return err;
}

static int read_experts(struct bench *b)
{
    uint32_t layer, expert;
    struct sl_slab_ref slab;
    int err = 0;
    for (uint32_t i = 0, begun = 0; i < b->n_round && !err; i++) {
        const uint32_t last = b->in_turn ? (i / b->window + 1) * b->window : i + b->window;
        for (; begun < last && begun < b->n_round && !err; begun++) {
            place(b, b->next + begun, &layer, &expert);
            err = sl_expert_memory_request(b->memory, layer, &expert, 1);
        }
        place(b, b->next + i, &layer, &expert);
        err = err ? err : sl_expert_memory_wait(b->memory, layer, expert, &slab);
        if (!err)
            sl_expert_memory_release(b->memory, layer, &expert, 1);
    }
    return err;
}

static int time_round(struct bench *b, int (*read)(struct bench *), double *rate)
{
    const uint64_t bytes = sl_store_expert_place(b->store, 0, 0).bytes;
    const uint64_t begin = sl_now_ns();
    int err = read(b);
    *rate = (double)(bytes * b->n_round) / (double)(sl_now_ns() - begin) * 1e9;
    b->next += b->n_round;
    return err;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, SL_DISK_ROUNDS, sizeof *v, by_value);
    return v[SL_DISK_ROUNDS / 2];
}

static int run(struct bench *b, struct sl_disk_rate *out)
{
    double raw[SL_DISK_ROUNDS], experts[SL_DISK_ROUNDS], ratio[SL_DISK_ROUNDS];
    /* One round of each that does not count: slots' and buffer's pages. */
    int err = time_round(b, read_raw, raw);
    err = err ? err : time_round(b, read_experts, experts);
    for (unsigned i = 0; i < SL_DISK_ROUNDS && !err; i++) {
        err = time_round(b, i % 2 ? read_raw : read_experts, i % 2 ? &raw[i] : &experts[i]);
        err = err ? err
                  : time_round(b, i % 2 ? read_experts : read_raw, i % 2 ? &experts[i] : &raw[i]);
        ratio[i] = experts[i] / raw[i];
    }
    if (err)
        return err;
    out->raw = median(raw);
    out->experts = median(experts);
    out->ratio = median(ratio);
    return 0;
}

static int check_misses(const struct bench *b)
{
    struct sl_expert_memory_stats s;
    sl_expert_memory_get_stats(b->memory, &s);
    return s.hits ? sl_fail(SL_ERR_USAGE, "measure with a larger model",
                            "disk: too few experts, %llu were still in memory",
                            (unsigned long long)s.hits)
                  : 0;
}

static int open_bench(struct bench *b, const struct sl_disk_rate_params *p)
{
    int err = sl_store_open_streamed(&b->store, p->dir, &p->stream);
    if (err)
        return err;
    const struct sl_config *c = sl_store_config(b->store);
    if (!c->n_expert)
        return sl_fail(SL_ERR_UNSUPPORTED, "convert a mixture of experts",
                       "%s: a dense model reads no experts from disk", p->dir);
    const uint64_t bytes = sl_store_expert_place(b->store, 0, 0).bytes;
    const uint64_t n = ROUND_BYTES / bytes;
    b->n_layer = c->n_layer;
    b->n_expert = c->n_expert;
    b->in_turn = p->in_turn;
    b->window = p->window ? p->window : c->n_expert_used;
    b->window = b->window < c->n_expert ? b->window : c->n_expert;
    b->n_round = (uint32_t)(n < ROUND_EXPERTS ? ROUND_EXPERTS : n < MAX_ROUND ? n : MAX_ROUND);
    b->n_round = (b->n_round + b->window - 1) / b->window * b->window;
    b->n_round = b->n_round < MAX_ROUND ? b->n_round : MAX_ROUND / b->window * b->window;
    b->slot_bytes = sl_expert_memory_slot_bytes(b->store);
    b->buffer = sl_alloc_large(b->window * b->slot_bytes);
    const uint32_t n_slot = b->window > c->n_expert_used ? b->window : c->n_expert_used;
    const struct sl_expert_memory_params mp = {
        .store = b->store, .budget = n_slot * b->slot_bytes, .policy = "lru"};
    return b->buffer ? sl_expert_memory_open(&b->memory, &mp) : SL_ERR_NOMEM;
}

int sl_disk_rate(struct sl_disk_rate *out, const struct sl_disk_rate_params *params)
{
    struct bench b = {0};
    struct sl_disk_rate rate = {0};
    const uint64_t begin = sl_now_ns();
    int err = open_bench(&b, params);
    rate.open_s = (double)(sl_now_ns() - begin) * 1e-9;
    err = err ? err : run(&b, &rate);
    err = err ? err : check_misses(&b);
    if (!err) {
        sl_reader_get_rates(sl_store_reader(b.store), &rate.reader);
        rate.window = b.window;
        rate.round_bytes = b.n_round * sl_store_expert_place(b.store, 0, 0).bytes;
        *out = rate;
    }
    sl_expert_memory_close(&b.memory);
    sl_store_close(&b.store); /* before the buffer: its reader may still write into it */
    free(b.buffer);
    return err;
}
