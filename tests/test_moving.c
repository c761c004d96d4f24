/* SPDX-License-Identifier: Apache-2.0 */
/* Experts on their way: from the disk into memory, from there through a card; what fails on it, and
 * what comes after a failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cli_rig.h"
#include "fabric/stream.h"
#include "logits_rig.h"
#include "store/store.h"
#include "store_rig.h"

static bool every_one(uint32_t expert)
{
    (void)expert;
    return true;
}

static bool odd_ones(uint32_t expert)
{
    return expert % 2 == 1;
}

/* ---- the same words ------------------------------------------------------------------------- */

static void what_a_card_is_sent_changes_no_word(void)
{
    static const char *const device[] = {"csim:4", "csim+csim:4", "model:4"};
    float *want = logits_new(), *got = logits_new();
    struct sl_session_stats stats;
    char dir[RIG_PATH];
    logits_convert(dir, "models/demo-hunyuan", "q8");
    struct sl_model_params params = {.path = dir, .device = "csim", .dense = "cpu"};
    logits_of(&params, want, NULL);
    params.resident = "3";
    sl_stream_forced = every_one;
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        params.device = device[i];
        logits_of(&params, got, &stats);
        CU_ASSERT(stats.placement.streamed > 300);
        CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
    }
    sl_stream_forced = NULL;
    free(want);
    free(got);
}

/* The converted models, and how few experts of them memory may hold: a token of Yuan's chooses
 * two. */
static const struct {
    const char *model, *format;
    uint64_t n_slot[2];
} streamed[] = {{"models/demo-hunyuan", "q8", {1, 24}}, {"models/demo-yuan", "nf4", {2, 40}}};
enum { N_STREAMED = sizeof streamed / sizeof streamed[0] };

static void memory_that_experts_come_and_go_in_changes_no_word(void)
{
    static const char *const device[] = {"cpu", "csim", "model:4", "csim+csim:4"};
    static const char *const keep[] = {"adaptive", "lru", "lfu", "static"};
    float *want = logits_new(), *got = logits_new();
    struct sl_session_stats stats;
    char dir[RIG_PATH];
    for (size_t m = 0; m < N_STREAMED; m++) {
        logits_convert(dir, streamed[m].model, streamed[m].format);
        struct sl_model_params params = {.path = dir, .device = "csim"};
        logits_of(&params, want, NULL);
        params.dense = "cpu";
        for (size_t i = m % SL_THIN(2); i < 8; i += SL_THIN(2)) {
            params.device = device[i % 4];
            params.resident = i % 4 ? "3" : NULL;
            params.keep = keep[(i + i / 4 + m) % 4];
            sl_stream_forced = i >= 4 ? every_one : NULL;
            params.host_memory = 0;
            params.host_memory = logits_memory(&params, streamed[m].n_slot[i % 2]);
            logits_of(&params, got, &stats);
            CU_ASSERT_EQUAL(stats.placement.memory_slot, streamed[m].n_slot[i % 2]);
            CU_ASSERT(stats.placement.bytes_read > 0);
            if (memcmp(want, got, LOGITS_BYTES))
                printf("\n  %s %s, kept by %s, %llu slots\n", streamed[m].model, params.device,
                       params.keep, (unsigned long long)stats.placement.memory_slot);
            CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
        }
    }
    sl_stream_forced = NULL;
    free(want);
    free(got);
}

/* Writes another checksum in the place of the old one. */
static void replace_hash(char *manifest, uint64_t old, uint64_t hash)
{
    char from[32], to[32];
    snprintf(from, sizeof from, "%016llx", (unsigned long long)old);
    snprintf(to, sizeof to, "%016llx", (unsigned long long)hash);
    char *at = strstr(manifest, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, to, 16);
}

/* Gives every routed expert of a converted model an exponent under which its h saturates. */
static void spoil_exponents(const char *dir)
{
    enum { N_LAYER = 4, N_EXPERT = 16, TOO_HIGH = 45 };
    struct sl_store *store = NULL;
    size_t n_manifest, n;
    char name[32];
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&store, dir), 0);
    char *manifest = (char *)rig_read(rig_join(dir, "manifest.json"), &n_manifest);
    for (uint32_t l = 0; l < N_LAYER; l++) {
        snprintf(name, sizeof name, "layer-%04u.slab", l);
        uint8_t *file = rig_read(rig_join(dir, name), &n);
        for (uint32_t e = 0; e < N_EXPERT; e++) {
            const struct sl_expert_place at = sl_store_expert_place(store, l, e);
            ((struct sl_slab *)(void *)(file + at.offset))->u_h = TOO_HIGH;
            replace_hash(manifest, at.hash, XXH3_64bits(file + at.offset, at.bytes));
        }
        rig_write(rig_join(dir, name), file, n);
        free(file);
    }
    sl_store_close(&store);
    rig_write(rig_join(dir, "manifest.json"), manifest, n_manifest);
    free(manifest);
}

/* A job that saturates is repeated while the first one's experts are still held: also where memory
 * has room for no more than those. */
static void jobs_are_repeated_in_a_full_memory(void)
{
    static const char *const device[] = {"csim", "model:4"};
    float *want = logits_new(), *got = logits_new();
    struct sl_session_stats stats;
    char dir[RIG_PATH];
    logits_convert(dir, "models/demo-hunyuan", "q8");
    spoil_exponents(dir);
    struct sl_model_params params = {.path = dir, .device = "csim"};
    logits_of(&params, want, NULL);
    params.dense = "cpu";
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        params.device = device[i];
        params.resident = "8";
        params.host_memory = 0;
        params.host_memory = logits_memory(&params, 1);
        logits_of(&params, got, &stats);
        CU_ASSERT(stats.n_retries > 200);
        CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
    }
    free(want);
    free(got);
}

/* ---- damage --------------------------------------------------------------------------------- */

/* Flips, or mends, a byte within an expert of a converted model. */
static void flip(const char *dir, uint32_t layer, uint32_t expert)
{
    struct sl_store *store = NULL;
    char file[32];
    CU_ASSERT_EQUAL_FATAL(sl_store_open(&store, dir), 0);
    const struct sl_expert_place place = sl_store_expert_place(store, layer, expert);
    snprintf(file, sizeof file, "layer-%04u.slab", layer);
    rig_flip(rig_join(dir, file), place.offset + 300, 4);
    sl_store_close(&store);
}

static void a_damaged_expert_is_named_and_ends_the_run(void)
{
    static const char *const device[] = {"cpu", "csim --resident 3", "model:4 --resident 3"};
    static struct cli_result r;
    char dir[RIG_PATH], line[RIG_PATH + 300];
    logits_convert(dir, "models/demo-hunyuan", "q8");
    struct sl_model_params params = {.path = dir, .n_ctx = 512};
    for (uint32_t e = 0; e < 16; e++)
        flip(dir, 2, e);
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        params.device = i == 0 ? "cpu" : i == 1 ? "csim" : "model:4";
        params.resident = i ? "3" : NULL;
        /* What a card holds is read when it is opened. */
        snprintf(line, sizeof line,
                 "run -m %s --prompt=In_the_beginning -n 4 -c 512 --host-memory %llu --device %s",
                 dir, (unsigned long long)logits_memory(&params, 6), device[i]);
        cli_run(&r, line);
        if (r.code != 3)
            printf("\n  %s -> %d %s\n", line, r.code, r.err);
        CU_ASSERT_EQUAL(r.code, 3);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "layers.2.experts."));
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "checksum differs"));
    }
}

/* In the middle of a pass, with others on their way to memory and to the card; the file is mended
 * and the same session goes on. */
static void a_session_survives_what_cannot_be_read(void)
{
    static const char *const device[] = {"csim:4", "model:4"};
    enum { N_SLOT = 7, N_TURN = 4 };
    float *want = logits_new(), *got = logits_new();
    char dir[RIG_PATH];
    logits_convert(dir, "models/demo-hunyuan", "q8");
    struct sl_model_params params = {.path = dir, .device = "csim"};
    logits_of(&params, want, NULL);
    params.dense = "cpu";
    params.keep = "lru";
    sl_stream_forced = odd_ones;
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        struct sl_model *model = NULL;
        struct sl_session *session = NULL;
        uint32_t n_vocab, n_failed = 0;
        params.device = device[i];
        params.resident = "3";
        params.host_memory = 0;
        params.host_memory = logits_memory(&params, N_SLOT);
        logits_open(&params, &model, &session, &n_vocab);
        for (uint32_t turn = 0; turn < N_TURN; turn++) {
            const uint32_t layer = turn % 4, expert = turn < 3 ? 14 : 15; /* the CPU's; sent */
            flip(dir, layer, expert);
            const int err = logits_eval(session, n_vocab, got);
            CU_ASSERT(err == 0 || err == SL_ERR_FORMAT);
            n_failed += err == SL_ERR_FORMAT;
            flip(dir, layer, expert);
            sl_session_reset(session);
            memset(got, 0, LOGITS_BYTES);
            CU_ASSERT_EQUAL(logits_eval(session, n_vocab, got), 0);
            CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
            sl_session_reset(session);
        }
        CU_ASSERT(n_failed >= N_TURN / 2);
        sl_session_close(&session);
        sl_model_close(&model);
    }
    sl_stream_forced = NULL;
    free(want);
    free(got);
}

static const struct sl_case cases[] = {
    {"what_a_card_is_sent_changes_no_word", what_a_card_is_sent_changes_no_word},
    {"memory_that_experts_come_and_go_in_changes_no_word",
     memory_that_experts_come_and_go_in_changes_no_word},
    {"jobs_are_repeated_in_a_full_memory", jobs_are_repeated_in_a_full_memory},
    {"a_damaged_expert_is_named_and_ends_the_run", a_damaged_expert_is_named_and_ends_the_run},
    {"a_session_survives_what_cannot_be_read", a_session_survives_what_cannot_be_read},
    {NULL, NULL},
};
const struct sl_suite suite_moving = {"moving", cases};
