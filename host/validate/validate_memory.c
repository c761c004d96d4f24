/* SPDX-License-Identifier: Apache-2.0 */
/* The arenas: whether they hold what is written, apart from each other, and how fast. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "validate/validate.h"

enum { BLOCK = 64 /* beats of one probe: 4 KiB */, BLOCK_WORDS = BLOCK * SL_BEAT_BYTES / 8 };

/* Word i of an arena: any function that differs between arenas and places. */
static uint64_t word_of(int arena, uint64_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u + (uint64_t)(arena + 2) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 31) * 0x94D049BB133111EBu;
    return x ^ x >> 29;
}

static uint32_t size_of(const struct sl_device *dev, int arena)
{
    return arena == SL_ARENA_CTL ? dev->ctl_beats : dev->w_beats;
}

/* Probes of one arena: start, middle and end, then one beat behind each power of two, where a wrong
 * address line shows. False: there are not so many. */
static bool probe(const struct sl_device *dev, int arena, unsigned i, uint32_t *off, uint32_t *n)
{
    const uint32_t size = size_of(dev, arena);
    const uint32_t block[] = {0, (size / 2) & ~(uint32_t)(BLOCK - 1), size - BLOCK};
    *n = i < 3 ? BLOCK : 1;
    *off = i < 3 ? block[i] : (uint32_t)BLOCK << (i - 3);
    return *off < size;
}

static void fill(uint64_t *word, int arena, uint32_t off, uint32_t n)
{
    for (uint32_t i = 0; i < n * SL_BEAT_BYTES / 8; i++)
        word[i] = word_of(arena, (uint64_t)off * (SL_BEAT_BYTES / 8) + i);
}

static const char *arena_name(int arena, char *out, size_t cap)
{
    if (arena == SL_ARENA_CTL)
        snprintf(out, cap, "control arena");
    else
        snprintf(out, cap, "weight arena %d", arena);
    return out;
}

/* Says what is wrong with words of an arena, and whose they are. */
static int report(struct sl_validate *v, int arena, uint32_t off, const uint64_t *got)
{
    char name[32], other[32], of[64] = "";
    uint64_t i = (uint64_t)off * (SL_BEAT_BYTES / 8);
    while (*got == word_of(arena, i)) {
        got++;
        i++;
    }
    for (int a = SL_ARENA_CTL; a < (int)v->dev->n_port; a++)
        if (a != arena && *got == word_of(a, i))
            snprintf(of, sizeof of, ", which is the %s's", arena_name(a, other, sizeof other));
    return sl_validate_wrong(v, "%s, byte %llu: wrote %016llx, read %016llx%s",
                             arena_name(arena, name, sizeof name), (unsigned long long)(8 * i),
                             (unsigned long long)word_of(arena, i), (unsigned long long)*got, of);
}

static int write_arena(struct sl_validate *v, int arena, uint64_t *word, uint64_t *beats)
{
    uint32_t off, n;
    int err = sl_validate_go_on(v);
    for (unsigned i = 0; !err && probe(v->dev, arena, i, &off, &n); i++) {
        fill(word, arena, off, n);
        err = sl_device_write(v->dev, arena, off, word, n);
        *beats += n;
    }
    return err;
}

static int check_arena(struct sl_validate *v, int arena, uint64_t *got)
{
    uint64_t want[BLOCK_WORDS];
    uint32_t off, n;
    int err = sl_validate_go_on(v);
    for (unsigned i = 0; !err && probe(v->dev, arena, i, &off, &n); i++) {
        fill(want, arena, off, n);
        err = sl_device_read(v->dev, arena, off, got, n);
        if (!err && memcmp(got, want, (size_t)n * SL_BEAT_BYTES))
            return report(v, arena, off, got);
    }
    return err;
}

/* All arenas are written before the first is read, so that one that shadows another shows. */
int sl_validate_memory(struct sl_validate *v)
{
    uint64_t word[BLOCK_WORDS], beats = 0;
    const int n = (int)v->dev->n_port;
    int err = 0;
    for (int a = SL_ARENA_CTL; a < n && !err; a++)
        err = write_arena(v, a, word, &beats);
    for (int a = SL_ARENA_CTL; a < n && !err && v->test.result == SL_VALIDATE_PASSED; a++)
        err = check_arena(v, a, word);
    if (!err && v->test.result == SL_VALIDATE_PASSED)
        snprintf(
            v->test.detail, sizeof v->test.detail,
            "control arena of %u KiB and %d weight arena%s of %u KiB: %llu KiB of random words "
            "at start, middle, end and every power of two, all as written",
            v->dev->ctl_beats / 16, n, n == 1 ? "" : "s", v->dev->w_beats / 16,
            (unsigned long long)beats / 16);
    return err;
}

/* ---- bandwidth ------------------------------------------------------------------------------ */

enum { MIN_REPEAT = 5, MAX_REPEAT = 64 };
static const double time_for_size = 0.25; /* seconds, after MIN_REPEAT */

/* Median MB/s of transfers of n beats. */
static int measure(struct sl_validate *v, uint8_t *data, uint32_t n, bool up, double *rate)
{
    double s[MAX_REPEAT], total = 0;
    unsigned done = 0;
    while (done < MAX_REPEAT && (done < MIN_REPEAT || total < time_for_size)) {
        int err = sl_validate_go_on(v);
        const double begin = sl_validate_seconds();
        if (!err)
            err = up ? sl_device_write(v->dev, SL_ARENA_CTL, 0, data, n)
                     : sl_device_read(v->dev, SL_ARENA_CTL, 0, data, n);
        if (err)
            return err;
        s[done] = sl_validate_seconds() - begin;
        total += s[done++];
    }
    *rate = n * (double)SL_BEAT_BYTES / sl_validate_quantile(s, done, 0.5) * 1e-6;
    return 0;
}

int sl_validate_bandwidth(struct sl_validate *v)
{
    static const struct {
        const char *name;
        uint32_t beats;
    } size[] = {{"4 KiB", 64},    {"16 KiB", 256},  {"64 KiB", 1024},  {"256 KiB", 4096},
                {"1 MiB", 16384}, {"4 MiB", 65536}, {"16 MiB", 262144}};
    const size_t bytes = (size_t)SL_VALIDATE_CTL_BEATS * SL_BEAT_BYTES;
    uint8_t *data = sl_alloc_aligned(4096, bytes);
    double best[2] = {0, 0};
    int err = data ? 0 : SL_ERR_NOMEM;
    v->test.row_title = "size";
    v->test.n_column = 2;
    v->test.column[0] = "to device MB/s";
    v->test.column[1] = "from device MB/s";
    if (data)
        memset(data, 0x5A, bytes);
    for (unsigned i = 0; i < sizeof size / sizeof size[0] && !err; i++) {
        struct sl_validate_row *row = sl_validate_add_row(v, size[i].name);
        for (unsigned k = 0; k < 2 && !err; k++) {
            err = measure(v, data, size[i].beats, k == 0, &row->value[k]);
            best[k] = row->value[k] > best[k] ? row->value[k] : best[k];
        }
    }
    free(data);
    snprintf(v->test.detail, sizeof v->test.detail,
             "at best %.0f MB/s to the device, %.0f MB/s from it (wall time, medians)%s", best[0],
             best[1],
             v->kind == SL_VALIDATE_CARD ? ""
                                         : "; the device's memory is the host's, not a card's");
    return err;
}
