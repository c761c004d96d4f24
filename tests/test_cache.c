/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Residency of experts: each policy on traces whose evictions were worked out by hand, Belady's
 * optimum beside the best of all possible choices and beside every policy, long synthetic traces,
 * the reader of traces, and what the engine records.
 */
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cache/lookahead.h"
#include "cache/policy.h"
#include "cli_rig.h"
#include "engine/session.h"
#include "temp_file.h"

static struct sl_policy *open_policy(enum sl_policy_kind kind, uint32_t n_slot, uint32_t n_key,
                                     uint32_t n, const uint32_t *next)
{
    struct sl_policy *policy = NULL;
    const struct sl_policy_params p = {kind, n_slot, n_key, n, next};
    CU_ASSERT_EQUAL_FATAL(sl_policy_open(&policy, &p), 0);
    return policy;
}

/* ---- by hand -------------------------------------------------------------------------------- */

/* keys "abca", and what each access does: '+' hit, '-' loaded into an empty slot, '.' passed by, a
 * letter: loaded in place of that key. */
static void expect(enum sl_policy_kind kind, uint32_t n_slot, const char *keys, const char *want)
{
    enum { MAX = 64, N_KEY = 26 };
    uint32_t key[MAX], next[MAX], last[N_KEY];
    char got[MAX + 1] = "";
    const uint32_t n = (uint32_t)strlen(keys);
    CU_ASSERT_FATAL(n <= MAX && strlen(want) == n);
    for (uint32_t i = 0; i < n; i++)
        key[i] = (uint32_t)(keys[i] - 'a');
    sl_policy_next_use(next, key, n, last, N_KEY);
    struct sl_policy *policy = open_policy(kind, n_slot, N_KEY, n, next);
    for (uint32_t i = 0; i < n; i++) {
        const struct sl_policy_step s = sl_policy_access(policy, key[i]);
        got[i] = s.hit                      ? '+'
                 : !s.loaded                ? '.'
                 : s.evicted == SL_KEY_NONE ? '-'
                                            : (char)('a' + s.evicted);
    }
    if (strcmp(got, want))
        printf("\n  policy %d, %u slots, %s: %s, not %s\n", kind, n_slot, keys, got, want);
    CU_ASSERT_STRING_EQUAL(got, want);
    sl_policy_close(&policy);
}

static void lru_evicts_what_was_used_longest_ago(void)
{
    expect(SL_POLICY_LRU, 2, "abacb", "--+ba");
    expect(SL_POLICY_LRU, 3, "abcabdca", "---++cab");
    expect(SL_POLICY_LRU, 1, "aabba", "-+a+b");
    expect(SL_POLICY_LRU, 3, "abcdabcd", "---abcda"); /* the loop that defeats it */
}

static void lfu_evicts_what_was_used_least(void)
{
    expect(SL_POLICY_LFU, 2, "aaabcbc", "-++-bcb"); /* a stays */
    expect(SL_POLICY_LFU, 2, "aabbbcc", "-+-++a+");
    expect(SL_POLICY_LFU, 3, "aabbccda", "-+-+-+ad"); /* the oldest of equals */
}

static void counts_of_lfu_age(void)
{
    /* 3 slots: counts halve in 64 accesses, so behind 300 of b the four of a weigh 4 * 2^-4.7 < 0.2
     * and less than one of c. Without ageing d would evict c. */
    struct sl_policy *policy = open_policy(SL_POLICY_LFU, 3, 4, 306, NULL);
    for (int i = 0; i < 4; i++)
        sl_policy_access(policy, 0);
    for (int i = 0; i < 300; i++)
        sl_policy_access(policy, 1);
    sl_policy_access(policy, 2);
    CU_ASSERT_EQUAL(sl_policy_access(policy, 3).evicted, 0);
    CU_ASSERT_EQUAL(sl_policy_access(policy, 0).evicted, 2);
    sl_policy_close(&policy);
}

static void counts_survive_a_million_accesses(void)
{
    /* What is added to counts grows by 2^15625 meanwhile. "aabc": a stays, b and c take turns;
     * by time alone c would take the place of a. */
    struct sl_policy *policy = open_policy(SL_POLICY_LFU, 2, 3, 1000000, NULL);
    unsigned n_hit = 0;
    for (int i = 0; i < 1000000; i++)
        n_hit += sl_policy_access(policy, (uint32_t[]){0, 0, 1, 2}[i % 4]).hit;
    CU_ASSERT_EQUAL(n_hit, 499999);
    sl_policy_close(&policy);
}

static void static_keeps_the_most_frequent_of_the_first_tenth(void)
{
    /* 30 accesses, 3 to learn from: a once, b twice. One slot: a is there until b comes again. */
    expect(SL_POLICY_STATIC, 1, "abbacbcabcabcabcabcabcabcabcab", "-..+.a..+..+..+..+..+..+..+..+");
    expect(SL_POLICY_STATIC, 2, "abbacbcabcabcabcabcabcabcabcab", "--++.+.++.++.++.++.++.++.++.++");
}

static void belady_evicts_what_is_used_last_or_passes_by(void)
{
    expect(SL_POLICY_BELADY, 1, "ababab", "-.+.+.");
    expect(SL_POLICY_BELADY, 2, "abcab", "--.++");
    expect(SL_POLICY_BELADY, 2, "abccab", "--b++.");
    expect(SL_POLICY_BELADY, 3, "abcdabcd", "---.+++.");
}

static void adaptive_does_what_its_best_part_does(void)
{
    /* While all parts agree it is lru: b and c have gone when d comes. */
    expect(SL_POLICY_ADAPTIVE, 2, "abcd", "--ab");
    /* A loop over 5 keys and 4 slots: lru never hits, keeping 4 of them always hits 4 of 5. */
    struct sl_policy *lru = open_policy(SL_POLICY_LRU, 4, 5, 5000, NULL);
    struct sl_policy *adaptive = open_policy(SL_POLICY_ADAPTIVE, 4, 5, 5000, NULL);
    unsigned n_lru = 0, n_adaptive = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        n_lru += sl_policy_access(lru, i % 5).hit;
        n_adaptive += sl_policy_access(adaptive, i % 5).hit;
    }
    CU_ASSERT_EQUAL(n_lru, 0);
    CU_ASSERT(n_adaptive > 3900 && n_adaptive <= 4000);
    sl_policy_close(&lru);
    sl_policy_close(&adaptive);
}

/* ---- beside the optimum --------------------------------------------------------------------- */

/* Most hits of all choices: for each set of resident keys the best so far. */
static int optimum(const uint32_t *key, uint32_t n, uint32_t n_slot)
{
    enum { N_SET = 1 << 5 };
    int best[N_SET], now[N_SET], most = 0;
    memset(best, 0xff, sizeof best); /* -1: cannot be reached */
    best[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        const unsigned bit = 1u << key[i];
        memset(now, 0xff, sizeof now);
        for (unsigned set = 0; set < N_SET; set++) {
            if (best[set] < 0)
                continue;
            const int v = best[set] + ((set & bit) != 0);
            now[set] = v > now[set] ? v : now[set]; /* nothing is loaded */
            for (unsigned out = 0; out <= 5; out++) {
                const unsigned with = (set & ~(out < 5 ? 1u << out : 0)) | bit;
                if ((unsigned)__builtin_popcount(with) <= n_slot && v > now[with])
                    now[with] = v;
            }
        }
        memcpy(best, now, sizeof best);
    }
    for (unsigned set = 0; set < N_SET; set++)
        most = best[set] > most ? best[set] : most;
    return most;
}

/* Hits of one policy; each step is checked: a hit is what the slots hold, an eviction leaves them,
 * and there are never more than n_slot. */
static uint32_t run_checked(enum sl_policy_kind kind, const uint32_t *key, uint32_t n,
                            uint32_t n_slot, uint32_t n_key)
{
    uint32_t *next = calloc(n, sizeof *next), *last = calloc(n_key, sizeof *last);
    bool *in = calloc(n_key, sizeof *in), good = true;
    CU_ASSERT_FATAL(next && last && in);
    sl_policy_next_use(next, key, n, last, n_key);
    struct sl_policy *policy = open_policy(kind, n_slot, n_key, n, next);
    uint32_t n_hit = 0, n_in = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct sl_policy_step s = sl_policy_access(policy, key[i]);
        const bool evicts = s.evicted != SL_KEY_NONE;
        good = good && s.hit == in[key[i]] && !(s.hit && s.loaded) && !(evicts && !s.loaded);
        good = good && (!evicts || (s.evicted < n_key && in[s.evicted] && n_in == n_slot));
        if (!good)
            break;
        if (evicts)
            in[s.evicted] = false;
        in[key[i]] = s.hit || s.loaded;
        n_in += s.loaded - evicts;
        good = n_in <= n_slot && sl_policy_has(policy, key[i]) == in[key[i]];
        n_hit += s.hit;
    }
    CU_ASSERT(good);
    sl_policy_close(&policy);
    free(next);
    free(last);
    free(in);
    return n_hit;
}

static void belady_equals_the_best_of_all_choices(void)
{
    struct sl_rng rng = sl_rng_open("belady", 5);
    for (int trial = 0; trial < 3000; trial++) {
        uint32_t key[14], n = (uint32_t)sl_rng_range(&rng, 1, 14);
        const uint32_t n_slot = (uint32_t)sl_rng_range(&rng, 1, 4);
        for (uint32_t i = 0; i < n; i++)
            key[i] = (uint32_t)sl_rng_range(&rng, 0, 4);
        CU_ASSERT_EQUAL(run_checked(SL_POLICY_BELADY, key, n, n_slot, 5),
                        (uint32_t)optimum(key, n, n_slot));
    }
}

static void belady_is_never_worse_than_a_policy(void)
{
    struct sl_rng rng = sl_rng_open("never worse", 6);
    uint32_t key[400];
    for (int trial = 0; trial < 400; trial++) {
        const uint32_t n_key = (uint32_t)sl_rng_range(&rng, 1, 40);
        const uint32_t n_slot = (uint32_t)sl_rng_range(&rng, 1, n_key);
        const uint32_t n = (uint32_t)sl_rng_range(&rng, 1, 400);
        const int skew = (int)sl_rng_range(&rng, 1, 3), loop = (int)sl_rng_range(&rng, 0, 3);
        for (uint32_t i = 0; i < n; i++) {
            double u = (double)(sl_rng_next(&rng) >> 11) * 0x1p-53;
            key[i] = loop ? (uint32_t)(pow(u, skew) * n_key) : i % n_key;
        }
        const uint32_t best = run_checked(SL_POLICY_BELADY, key, n, n_slot, n_key);
        for (int kind = 0; kind < SL_N_POLICY; kind++)
            CU_ASSERT(run_checked((enum sl_policy_kind)kind, key, n, n_slot, n_key) <= best);
    }
}

/* ---- long synthetic traces ------------------------------------------------------------------ */

enum { N_LAYER = 24, N_EXPERT = 32, N_USED = 2, N_TOKEN = 3000 };
enum { N_ACCESS = N_LAYER * N_USED * N_TOKEN, N_KEY = N_LAYER * N_EXPERT };

/* Routing by Zipf's law of exponent alpha over a popularity of its own in each layer; a token
 * repeats the last one's choice with probability `again`; each `drift` tokens two experts of each
 * layer change places (0: never). */
struct synthetic {
    double alpha, again;
    int drift;
};

static double uniform(struct sl_rng *rng)
{
    return (double)(sl_rng_next(rng) >> 11) * 0x1p-53;
}

static void swap_places(struct sl_rng *rng, uint32_t *place)
{
    uint32_t *a = place + sl_rng_range(rng, 0, N_EXPERT - 1);
    uint32_t *b = place + sl_rng_range(rng, 0, N_EXPERT - 1), t = *a;
    *a = *b;
    *b = t;
}

static void choose_two(struct sl_rng *rng, const double *sum, const uint32_t *place, uint32_t *out)
{
    for (int c = 0; c < N_USED;) {
        const double u = uniform(rng) * sum[N_EXPERT - 1];
        int i = 0;
        while (i < N_EXPERT - 1 && sum[i] < u)
            i++;
        out[c] = place[i];
        c += c == 0 || out[1] != out[0];
    }
}

static void make_trace(struct sl_rng *rng, const struct synthetic *s, uint32_t *key)
{
    static uint32_t place[N_LAYER][N_EXPERT], chosen[N_LAYER][N_USED];
    double sum[N_EXPERT], z = 0;
    for (int i = 0; i < N_EXPERT; i++)
        sum[i] = z += pow(i + 1, -s->alpha);
    for (int l = 0; l < N_LAYER; l++) {
        for (uint32_t i = 0; i < N_EXPERT; i++)
            place[l][i] = i;
        for (int i = 0; i < 8 * N_EXPERT; i++)
            swap_places(rng, place[l]);
    }
    for (int t = 0; t < N_TOKEN; t++)
        for (uint32_t l = 0; l < N_LAYER; l++) {
            if (s->drift && t && t % s->drift == 0)
                swap_places(rng, place[l]);
            if (t == 0 || uniform(rng) >= s->again)
                choose_two(rng, sum, place[l], chosen[l]);
            for (int c = 0; c < N_USED; c++)
                *key++ = l * N_EXPERT + chosen[l][c];
        }
}

static void adaptive_keeps_up_with_the_best_of_the_others(void)
{
    static const struct synthetic kind[] = {{0, 0, 0},      {1, 0, 0},     {1, 0.4, 50},
                                            {0.5, 0.8, 0},  {1.4, 0, 50},  {0, 0.8, 50},
                                            {0.5, 0.4, 20}, {1, 0.4, 1000}};
    static uint32_t key[N_ACCESS];
    struct sl_rng rng = sl_rng_open("adaptive", 7);
    double worst = 2;
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
        make_trace(&rng, &kind[i], key);
        for (uint32_t eighth = 1; eighth <= 6; eighth += eighth == 1 ? 1 : 2) {
            double hits[SL_N_POLICY], best = 0;
            for (int k = SL_POLICY_LRU; k <= SL_POLICY_BELADY; k++)
                hits[k] =
                    run_checked((enum sl_policy_kind)k, key, N_ACCESS, eighth * N_KEY / 8, N_KEY);
            for (int k = SL_POLICY_LRU; k <= SL_POLICY_STATIC; k++)
                best = hits[k] > best ? hits[k] : best;
            const double share = hits[SL_POLICY_ADAPTIVE] / best;
            worst = share < worst ? share : worst;
            CU_ASSERT(best <= hits[SL_POLICY_BELADY]);
            CU_ASSERT(hits[SL_POLICY_ADAPTIVE] <= hits[SL_POLICY_BELADY]);
        }
    }
    printf("[worst %.4f] ", worst);
    CU_ASSERT(worst >= 0.97);
}

/* ---- the reader, and replays through the interface ------------------------------------------ */

static struct sl_routes *routes_of(const char *text)
{
    struct sl_routes *r = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_routes_parse(&r, "t", text, strlen(text), NULL, NULL), 0);
    return r;
}

static void traces_are_read(void)
{
    struct sl_routes *r = routes_of("token,layer,expert\r\n0,0,5\r\n0,0,2\n0,3,5\n7,0,5\n");
    CU_ASSERT_EQUAL(r->info.n_access, 4);
    CU_ASSERT_EQUAL(r->info.n_token, 2);
    CU_ASSERT_EQUAL(r->info.n_layer, 4);
    CU_ASSERT_EQUAL(r->info.n_expert, 6);
    CU_ASSERT_EQUAL(r->info.n_key, 3);
    CU_ASSERT_EQUAL(memcmp(r->key, (uint32_t[]){0, 1, 2, 0}, 16), 0);
    CU_ASSERT_EQUAL_FATAL(r->n_group, 3);
    CU_ASSERT_EQUAL(memcmp(r->group, (uint32_t[]){0, 2, 3, 4}, 16), 0);
    sl_routes_close(&r);
}

#define HEAD "token,layer,expert\n"
static void other_texts_are_refused_with_their_line(void)
{
    static const struct {
        const char *text;
        int line;
    } bad[] = {
        {"", 1},
        {"token,layer,expert", 1},
        {"token,layer\n0,0,1\n", 1},
        {"0,0,1\n", 1},
        {HEAD, 2},
        {HEAD "\n", 2},
        {HEAD "0,0,1", 2},
        {HEAD "0,0,1\n0,1,2", 3},
        {HEAD "0,0\n", 2},
        {HEAD "0,0,1,2\n", 2},
        {HEAD "0,0,\n", 2},
        {HEAD "0, 0,1\n", 2},
        {HEAD "-1,0,1\n", 2},
        {HEAD "0,0,1.0\n", 2},
        {HEAD "0,0,1\r\r\n", 2},
        {HEAD "4294967296,0,1\n", 2},
        {HEAD "99999999999999999999999,0,1\n", 2},
        {HEAD "0,1024,1\n", 2},
        {HEAD "0,0,1024\n", 2},
        {HEAD "0,0,1\n0,1,1\n0,0,2\n", 4},
        {HEAD "1,0,1\n0,0,1\n", 3},
        {HEAD "0,0,1\n0,0,2\n0,0,1\n", 4},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_routes *r = NULL;
        char want[32];
        snprintf(want, sizeof want, "t: line %d: ", bad[i].line);
        const int err = sl_routes_parse(&r, "t", bad[i].text, strlen(bad[i].text), NULL, NULL);
        if (err != SL_ERR_FORMAT || strncmp(sl_error_message(), want, strlen(want)))
            printf("\n  %zu: %d, %s", i, err, sl_error_message());
        CU_ASSERT_EQUAL(err, SL_ERR_FORMAT);
        CU_ASSERT_PTR_NULL(r);
        CU_ASSERT_EQUAL(strncmp(sl_error_message(), want, strlen(want)), 0);
    }
}

static struct sl_residency replay(const struct sl_routes *r, const char *policy, uint64_t n_slot,
                                  uint32_t n_ahead)
{
    struct sl_residency out = {0};
    const struct sl_residency_params p = {.policy = policy, .n_slot = n_slot, .n_ahead = n_ahead};
    CU_ASSERT_EQUAL(sl_routes_replay(r, &p, &out), 0);
    CU_ASSERT_EQUAL(out.n_hit + out.n_miss, out.n_access);
    return out;
}

static void lookahead_hides_what_fits_beside_a_layer(void)
{
    /* Two layers of one expert, all different: only the first upload has nothing before it. */
    struct sl_routes *r = routes_of(HEAD "0,0,0\n0,1,1\n1,0,2\n1,1,3\n");
    struct sl_residency x = replay(r, "lookahead", 2, 1);
    CU_ASSERT(x.n_hit == 3 && x.n_load == 4 && x.n_hidden == 3);
    /* One slot: a's is in use for b, b passes by, so it is free for c, and in use again for d. */
    x = replay(r, "lookahead", 1, 1);
    CU_ASSERT(x.n_hit == 1 && x.n_hidden == 1 && x.n_load == 2);
    x = replay(r, "lookahead", 2, 0);
    CU_ASSERT(x.n_hit == 0 && x.n_hidden == 0);
    sl_routes_close(&r);
    /* Two experts a layer: of the second layer's, one upload fits; with 3 slots only one slot. */
    r = routes_of(HEAD "0,0,0\n0,0,1\n0,1,0\n0,1,1\n");
    x = replay(r, "lookahead", 4, 1);
    CU_ASSERT(x.n_hit == 1 && x.n_miss == 3 && x.n_hidden == 1);
    x = replay(r, "lookahead", 4, 2);
    CU_ASSERT(x.n_hit == 2 && x.n_hidden == 2);
    x = replay(r, "lookahead", 3, 2);
    CU_ASSERT(x.n_hit == 1 && x.n_hidden == 1);
    sl_routes_close(&r);
}

static void lookahead_is_never_worse_than_belady(void)
{
    struct sl_rng rng = sl_rng_open("lookahead", 8);
    static char text[1 << 16];
    for (int trial = 0; trial < 200; trial++) {
        const int n_layer = (int)sl_rng_range(&rng, 1, 4), n_used = (int)sl_rng_range(&rng, 1, 3);
        char *at = text + sprintf(text, HEAD);
        for (int t = 0; t < 60; t++)
            for (int l = 0; l < n_layer; l++)
                for (int c = 0; c < n_used; c++)
                    at += sprintf(at, "%d,%d,%d\n", t, l, 3 * (int)(pow(uniform(&rng), 2) * 5) + c);
        struct sl_routes *r = routes_of(text);
        const uint64_t n_slot = (uint64_t)sl_rng_range(&rng, 1, 20);
        const struct sl_residency belady = replay(r, "belady", n_slot, 0);
        for (uint32_t ahead = 0; ahead <= 3; ahead++) {
            const struct sl_residency x = replay(r, "lookahead", n_slot, ahead);
            CU_ASSERT(x.n_hit >= belady.n_hit && x.n_hidden <= x.n_load);
            CU_ASSERT(ahead > 0 || (x.n_hit == belady.n_hit && x.n_load == belady.n_load));
        }
        sl_routes_close(&r);
    }
}

static bool stop_at_once(void *user, const char *what, uint64_t done, uint64_t total)
{
    CU_ASSERT(what && done < total);
    ++*(unsigned *)user;
    return false;
}

static void replays_refuse_and_stop(void)
{
    struct sl_routes *r = routes_of(HEAD "0,0,0\n");
    struct sl_residency out;
    struct sl_residency_params p = {.policy = "mru", .n_slot = 1};
    CU_ASSERT_EQUAL(sl_routes_replay(r, &p, &out), SL_ERR_USAGE);
    p = (struct sl_residency_params){.policy = "lru", .n_slot = 0};
    CU_ASSERT_EQUAL(sl_routes_replay(r, &p, &out), SL_ERR_USAGE);
    const char *policy;
    for (size_t i = 0; (policy = sl_residency_policy(i)); i++) {
        unsigned n = 0;
        p = (struct sl_residency_params){
            .policy = policy, .n_slot = 1, .progress = stop_at_once, .progress_user = &n};
        CU_ASSERT_EQUAL(sl_routes_replay(r, &p, &out), SL_ERR_INTERRUPTED);
        CU_ASSERT_EQUAL(n, 1);
    }
    sl_routes_close(&r);
}

/* ---- the recorder and the program ----------------------------------------------------------- */

static void read_bytes(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    const size_t n = fread(out, 1, cap - 1, f);
    out[n] = 0;
    fclose(f);
}

static void recorded_routes_do_not_depend_on_chunks_or_devices(void)
{
    static struct cli_result r;
    static char first[1 << 16], text[1 << 16];
    static const char *const how[] = {"--device csim", "--device csim -b 1", "--device csim:4 -b 3",
                                      "--device csim --dense device -t 1"};
    char dir[256], path[300], line[700];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/r.csv", dir);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        snprintf(line, sizeof line,
                 "run -m models/demo-hunyuan --prompt=In_the_beginning -n 8 --temp 0 %s "
                 "--record-routes %s",
                 how[i], path);
        cli_run(&r, line);
        CU_ASSERT_EQUAL(r.code, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "routes of 13 tokens: "));
        read_bytes(path, i ? text : first, sizeof text);
        CU_ASSERT_EQUAL(unlink(path), 0);
        CU_ASSERT(i == 0 || !strcmp(first, text));
    }
    struct sl_routes *routes = routes_of(first);
    CU_ASSERT_EQUAL(routes->info.n_token, 13);
    CU_ASSERT_EQUAL(routes->info.n_layer, 4);
    CU_ASSERT_EQUAL(routes->info.n_access, 13 * 4);
    sl_routes_close(&routes);
}

struct heard {
    uint16_t expert[64][8][SL_MAX_EXPERT_USED];
    uint32_t n;
};

static void hear(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                 size_t n_tok)
{
    struct heard *h = user;
    for (size_t t = 0; t < n_tok; t++)
        memcpy(h->expert[pos + t][layer], route[t].expert, sizeof h->expert[0][0]);
    h->n += (uint32_t)n_tok;
}

static void the_file_holds_what_the_router_chose(void)
{
    enum { N = 11 };
    static struct heard heard;
    static char text[1 << 16], want[1 << 16];
    char dir[256], path[300], model_dir[400];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/r.csv", dir);
    snprintf(model_dir, sizeof model_dir, "%s/yuan2-m32-base", sl_golden_dir());
    const struct sl_model_params mp = {.path = model_dir, .exact = true, .n_threads = 1};
    struct sl_model *model = NULL;
    struct sl_session *s = NULL;
    struct sl_route_log *log = NULL;
    struct sl_model_info info;
    const int32_t ids[N] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &mp), 0);
    sl_model_get_info(model, &info);
    const struct sl_session_params one = {.n_batch = 1}, four = {.n_batch = 4};
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&s, model, &one), 0);
    const struct sl_trace trace = {.on_route = hear, .user = &heard};
    sl_session_set_trace(s, &trace);
    CU_ASSERT_EQUAL(sl_session_eval(s, ids, N, false, NULL), 0);
    sl_session_close(&s);
    CU_ASSERT_EQUAL_FATAL(heard.n, N * info.n_layer);

    CU_ASSERT_EQUAL_FATAL(sl_route_log_open(&log, path), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&s, model, &four), 0);
    CU_ASSERT_EQUAL(sl_session_log_routes(s, log), 0);
    CU_ASSERT_EQUAL(sl_session_log_routes(s, log), SL_ERR_USAGE); /* of one session only */
    for (int i = 0; i < 2; i++) { /* the second text's tokens are counted on */
        CU_ASSERT_EQUAL(sl_session_eval(s, ids, N, false, NULL), 0);
        sl_session_reset(s);
    }
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0); /* nothing bears the name yet */
    uint64_t n_token = 0;
    CU_ASSERT_EQUAL(sl_route_log_write(log, &n_token), 0);
    CU_ASSERT_EQUAL(n_token, 2 * N);
    sl_session_close(&s);
    sl_route_log_close(&log);
    sl_model_close(&model);

    char *at = want + sprintf(want, HEAD);
    for (int t = 0; t < 2 * N; t++)
        for (uint32_t l = 0; l < info.n_layer; l++)
            for (uint32_t c = 0; c < info.n_expert_used; c++)
                at += sprintf(at, "%d,%u,%u\n", t, l, heard.expert[t % N][l][c]);
    read_bytes(path, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, want);
}

static void the_program_replays_traces(void)
{
    static struct cli_result r;
    char dir[256], line[700];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    const char text[] = HEAD "0,0,0\n0,1,1\n1,0,0\n1,1,0\n2,0,0\n2,1,1\n";
    temp_file_put(dir, "r.csv", text, strlen(text));
    snprintf(line, sizeof line,
             "cache --trace %s/r.csv --slots 2,50%% --policy lru "
             "--expert-bytes 1000 --json",
             dir);
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    json_t *o = json_loads(r.out, JSON_REJECT_DUPLICATES, NULL);
    json_t *results = json_object_get(o, "results");
    CU_ASSERT_EQUAL_FATAL(json_array_size(results), 4); /* lru and belady, 2 and 50 % of 2 x 2 */
    for (size_t i = 0; i < 4; i++) {
        json_t *x = json_array_get(results, i);
        const bool lru = !strcmp(json_string_value(json_object_get(x, "policy")), "lru");
        /* a b a c a b: lru hits a twice; the optimum also b, letting c pass by. */
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(x, "slots")), 2);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(x, "misses")), lru ? 4 : 3);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(x, "bytes_moved")), lru ? 4000 : 2000);
        CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(x, "gap_points")),
                               lru ? 100.0 / 6 : 0, 1e-9);
    }
    json_decref(o);
    snprintf(line, sizeof line, "cache --trace %s/r.csv --slots 2 -m models/demo-hunyuan", dir);
    cli_run(&r, line);
    CU_ASSERT(r.code == 0 && strstr(r.out, "lookahead") && strstr(r.out, "MB moved"));
}

static void wrong_command_lines_of_cache_are_refused(void)
{
    static struct cli_result r;
    static const struct {
        const char *options;
        int code;
    } bad[] = {{"--slots 0", 2},
               {"--slots 1,,2", 2},
               {"--slots x", 2},
               {"--slots 101%", 2},
               {"--slots 1.5", 2},
               {"--slots -1", 2},
               {"--slots 1,", 2},
               {"", 2},
               {"--slots 1 --policy mru", 2},
               {"--slots 1 --format nf4", 2},
               {"--slots 1 -m nowhere", 3}};
    char dir[256], line[700];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "r.csv", HEAD "0,0,0\n", strlen(HEAD "0,0,0\n"));
    temp_file_put(dir, "bad.csv", "hello\n", 6);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(line, sizeof line, "cache --trace %s/r.csv%s%s", dir, *bad[i].options ? " " : "",
                 bad[i].options);
        cli_run(&r, line);
        if (r.code != bad[i].code || strncmp(r.err, "error: ", 7))
            printf("\n  %s: %d %s", bad[i].options, r.code, r.err);
        CU_ASSERT(r.code == bad[i].code && !strncmp(r.err, "error: ", 7));
    }
    snprintf(line, sizeof line, "cache --trace %s/bad.csv --slots 1", dir);
    cli_run(&r, line);
    CU_ASSERT(r.code == 3 && strstr(r.err, "bad.csv: line 1: "));
    snprintf(line, sizeof line, "cache --trace %s/none.csv --slots 1", dir);
    cli_run(&r, line);
    CU_ASSERT(r.code == 3 && strstr(r.err, "none.csv"));
    cli_run(&r, "run -m models/demo-hunyuan -p x -n 1 --record-routes /nonexistent/r.csv");
    CU_ASSERT(r.code == 3 && !strncmp(r.err, "error: IO ", 10));
}

static void ctrl_c_keeps_whole_tokens(void)
{
    static char text[1 << 22];
    char dir[256], out[300], err[300], path[300], line[1000];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(err, sizeof err, "%s/err", dir);
    snprintf(path, sizeof path, "%s/r.csv", dir);
    snprintf(line, sizeof line,
             "run -m models/demo-hunyuan --prompt=And -c 100000 --temp 1 --device csim "
             "--no-display-prompt --record-routes %s",
             path);
    const pid_t pid = cli_start(line, NULL, out, err);
    for (int i = 0; i < 3000; i++) { /* until something was generated */
        struct stat st;
        if (!stat(out, &st) && st.st_size > 20)
            break;
        poll(NULL, 0, 10);
    }
    CU_ASSERT_EQUAL(kill(pid, SIGINT), 0);
    CU_ASSERT_EQUAL(cli_finish(pid), 130);
    read_bytes(path, text, sizeof text);
    struct sl_routes *r = routes_of(text);
    CU_ASSERT(r->info.n_token > 3);
    CU_ASSERT_EQUAL(r->info.n_access, 4 * r->info.n_token);
    sl_routes_close(&r);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(lru_evicts_what_was_used_longest_ago),
                                       CASE(lfu_evicts_what_was_used_least),
                                       CASE(counts_of_lfu_age),
                                       CASE(counts_survive_a_million_accesses),
                                       CASE(static_keeps_the_most_frequent_of_the_first_tenth),
                                       CASE(belady_evicts_what_is_used_last_or_passes_by),
                                       CASE(adaptive_does_what_its_best_part_does),
                                       CASE(belady_equals_the_best_of_all_choices),
                                       CASE(belady_is_never_worse_than_a_policy),
                                       CASE(adaptive_keeps_up_with_the_best_of_the_others),
                                       CASE(traces_are_read),
                                       CASE(other_texts_are_refused_with_their_line),
                                       CASE(lookahead_hides_what_fits_beside_a_layer),
                                       CASE(lookahead_is_never_worse_than_belady),
                                       CASE(replays_refuse_and_stop),
                                       CASE(recorded_routes_do_not_depend_on_chunks_or_devices),
                                       CASE(the_file_holds_what_the_router_chose),
                                       CASE(the_program_replays_traces),
                                       CASE(wrong_command_lines_of_cache_are_refused),
                                       CASE(ctrl_c_keeps_whole_tokens),
                                       {NULL, NULL}};
const struct sl_suite suite_cache = {"cache", cases};
