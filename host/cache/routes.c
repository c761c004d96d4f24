/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"

enum { MAX_ACCESS = INT32_MAX, MIN_LINE = 6, TICK = 1 << 16 };
#define MAX_TOKEN UINT32_MAX

struct line {
    uint64_t token, layer, expert;
};

/* What is known of one expert of one layer. */
struct cell {
    uint32_t key;   /* its number + 1; 0: not seen */
    uint32_t group; /* in which it came last, + 1 */
};

struct parser {
    const char *name, *at, *end;
    uint64_t number; /* of the line, from 1 */
    struct line last;
    struct sl_routes *r;
    struct cell *layer[SL_ROUTES_MAX_LAYER]; /* [MAX_EXPERT] each, NULL: not seen */
};

static int refuse(const struct parser *p, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "sluice run --record-routes FILE writes such traces",
                   "%s: line %llu: %s", p->name, (unsigned long long)p->number, why);
}

/* ---- one line ------------------------------------------------------------------------------- */

/* Digits up to `stop`, which is stepped over. */
static bool take_number(struct parser *p, char stop, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    const char *start = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9' && v <= max)
        v = v * 10 + (uint64_t)(*p->at++ - '0');
    if (p->at == start || v > max || p->at == p->end)
        return false;
    if (stop == '\n' && *p->at == '\r')
        p->at++;
    if (p->at == p->end || *p->at != stop)
        return false;
    p->at++;
    *out = v;
    return true;
}

static int take_header(struct parser *p)
{
    const size_t n = strlen(SL_ROUTES_HEADER);
    p->number = 1;
    if ((size_t)(p->end - p->at) <= n || memcmp(p->at, SL_ROUTES_HEADER, n))
        return refuse(p, "it is not \"" SL_ROUTES_HEADER "\"");
    p->at += n;
    p->at += *p->at == '\r';
    if (p->at == p->end || *p->at != '\n')
        return refuse(p, "it is not \"" SL_ROUTES_HEADER "\"");
    p->at++;
    return 0;
}

static int take_line(struct parser *p, struct line *out)
{
    if (!memchr(p->at, '\n', (size_t)(p->end - p->at)))
        return refuse(p, "it does not end; the file is cut");
    if (!take_number(p, ',', MAX_TOKEN, &out->token))
        return refuse(p, "the token is no number below 2^32, or no comma follows");
    if (!take_number(p, ',', SL_ROUTES_MAX_LAYER - 1, &out->layer))
        return refuse(p, "the layer is no number below 1024, or no comma follows");
    if (!take_number(p, '\n', SL_ROUTES_MAX_EXPERT - 1, &out->expert))
        return refuse(p, "the expert is no number below 1024, or the line does not end behind it");
    return 0;
}

/* ---- the trace ------------------------------------------------------------------------------ */

static int add(struct parser *p, const struct line *l)
{
    struct sl_routes *r = p->r;
    struct sl_routes_info *info = &r->info;
    const bool first = info->n_access == 0;
    const bool token = first || l->token != p->last.token;
    if (!first && l->token < p->last.token)
        return refuse(p, "the token is less than the one before");
    if (!token && l->layer < p->last.layer)
        return refuse(p, "the layer is less than the one before, in the same token");
    if (info->n_access == MAX_ACCESS)
        return refuse(p, "there are more than 2^31 - 1 routes");
    if (token || l->layer != p->last.layer)
        r->group[r->n_group++] = (uint32_t)info->n_access;
    struct cell **cells = &p->layer[l->layer];
    if (!*cells && !(*cells = sl_alloc(SL_ROUTES_MAX_EXPERT, sizeof **cells)))
        return SL_ERR_NOMEM;
    struct cell *cell = *cells + l->expert;
    if (cell->group == r->n_group)
        return refuse(p, "the expert comes twice in one layer of a token");
    cell->group = r->n_group;
    if (!cell->key)
        cell->key = ++info->n_key;
    r->key[info->n_access++] = cell->key - 1;
    info->n_token += token;
    info->n_layer = l->layer >= info->n_layer ? (uint32_t)l->layer + 1 : info->n_layer;
    info->n_expert = l->expert >= info->n_expert ? (uint32_t)l->expert + 1 : info->n_expert;
    p->last = *l;
    return 0;
}

static int parse(struct parser *p, sl_progress_fn progress, void *user)
{
    const char *begin = p->at;
    int err = take_header(p);
    while (!err && p->at < p->end) {
        struct line l;
        p->number++;
        if (progress && p->number % TICK == 0 &&
            !progress(user, "reading the trace", (uint64_t)(p->at - begin),
                      (uint64_t)(p->end - begin)))
            return sl_fail(SL_ERR_INTERRUPTED, NULL, "%s: stopped", p->name);
        err = take_line(p, &l);
        err = err ? err : add(p, &l);
    }
    p->number++;
    if (!err && p->r->info.n_access == 0)
        err = refuse(p, "there is no route behind the header");
    if (!err)
        p->r->group[p->r->n_group] = (uint32_t)p->r->info.n_access;
    return err;
}

int sl_routes_parse(struct sl_routes **out, const char *name, const char *text, size_t len,
                    sl_progress_fn progress, void *progress_user)
{
    const size_t most = len / MIN_LINE + 1;
    struct parser p = {.name = name, .at = text, .end = text + len};
    p.r = sl_alloc(1, sizeof *p.r);
    if (p.r) {
        p.r->key = sl_alloc(most, sizeof *p.r->key);
        p.r->group = sl_alloc(most + 1, sizeof *p.r->group);
    }
    int err = p.r && p.r->key && p.r->group ? 0 : SL_ERR_NOMEM;
    err = err ? err : parse(&p, progress, progress_user);
    for (size_t i = 0; i < SL_ROUTES_MAX_LAYER; i++)
        free(p.layer[i]);
    if (err)
        sl_routes_close(&p.r);
    else
        *out = p.r;
    return err;
}

int sl_routes_open(struct sl_routes **out, const char *path, sl_progress_fn progress,
                   void *progress_user)
{
    struct sl_mapping map;
    int err = sl_mapping_open(&map, path);
    if (err)
        return err;
    const char *text = map.data ? (const char *)map.data : "";
    err = sl_routes_parse(out, path, text, map.size, progress, progress_user);
    sl_mapping_close(&map);
    return err;
}

void sl_routes_close(struct sl_routes **routes)
{
    if (!*routes)
        return;
    free((*routes)->key);
    free((*routes)->group);
    free(*routes);
    *routes = NULL;
}

void sl_routes_get_info(const struct sl_routes *routes, struct sl_routes_info *out)
{
    *out = routes->info;
}
