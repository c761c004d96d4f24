/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEAT = SL_BEAT_BYTES, GUARD_BEATS = 16 };

_Static_assert(sizeof(struct sl_job) == BEAT, "a job is one beat");

void *ctl_bench_open(uint64_t seed)
{
    struct ctl_bench *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->rng.state = seed * 0x9E3779B97F4A7C15u + 1;
    b->is = malloc((size_t)CTL_BENCH_BEATS * BEAT);
    b->want = malloc((size_t)CTL_BENCH_BEATS * BEAT);
    b->n_write = malloc(CTL_BENCH_BEATS);
    if (b->is && b->want && b->n_write)
        return b;
    ctl_bench_close(b);
    return NULL;
}

void ctl_bench_close(void *handle)
{
    struct ctl_bench *b = handle;
    if (!b)
        return;
    free(b->is);
    free(b->want);
    free(b->n_write);
    free(b);
}

uint8_t *ctl_bench_at(struct ctl_bench *b, uint32_t beat)
{
    return b->is + (size_t)beat * BEAT;
}

int64_t ctl_bench_range(struct ctl_bench *b, int64_t lo, int64_t hi)
{
    return sl_rng_range(&b->rng, lo, hi);
}

static void noise(struct ctl_bench *b, void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = sl_rng_next(&b->rng);
        memcpy((uint8_t *)at + i, &word, 8);
    }
}

void ctl_bench_begin(struct ctl_bench *b)
{
    noise(b, &b->job, sizeof b->job);
    b->job.flags = 0;
}

void ctl_bench_place(struct ctl_bench *b, uint64_t x_span, uint64_t y_span)
{
    uint64_t first = (uint64_t)ctl_bench_range(b, 0, 70), gap = (uint64_t)ctl_bench_range(b, 0, 20);
    bool y_first = ctl_bench_range(b, 0, 1);
    b->read = (struct ref_span){y_first ? first + y_span + gap : first, x_span};
    b->y = (struct ref_span){y_first ? first : first + x_span + gap, y_span};
    b->job.x_off = (uint32_t)b->read.off;
    b->job.y_off = (uint32_t)b->y.off;
    b->used = (uint32_t)(first + x_span + gap + y_span + GUARD_BEATS);
    if (b->used > CTL_BENCH_BEATS) {
        fprintf(stderr, "a case of %u beats does not fit the bench\n", b->used);
        exit(2);
    }
    noise(b, b->is, (size_t)b->used * BEAT);
    memset(b->n_write, 0, b->used);
    b->n_stray = 0;
}

void ctl_bench_expect(struct ctl_bench *b, void (*run)(struct ref_run *run))
{
    memcpy(b->want, b->is, (size_t)b->used * BEAT);
    struct ref_core core = {.ctl = b->want, .ctl_limit = b->used, .weights.n_port = 1};
    struct ref_run r = {.core = &core, .job = b->job};
    b->status = ref_check(&r);
    if (b->status == SL_STATUS_OK)
        run(&r);
}

void ctl_bench_job(void *handle, svBitVecVal *job)
{
    struct ctl_bench *b = handle;
    memcpy(job, &b->job, sizeof b->job);
}

void ctl_bench_read(void *handle, uint32_t beat, svBitVecVal *data)
{
    struct ctl_bench *b = handle;
    memset(data, 0, BEAT);
    if (beat >= b->used)
        b->n_stray++;
    else
        memcpy(data, ctl_bench_at(b, beat), BEAT);
}

void ctl_bench_write(void *handle, uint32_t beat, const svBitVecVal *data)
{
    struct ctl_bench *b = handle;
    if (beat >= b->used) {
        b->n_stray++;
        return;
    }
    memcpy(ctl_bench_at(b, beat), data, BEAT);
    b->n_write[beat] = (uint8_t)(b->n_write[beat] < 255 ? b->n_write[beat] + 1 : 255);
}

static void show(const char *what, const uint8_t *beat)
{
    printf("  %s ", what);
    for (int i = 0; i < BEAT; i++)
        printf("%02x%s", beat[i], i % 8 == 7 ? " " : "");
    printf("\n");
}

int ctl_bench_wrong(void *handle, int status)
{
    struct ctl_bench *b = handle;
    int n_wrong = 0, n_beat = 0;
    for (uint32_t i = 0; i < b->used; i++) {
        const uint8_t *is = ctl_bench_at(b, i), *want = b->want + (size_t)i * BEAT;
        n_beat += b->n_write[i] != 0;
        if (b->n_write[i] <= 1 && !memcmp(is, want, BEAT))
            continue;
        if (n_wrong++)
            continue;
        printf("  beat %u (y_off + %d), written %u times\n", i, (int)(i - b->job.y_off),
               b->n_write[i]);
        show("is  ", is);
        show("want", want);
    }
    if (status != b->status)
        printf("  status %d, want %d\n", status, b->status);
    if (b->status != SL_STATUS_OK && n_beat)
        printf("  %d beats written by a job that must fail\n", n_beat);
    if (b->n_stray)
        printf("  %u accesses outside of the job\n", b->n_stray);
    return n_wrong + (status != b->status) + (int)b->n_stray +
           (b->status != SL_STATUS_OK ? n_beat : 0);
}
