/* SPDX-License-Identifier: Apache-2.0 */
/* Which way of reading is faster here: past the page cache, or through it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/reader_state.h"

enum {
    ROUNDS = 5,
    SAMPLE_BYTES = 64 << 20,
    MIN_SAMPLE_BYTES = 4 << 20, /* less says more of latency than of the disk */
    ENOUGH_MS = 600,            /* a slow disk gets fewer rounds */
    WAIT_MS = 30000
};

/* Through the page cache everything is copied once more and something else is pushed out of it: it
 * has to be faster by this much. */
static const double margin = 1.2;

struct sampler {
    struct sl_reader *r;
    uint8_t *dst;
    uint64_t bytes; /* of a sample */
    uint32_t n;     /* samples taken: each lies elsewhere */
};

/* The next place with room for a sample: files in turn, offsets spread by the golden ratio. */
static bool place_sample(struct sampler *s, struct sl_read *out)
{
    for (uint32_t tries = 0; tries < s->r->n_file; tries++) {
        const uint32_t file = s->n++ % s->r->n_file;
        const uint64_t size = s->r->file[file].bytes;
        if (size < s->bytes)
            continue;
        const double u = (double)((s->n * 0x9E3779B9u) >> 8 & 0xFFFF) / 0x10000;
        const uint64_t at = (uint64_t)(u * (double)(size - s->bytes));
        *out = (struct sl_read){.file = file,
                                .offset = at / SL_READ_ALIGN * SL_READ_ALIGN,
                                .bytes = s->bytes,
                                .dst = s->dst};
        return true;
    }
    return false;
}

static int take_sample(struct sampler *s, bool direct, double *rate)
{
    struct sl_read read;
    uint32_t handle;
    if (!place_sample(s, &read))
        return 0;
    const int fd = s->r->file[read.file].buffered;
    s->r->use_direct = direct;
    posix_fadvise(fd, (off_t)read.offset, (off_t)read.bytes, POSIX_FADV_DONTNEED);
    const uint64_t begin = sl_now_ns();
    int err = sl_reader_submit(s->r, &read, &handle);
    err = err ? err : sl_reader_wait(s->r, handle, WAIT_MS, NULL);
    if (err == SL_ERR_TIMEOUT) /* the buffer goes only when the kernel is done with it */
        sl_reader_cancel(s->r, handle, UINT32_MAX);
    const uint64_t ns = sl_now_ns() - begin;
    *rate = (double)read.bytes / (double)(ns ? ns : 1) * 1e9;
    posix_fadvise(fd, (off_t)read.offset, (off_t)read.bytes, POSIX_FADV_DONTNEED);
    return err;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return n ? v[n / 2] : 0;
}

static int measure(struct sampler *s)
{
    struct sl_reader *r = s->r;
    const bool was = r->use_direct;
    double direct[ROUNDS], buffered[ROUNDS];
    const uint64_t begin = sl_now_ms();
    unsigned n = 0;
    int err = 0;
    while (n < ROUNDS && !err && (n == 0 || sl_now_ms() - begin < ENOUGH_MS)) {
        direct[n] = buffered[n] = 0;
        err = take_sample(s, true, &direct[n]);
        err = err ? err : take_sample(s, false, &buffered[n]);
        n++;
    }
    r->use_direct = was;
    if (err)
        return err;
    r->rates.direct_rate = median(direct, n);
    r->rates.buffered_rate = median(buffered, n);
    if (r->p.direct == SL_DIRECT_AUTO && r->rates.direct_rate > 0)
        r->use_direct = r->rates.direct_rate * margin >= r->rates.buffered_rate;
    return 0;
}

int sl_reader_measure(struct sl_reader *reader)
{
    struct sampler s = {.r = reader, .bytes = SAMPLE_BYTES};
    bool any = false;
    if (s.bytes > reader->p.max_bytes)
        s.bytes = reader->p.max_bytes / SL_READ_ALIGN * SL_READ_ALIGN;
    for (uint32_t i = 0; i < reader->n_file; i++)
        any = any || (reader->file[i].direct >= 0 && reader->file[i].bytes >= s.bytes);
    if (!any || s.bytes < MIN_SAMPLE_BYTES)
        return 0;
    s.dst = sl_alloc_large(s.bytes);
    if (!s.dst)
        return SL_ERR_NOMEM;
    memset(s.dst, 0, s.bytes); /* its pages, before the clock runs */
    int err = measure(&s);
    free(s.dst);
    return err;
}
