/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"
#include "store/expert_memory.h"
#include "store_rig.h"
#include "test_main.h"

enum { N_LAYER = 4, N_EXPERT = 16, TOP = 4, N_KEY = N_LAYER * N_EXPERT };

/* Both kinds in turn, where there are two. */
static enum sl_reader_kind kind_of(size_t turn)
{
    return turn % 2 == 0 && rig_has_uring() ? SL_READER_URING : SL_READER_THREADS;
}

/* A converted golden model (4 layers of 16 experts), open both ways. */
struct rig {
    char dir[RIG_PATH];
    struct sl_store *mapped, *streamed;
    struct sl_expert_memory *memory;
};

static void convert_rig(struct rig *rig)
{
    *rig = (struct rig){0};
    rig_fresh(rig->dir, NULL);
    const struct sl_convert_params p = {
        .in_dir = rig_models()[0], .out_dir = rig->dir, .format = "nf4", .format_dense = "q8"};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&rig->mapped, rig->dir), 0);
    const struct sl_config *c = sl_store_config(rig->mapped);
    CU_ASSERT_EQUAL_FATAL(c->n_layer, N_LAYER);
    CU_ASSERT_EQUAL_FATAL(c->n_expert, N_EXPERT);
}

static void open_streamed(struct rig *rig, enum sl_reader_kind kind)
{
    const struct sl_stream_params p = {.reader = kind};
    CU_ASSERT_EQUAL_FATAL(sl_store_open_streamed(&rig->streamed, rig->dir, &p), 0);
}

static void open_memory(struct rig *rig, uint64_t n_slot, const char *policy)
{
    const struct sl_expert_memory_params p = {.store = rig->streamed,
                                              .budget = n_slot *
                                                        sl_expert_memory_slot_bytes(rig->streamed),
                                              .policy = policy};
    CU_ASSERT_EQUAL_FATAL(sl_expert_memory_open(&rig->memory, &p), 0);
    CU_ASSERT(sl_expert_memory_streams(rig->memory));
    CU_ASSERT_EQUAL(sl_expert_memory_room(rig->memory), n_slot < N_KEY ? n_slot : N_KEY);
}

static void close_rig(struct rig *rig)
{
    sl_expert_memory_close(&rig->memory);
    sl_store_close(&rig->streamed);
    sl_store_close(&rig->mapped);
}

static struct sl_expert_memory_stats stats_of(const struct rig *rig)
{
    struct sl_expert_memory_stats s;
    sl_expert_memory_get_stats(rig->memory, &s);
    return s;
}

static bool same_slab(struct sl_slab_ref a, struct sl_slab_ref b)
{
    return a.header && b.header && a.n_beats == b.n_beats &&
           !memcmp(a.header, b.header, a.n_beats * SL_BEAT_BYTES);
}

/* Waits for one and compares it with the mapping. */
static void check_one(struct rig *rig, uint32_t layer, uint32_t expert)
{
    struct sl_slab_ref slab = {0};
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig->memory, layer, expert, &slab), 0);
    CU_ASSERT_EQUAL((uintptr_t)slab.header % 64, 0);
    CU_ASSERT(same_slab(slab, sl_store_expert(rig->mapped, layer, expert)));
    CU_ASSERT(sl_expert_memory_ready(rig->memory, layer, expert));
}

/* Request, use in the order of arrival, release. */
static void use(struct rig *rig, uint32_t layer, const uint32_t *experts, size_t n)
{
    uint32_t list[N_EXPERT];
    memcpy(list, experts, n * sizeof *list);
    CU_ASSERT_EQUAL_FATAL(sl_expert_memory_request(rig->memory, layer, experts, n), 0);
    for (size_t left = n, i; left > 0; left--) {
        CU_ASSERT_EQUAL_FATAL(sl_expert_memory_wait_any(rig->memory, layer, list, left, &i), 0);
        CU_ASSERT_FATAL(i < left && sl_expert_memory_ready(rig->memory, layer, list[i]));
        check_one(rig, layer, list[i]);
        list[i] = list[left - 1];
    }
    sl_expert_memory_release(rig->memory, layer, experts, n);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* n different experts; small numbers are more frequent. */
static void choose(uint32_t *state, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint32_t a = next_random(state) % N_EXPERT, b = next_random(state) % N_EXPERT;
        size_t j = 0;
        out[i] = a < b ? a : b;
        while (j < i && out[j] != out[i])
            j++;
        i += j == i;
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void test_every_byte(void)
{
    struct rig rig;
    uint32_t all[N_EXPERT];
    convert_rig(&rig);
    for (uint32_t e = 0; e < N_EXPERT; e++)
        all[e] = e;
    for (size_t k = 0; k < 2; k++) {
        open_streamed(&rig, kind_of(k));
        CU_ASSERT(sl_store_is_streamed(rig.streamed));
        CU_ASSERT_PTR_NULL(sl_store_expert(rig.streamed, 1, 1).header);
        open_memory(&rig, N_EXPERT, "lru");
        for (uint32_t l = 0; l < N_LAYER; l++)
            use(&rig, l, all, N_EXPERT);
        const struct sl_expert_memory_stats s = stats_of(&rig);
        CU_ASSERT_EQUAL(s.requests, N_KEY);
        CU_ASSERT_EQUAL(s.misses, N_KEY);
        CU_ASSERT_EQUAL(s.evictions, N_KEY - N_EXPERT);
        CU_ASSERT_EQUAL(s.bytes_read,
                        N_KEY * sl_store_expert(rig.mapped, 0, 0).n_beats * SL_BEAT_BYTES);
        sl_expert_memory_close(&rig.memory);
        sl_store_close(&rig.streamed);
    }
    close_rig(&rig);
}

/* What is not an expert is the same as in the mapping. */
static void test_other_slabs(void)
{
    struct rig rig;
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    for (uint32_t l = 0; l < N_LAYER; l++) {
        for (int m = SL_MATRIX_Q; m <= SL_MATRIX_LM_HEAD; m++) {
            const struct sl_slab_ref want = sl_store_matrix(rig.mapped, (enum sl_matrix)m, l);
            const struct sl_slab_ref have = sl_store_matrix(rig.streamed, (enum sl_matrix)m, l);
            CU_ASSERT(want.header ? same_slab(have, want) : !have.header);
        }
        CU_ASSERT(same_slab(sl_store_router(rig.streamed, l), sl_store_router(rig.mapped, l)));
        CU_ASSERT(same_slab(sl_store_shared(rig.streamed, l), sl_store_shared(rig.mapped, l)));
    }
    const struct sl_slab *shape = sl_store_expert_shape(rig.streamed);
    const struct sl_slab *real = sl_store_expert(rig.mapped, 2, 3).header;
    CU_ASSERT(shape->magic == real->magic && shape->kind == real->kind);
    CU_ASSERT(shape->format == real->format && shape->k == real->k && shape->rows == real->rows);
    CU_ASSERT_EQUAL(sl_store_bytes(rig.streamed), sl_store_bytes(rig.mapped));
    CU_ASSERT_EQUAL(sl_store_verify(rig.streamed, NULL), 0);
    close_rig(&rig);
}

/* Any sizes of requests, two layers pinned at once, few slots. */
static void test_eviction(void)
{
    struct rig rig;
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    static const char *const policies[] = {"lru", "lfu", "static", "adaptive"};
    for (size_t p = 0; p < 4; p++) {
        for (uint64_t n_slot = TOP; n_slot < N_KEY; n_slot += n_slot + 1) {
            uint32_t seed = 7, held[2], more[TOP];
            open_memory(&rig, n_slot, policies[p]);
            for (uint32_t turn = 0; turn < 60; turn++) {
                const uint32_t layer = turn % N_LAYER, next = (layer + 1) % N_LAYER;
                choose(&seed, held, 2);
                choose(&seed, more, TOP);
                CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, layer, held, 2), 0);
                use(&rig, next, more, 1 + turn % (TOP - 2));
                check_one(&rig, layer, held[0]);
                check_one(&rig, layer, held[1]);
                sl_expert_memory_release(rig.memory, layer, held, 2);
                CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), n_slot);
            }
            const struct sl_expert_memory_stats s = stats_of(&rig);
            CU_ASSERT_EQUAL(s.requests, s.hits + s.misses);
            CU_ASSERT_EQUAL(s.requests, 60 * 2 + 30 * 3);
            CU_ASSERT(s.misses - s.evictions <= n_slot && s.misses >= s.evictions);
            sl_expert_memory_close(&rig.memory);
        }
    }
    close_rig(&rig);
}

/* Requests that overlap, guesses, waits for some of what was asked for only. */
static void mix(struct rig *rig, uint32_t seed)
{
    enum { HELD = 3 };
    struct {
        uint32_t layer, expert[TOP], n;
    } held[HELD] = {0};
    for (unsigned turn = 0; turn < 400; turn++) {
        const unsigned h = next_random(&seed) % HELD;
        sl_expert_memory_release(rig->memory, held[h].layer, held[h].expert, held[h].n);
        held[h].layer = next_random(&seed) % N_LAYER;
        held[h].n = 1 + next_random(&seed) % TOP;
        choose(&seed, held[h].expert, held[h].n);
        const int err =
            sl_expert_memory_request(rig->memory, held[h].layer, held[h].expert, held[h].n);
        CU_ASSERT_FATAL(err == 0 || err == SL_ERR_USAGE);
        held[h].n = err ? 0 : held[h].n;
        for (unsigned i = next_random(&seed) % 4; i > 0; i--)
            sl_expert_memory_prefetch(rig->memory, next_random(&seed) % N_LAYER,
                                      next_random(&seed) % N_EXPERT, false);
        const unsigned look = next_random(&seed) % HELD;
        for (uint32_t i = 0; i < held[look].n; i += 1 + next_random(&seed) % 2)
            check_one(rig, held[look].layer, held[look].expert[i]);
    }
    for (unsigned h = 0; h < HELD; h++)
        sl_expert_memory_release(rig->memory, held[h].layer, held[h].expert, held[h].n);
}

static void test_mix(void)
{
    struct rig rig;
    convert_rig(&rig);
    for (uint32_t turn = 0; turn < 6; turn++) {
        const uint32_t n_slot = 5 + 7 * turn;
        open_streamed(&rig, kind_of(turn));
        open_memory(&rig, n_slot, turn % 3 ? "adaptive" : "lfu");
        mix(&rig, turn);
        const struct sl_expert_memory_stats s = stats_of(&rig);
        CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), n_slot);
        CU_ASSERT(s.hits > 0 && s.prefetch_hits > 0 && s.evictions > 0);
        CU_ASSERT_EQUAL(s.requests, s.hits + s.misses);
        CU_ASSERT(s.prefetch_hits + s.prefetch_wasted <= s.prefetches);
        sl_expert_memory_close(&rig.memory);
        sl_store_close(&rig.streamed);
    }
    close_rig(&rig);
}

/* ---- policies ------------------------------------------------------------------------------- */

/* Least recently used of n_slot, by a list, what is requested together moving to its front
 * together: what "lru" is. */
static unsigned lru_hits(uint32_t (*trace)[TOP], size_t n_turn, uint32_t n_slot)
{
    uint32_t list[N_KEY + TOP], n = 0;
    unsigned hits = 0;
    for (size_t t = 0; t < n_turn; t++) {
        for (unsigned i = 0; i < TOP; i++) {
            const uint32_t key = (uint32_t)(t % N_LAYER) * N_EXPERT + trace[t][i];
            uint32_t at = 0;
            while (at < n && list[at] != key)
                at++;
            hits += at < n;
            n += at == n;
            memmove(list + 1, list, at * sizeof *list);
            list[0] = key;
        }
        n = n < n_slot ? n : n_slot;
    }
    return hits;
}

static void test_lru(void)
{
    enum { N_TURN = 400 };
    static uint32_t trace[N_TURN][TOP];
    struct rig rig;
    uint32_t seed = 3;
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    for (size_t t = 0; t < N_TURN; t++)
        choose(&seed, trace[t], TOP);
    for (uint32_t n_slot = 8; n_slot <= 48; n_slot += 20) {
        open_memory(&rig, n_slot, "lru");
        for (uint32_t t = 0; t < N_TURN; t++)
            use(&rig, t % N_LAYER, trace[t], TOP);
        CU_ASSERT_EQUAL(stats_of(&rig).hits, lru_hits(trace, N_TURN, n_slot));
        sl_expert_memory_close(&rig.memory);
    }
    close_rig(&rig);
}

/* A loop over more experts than there are slots: LRU never hits, a policy that keeps does. */
static void test_loop(void)
{
    struct rig rig;
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    uint64_t hits[2];
    for (size_t p = 0; p < 2; p++) {
        open_memory(&rig, 18, p ? "adaptive" : "lru");
        for (uint32_t turn = 0; turn < 40 * N_LAYER; turn++) {
            static const uint32_t experts[] = {0, 1, 2, 3, 4, 5};
            use(&rig, turn % N_LAYER, experts, 6);
        }
        hits[p] = stats_of(&rig).hits;
        sl_expert_memory_close(&rig.memory);
    }
    CU_ASSERT_EQUAL(hits[0], 0);
    CU_ASSERT(hits[1] > 40 * 6);
    close_rig(&rig);
}

static void test_prefetch(void)
{
    static const uint32_t first[] = {0, 1}, second[] = {2, 3}, last[] = {8, 9, 10, 11, 12, 13, 14};
    struct rig rig;
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    open_memory(&rig, 16, "lru");
    use(&rig, 0, first, 2);
    sl_expert_memory_prefetch(rig.memory, 1, 2, false);
    sl_expert_memory_prefetch(rig.memory, 1, 2, false); /* already on its way */
    sl_expert_memory_prefetch(rig.memory, 0, 1, false); /* already there */
    sl_expert_memory_prefetch(rig.memory, 1, 5, false);
    CU_ASSERT_EQUAL(stats_of(&rig).prefetches, 2);
    use(&rig, 1, second, 2);
    use(&rig, 1, second, 2);
    struct sl_expert_memory_stats s = stats_of(&rig);
    CU_ASSERT_EQUAL(s.prefetch_hits, 1);
    CU_ASSERT_EQUAL(s.prefetch_wasted, 0);
    CU_ASSERT_EQUAL(s.hits, 3);
    CU_ASSERT_EQUAL(s.misses, 3);
    /* The guess that was wrong goes as everything else does, once it has come. */
    for (int ms = 0; ms < 5000 && !sl_expert_memory_ready(rig.memory, 1, 5); ms++)
        usleep(1000);
    for (uint32_t l = 0; l < N_LAYER; l++)
        use(&rig, l, last, 7);
    s = stats_of(&rig);
    CU_ASSERT_EQUAL(s.prefetch_wasted, 1);
    CU_ASSERT_EQUAL(s.prefetch_hits, 1);
    /* Guesses never take what is pinned, nor what the policy keeps. */
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 2, last, 7), 0);
    for (uint32_t l = 0; l < N_LAYER; l++)
        for (uint32_t e = 0; e < N_EXPERT; e++)
            sl_expert_memory_prefetch(rig.memory, l, e, false);
    for (size_t i = 0; i < 7; i++)
        check_one(&rig, 2, last[i]);
    sl_expert_memory_release(rig.memory, 2, last, 7);
    close_rig(&rig); /* with guesses under way */
}

/* ---- failures ------------------------------------------------------------------------------- */

static void expect_failure(struct rig *rig, uint32_t layer, uint32_t expert, int code,
                           const char *word)
{
    struct sl_slab_ref slab = {0};
    char name[48];
    snprintf(name, sizeof name, "slab layers.%u.experts.%u: ", layer, expert);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig->memory, layer, &expert, 1), 0);
    for (unsigned i = 0; i < 2; i++) {
        const int err = sl_expert_memory_wait(rig->memory, layer, expert, &slab);
        if (err != code || !strstr(sl_error_message(), word))
            printf("[%d: %s] ", err, sl_error_message());
        CU_ASSERT_EQUAL(err, code);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), word));
        CU_ASSERT_PTR_EQUAL(strstr(sl_error_message(), name), sl_error_message());
    }
    CU_ASSERT_PTR_NULL(slab.header);
    sl_expert_memory_release(rig->memory, layer, &expert, 1);
}

/* Offset of a slab in its part's file, from the mapping. */
static size_t offset_of(const struct rig *rig, uint32_t layer, uint32_t expert)
{
    const uint8_t *base = (const void *)sl_store_matrix(rig->mapped, SL_MATRIX_Q, layer).header;
    return (size_t)((const uint8_t *)sl_store_expert(rig->mapped, layer, expert).header - base);
}

static void test_flipped(void)
{
    static const uint32_t good[] = {4, 6};
    struct rig rig;
    convert_rig(&rig);
    const size_t at = offset_of(&rig, 3, 5);
    const size_t end = at + sl_store_expert(rig.mapped, 3, 5).n_beats * SL_BEAT_BYTES;
    const size_t places[] = {at, at + 7, at + 64, at + 4097, end - 1};
    for (size_t k = 0; k < 2; k++) {
        open_streamed(&rig, kind_of(k));
        open_memory(&rig, 6, "lru");
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            rig_flip(rig_join(rig.dir, "layer-0003.slab"), places[i], 0x40);
            expect_failure(&rig, 3, 5, SL_ERR_FORMAT, "checksum differs");
            use(&rig, 3, good, 2);
            rig_flip(rig_join(rig.dir, "layer-0003.slab"), places[i], 0x40);
            /* The file is right again: it is read anew. */
            use(&rig, 3, (const uint32_t[]){5}, 1);
            /* Out of memory with it, for the next flip. */
            for (uint32_t l = 0; l < N_LAYER; l++)
                use(&rig, l, (const uint32_t[]){8, 9, 10, 11}, 4);
            use(&rig, 0, (const uint32_t[]){12, 13, 14, 15}, 4);
            use(&rig, 1, (const uint32_t[]){12, 13, 14, 15}, 4);
        }
        sl_expert_memory_close(&rig.memory);
        sl_store_close(&rig.streamed);
    }
    /* Dense slabs are compared when the store is opened. */
    rig_flip(rig_join(rig.dir, "layer-0002.slab"), 100, 1);
    const struct sl_stream_params p = {0};
    CU_ASSERT_EQUAL(sl_store_open_streamed(&rig.streamed, rig.dir, &p), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "layers.2.q"));
    close_rig(&rig);
}

static void test_truncated(void)
{
    struct rig rig;
    convert_rig(&rig);
    const struct sl_stream_params p = {0};
    struct stat st;
    const char *path = rig_join(rig.dir, "layer-0001.slab");
    const size_t cut = offset_of(&rig, 1, 9) + 100;
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    sl_store_close(&rig.mapped); /* nothing may touch the pages that go */
    open_streamed(&rig, SL_READER_AUTO);
    open_memory(&rig, 8, NULL);
    CU_ASSERT_EQUAL(truncate(path, (off_t)cut), 0);
    expect_failure(&rig, 1, 9, SL_ERR_IO, "ends before byte");
    expect_failure(&rig, 1, 15, SL_ERR_IO, "ends before byte");
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 1, (const uint32_t[]){3}, 1), 0);
    struct sl_slab_ref slab;
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig.memory, 1, 3, &slab), 0);
    sl_expert_memory_release(rig.memory, 1, (const uint32_t[]){3}, 1);
    sl_expert_memory_close(&rig.memory);
    sl_store_close(&rig.streamed);
    /* Before it is opened. */
    CU_ASSERT_EQUAL(truncate(path, st.st_size - 1), 0);
    CU_ASSERT_EQUAL(sl_store_open_streamed(&rig.streamed, rig.dir, &p), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "layer-0001.slab"));
    unlink(path);
    CU_ASSERT_EQUAL(sl_store_open_streamed(&rig.streamed, rig.dir, &p), SL_ERR_IO);
    close_rig(&rig);
}

static void test_limits(void)
{
    struct rig rig;
    uint32_t experts[TOP + 1] = {0, 1, 2, 3, 4};
    convert_rig(&rig);
    open_streamed(&rig, SL_READER_AUTO);
    const uint32_t used = sl_store_config(rig.streamed)->n_expert_used;
    struct sl_expert_memory_params p = {.store = rig.streamed};
    p.budget = used * sl_expert_memory_slot_bytes(rig.streamed) - 1;
    CU_ASSERT_EQUAL(sl_expert_memory_open(&rig.memory, &p), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "experts in memory"));
    p.budget = UINT64_C(1) << 50;
    p.policy = "belady";
    CU_ASSERT_EQUAL(sl_expert_memory_open(&rig.memory, &p), SL_ERR_USAGE);
    open_memory(&rig, TOP, NULL);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 0, experts, TOP + 1), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), TOP);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 0, experts, TOP), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 0, experts, 2), 0); /* pins count */
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 1, experts, 1), SL_ERR_USAGE);
    check_one(&rig, 0, 0);
    /* One goes, another comes, while the rest stays pinned. */
    sl_expert_memory_release(rig.memory, 0, experts + 2, 1);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 1, experts, 1), 0);
    check_one(&rig, 1, 0);
    sl_expert_memory_release(rig.memory, 0, experts, 2);
    check_one(&rig, 0, 1);
    close_rig(&rig); /* pinned, and perhaps under way */
}

/* A pipe in place of the file: a disk that does not answer, until it does. */
static void test_deadline(void)
{
    if (!rig_has_uring()) { /* threads do not read pipes at an offset */
        CU_PASS("no io_uring here");
        return;
    }
    struct rig rig;
    int silent[2];
    const uint32_t expert = 9, other = 3;
    struct sl_slab_ref slab;
    convert_rig(&rig);
    sl_store_close(&rig.mapped);
    const struct sl_stream_params sp = {.reader = SL_READER_URING, .direct = SL_DIRECT_OFF};
    CU_ASSERT_EQUAL_FATAL(sl_store_open_streamed(&rig.streamed, rig.dir, &sp), 0);
    const struct sl_expert_memory_params p = {.store = rig.streamed,
                                              .budget =
                                                  4 * sl_expert_memory_slot_bytes(rig.streamed),
                                              .deadline_ms = 40};
    CU_ASSERT_EQUAL_FATAL(sl_expert_memory_open(&rig.memory, &p), 0);
    const int fd = rig_descriptor(rig_join(rig.dir, "layer-0002.slab"));
    CU_ASSERT_FATAL(fd >= 0 && !pipe(silent));
    const int file = dup(fd);
    CU_ASSERT_EQUAL_FATAL(dup2(silent[0], fd), fd);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 2, &expert, 1), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig.memory, 2, expert, &slab), SL_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "slab layers.2.experts.9: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "within 40 ms"));
    CU_ASSERT_FALSE(sl_expert_memory_ready(rig.memory, 2, expert));
    sl_expert_memory_release(rig.memory, 2, &expert, 1);
    /* Others go on meanwhile. */
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 1, &other, 1), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig.memory, 1, other, &slab), 0);
    sl_expert_memory_release(rig.memory, 1, &other, 1);
    /* It answers, and the file is back: what was given up is read anew. */
    CU_ASSERT_EQUAL_FATAL(dup2(file, fd), fd);
    CU_ASSERT_EQUAL(write(silent[1], "late", 4), 4);
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 2, &expert, 1), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig.memory, 2, expert, &slab), 0);
    CU_ASSERT_EQUAL(stats_of(&rig).misses, 3);
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&rig.mapped, rig.dir), 0);
    CU_ASSERT(same_slab(slab, sl_store_expert(rig.mapped, 2, expert)));
    sl_expert_memory_release(rig.memory, 2, &expert, 1);
    CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), 4);
    close(silent[0]);
    close(silent[1]);
    close(file);
    close_rig(&rig);
}

/* Without slots: the store's own slabs. */
static void test_mapped(void)
{
    struct rig rig;
    convert_rig(&rig);
    const struct sl_expert_memory_params p = {.store = rig.mapped, .budget = 1};
    CU_ASSERT_EQUAL_FATAL(sl_expert_memory_open(&rig.memory, &p), 0);
    CU_ASSERT_FALSE(sl_expert_memory_streams(rig.memory));
    CU_ASSERT_EQUAL(sl_expert_memory_room(rig.memory), UINT32_MAX);
    use(&rig, 2, (const uint32_t[]){1, 5, 15}, 3);
    struct sl_slab_ref slab;
    CU_ASSERT_EQUAL(sl_expert_memory_request(rig.memory, 0, (const uint32_t[]){7}, 1), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_wait(rig.memory, 0, 7, &slab), 0);
    CU_ASSERT_PTR_EQUAL(slab.header, sl_store_expert(rig.mapped, 0, 7).header);
    sl_expert_memory_prefetch(rig.memory, 0, 8, false);
    CU_ASSERT_EQUAL(stats_of(&rig).hits, 4);
    CU_ASSERT_EQUAL(stats_of(&rig).bytes_read, 0);
    close_rig(&rig);
}

static const struct sl_case cases[] = {
    {"every byte of every expert arrives, through either reader", test_every_byte},
    {"slabs that are not experts are those of the mapping", test_other_slabs},
    {"under every policy and budget what is pinned stays and is right", test_eviction},
    {"requests, guesses and releases mix in any way", test_mix},
    {"lru hits as often as a list of the least recently used", test_lru},
    {"a loop over too many experts hits where the policy keeps some", test_loop},
    {"what was prefetched is a hit, or is counted as wasted", test_prefetch},
    {"a flipped byte is an error that names its slab", test_flipped},
    {"a file cut short is an error, before and after it was opened", test_truncated},
    {"a wait ends at its deadline, and the expert can be read later", test_deadline},
    {"budgets and requests that do not fit are refused", test_limits},
    {"a store that has its experts in memory answers at once", test_mapped},
    {NULL, NULL},
};
const struct sl_suite suite_expert_memory = {"expert_memory", cases};
