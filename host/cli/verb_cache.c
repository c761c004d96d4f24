/* SPDX-License-Identifier: Apache-2.0 */
/* cache: a routing trace against every policy, beside the optimum. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "verbs.h"

enum { MAX_SIZE = 32, MAX_POLICY = 8 };

struct replay {
    const struct sl_options *o;
    struct sl_routes *routes;
    struct sl_routes_info info;
    struct sl_progress progress;
    uint64_t expert_bytes; /* 0: unknown */
    uint64_t slots[MAX_SIZE];
    size_t n_size;
    const char *policy[MAX_POLICY];
    size_t n_policy;
    struct sl_residency result[MAX_SIZE][MAX_POLICY], belady[MAX_SIZE];
};

/* ---- what is asked for ---------------------------------------------------------------------- */

/* "12" or "25%" (of the experts of all layers, rounded up) up to a comma or the end. */
static bool take_size(const struct replay *r, const char *item, size_t len, uint64_t *out)
{
    char text[24], *end;
    if (len == 0 || len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)len, item);
    if (text[0] < '0' || text[0] > '9')
        return false;
    const bool share = text[len - 1] == '%';
    const double v = strtod(text, &end), all = (double)r->info.n_layer * r->info.n_expert;
    if (end != text + len - share || strspn(text, "0123456789.") != len - share)
        return false;
    if ((!share && v != floor(v)) || (share && v > 100) || v > 1e12)
        return false;
    *out = (uint64_t)(share ? ceil(all * v / 100) : v);
    return *out > 0;
}

static int parse_slots(struct replay *r)
{
    const char *hint = "whole numbers from 1, or percentages: --slots 16,25%,50%";
    for (const char *item = r->o->slots;; item++) {
        const size_t len = strcspn(item, ",");
        if (r->n_size == MAX_SIZE)
            return sl_cli_error(SL_ERR_USAGE, "ask twice", "--slots: more than %d sizes", MAX_SIZE);
        if (!take_size(r, item, len, &r->slots[r->n_size++]))
            return sl_cli_error(SL_ERR_USAGE, hint, "--slots %.*s: not a number of slots",
                                (int)(len < 40 ? len : 40), item);
        item += len;
        if (!*item)
            return SL_EXIT_OK;
    }
}

static void choose_policies(struct replay *r)
{
    const char *asked = r->o->policy ? r->o->policy : "all", *name;
    for (size_t i = 0; (name = sl_residency_policy(i)) && r->n_policy < MAX_POLICY; i++)
        if (!strcmp(asked, "all") || !strcmp(asked, name) || !strcmp(name, "belady"))
            r->policy[r->n_policy++] = name;
}

static int open_replay(struct replay *r)
{
    const struct sl_options *o = r->o;
    int err = o->model ? sl_expert_bytes(o->model, o->format, &r->expert_bytes) : 0;
    if (err)
        return sl_cli_library_error(err);
    if (o->expert_bytes)
        r->expert_bytes = (uint64_t)o->expert_bytes;
    r->progress = sl_progress_open();
    err = sl_routes_open(&r->routes, o->trace, sl_progress_tick, &r->progress);
    sl_progress_close(&r->progress);
    if (err)
        return sl_cli_library_error(err);
    sl_routes_get_info(r->routes, &r->info);
    choose_policies(r);
    return parse_slots(r);
}

static int replay_all(struct replay *r)
{
    int err = 0;
    for (size_t s = 0; s < r->n_size; s++)
        for (size_t i = 0; i < r->n_policy && !err; i++) {
            char what[48];
            snprintf(what, sizeof what, "%s, %llu slots", r->policy[i],
                     (unsigned long long)r->slots[s]);
            const struct sl_residency_params p = {.policy = r->policy[i],
                                                  .n_slot = r->slots[s],
                                                  .n_ahead = (uint32_t)r->o->ahead,
                                                  .what = what,
                                                  .progress = sl_progress_tick,
                                                  .progress_user = &r->progress};
            err = sl_routes_replay(r->routes, &p, &r->result[s][i]);
            if (!strcmp(r->policy[i], "belady"))
                r->belady[s] = r->result[s][i];
        }
    sl_progress_close(&r->progress);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}

/* ---- results -------------------------------------------------------------------------------- */

static double hit_rate(const struct sl_residency *x)
{
    return (double)x->n_hit / (double)x->n_access;
}

/* In points: how far the optimum is above. */
static double gap(const struct sl_residency *belady, const struct sl_residency *x)
{
    return 100 * (hit_rate(belady) - hit_rate(x));
}

static void print_bytes(const struct replay *r, uint64_t n_load)
{
    const double bytes = (double)n_load * (double)r->expert_bytes;
    if (r->expert_bytes)
        printf("  %12.2f", bytes / 1e6);
}

static int print_text(const struct replay *r)
{
    const struct sl_routes_info *n = &r->info;
    printf("%llu tokens, %llu routes, %u layers of %u experts, %u of them used\n",
           (unsigned long long)n->n_token, (unsigned long long)n->n_access, n->n_layer, n->n_expert,
           n->n_key);
    printf("%-8s  %-10s  %8s  %10s  %10s%s  %8s\n", "slots", "policy", "hits %", "misses",
           "uploads", r->expert_bytes ? "      MB moved" : "", "gap");
    for (size_t s = 0; s < r->n_size; s++)
        for (size_t i = 0; i < r->n_policy; i++) {
            const struct sl_residency *x = &r->result[s][i];
            printf("%-8llu  %-10s  %8.2f  %10llu  %10llu", (unsigned long long)r->slots[s],
                   r->policy[i], 100 * hit_rate(x), (unsigned long long)x->n_miss,
                   (unsigned long long)x->n_load);
            print_bytes(r, x->n_load);
            printf("  %8.2f\n", gap(&r->belady[s], x));
        }
    puts("gap: points of hit rate below Belady's optimum, which knows the future but uploads "
         "nothing "
         "ahead");
    if (!r->o->policy || !strcmp(r->o->policy, "all") || !strcmp(r->o->policy, "lookahead"))
        printf("lookahead also begins up to %lld uploads a layer early\n", (long long)r->o->ahead);
    return sl_stdout_finish();
}

static json_t *json_result(const struct replay *r, size_t s, size_t i)
{
    const struct sl_residency *x = &r->result[s][i];
    json_t *bytes =
        r->expert_bytes ? json_integer((json_int_t)(x->n_load * r->expert_bytes)) : json_null();
    return json_pack("{s:I, s:s, s:f, s:I, s:I, s:I, s:I, s:o, s:f}", "slots",
                     (json_int_t)r->slots[s], "policy", r->policy[i], "hit_rate", hit_rate(x),
                     "hits", (json_int_t)x->n_hit, "misses", (json_int_t)x->n_miss, "uploads",
                     (json_int_t)x->n_load, "uploads_ahead", (json_int_t)x->n_hidden, "bytes_moved",
                     bytes, "gap_points", gap(&r->belady[s], x));
}

static int print_json(const struct replay *r)
{
    json_t *results = json_array();
    for (size_t s = 0; s < r->n_size; s++)
        for (size_t i = 0; i < r->n_policy; i++)
            json_array_append_new(results, json_result(r, s, i));
    json_t *bytes = r->expert_bytes ? json_integer((json_int_t)r->expert_bytes) : json_null();
    return sl_json_print(
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "trace", r->o->trace, "tokens",
                  (json_int_t)r->info.n_token, "routes", (json_int_t)r->info.n_access, "layers",
                  (json_int_t)r->info.n_layer, "experts", (json_int_t)r->info.n_expert,
                  "experts_used", (json_int_t)r->info.n_key, "ahead", (json_int_t)r->o->ahead,
                  "expert_bytes", bytes, "results", results));
}

int sl_verb_cache(const struct sl_options *o)
{
    struct replay *r = calloc(1, sizeof *r);
    if (!r)
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    r->o = o;
    sl_interrupt_catch();
    int code = open_replay(r);
    if (!code)
        code = replay_all(r);
    if (!code)
        code = o->json ? print_json(r) : print_text(r);
    sl_routes_close(&r->routes);
    free(r);
    return code;
}
