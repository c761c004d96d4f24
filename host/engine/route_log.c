/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder of routes. Layers see whole chunks of tokens; the file has token after token, so a
 * chunk's choices are kept until its last layer has chosen. A chunk that fails before leaves
 * nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/new_file.h"
#include "engine/route_log.h"

struct sl_route_log {
    struct sl_new_file file;
    struct sl_trace trace;
    uint32_t n_layer, n_used;
    uint16_t *expert; /* [n_batch][n_layer][n_used] */
    uint64_t n_token; /* in the file */
};

int sl_route_log_open(struct sl_route_log **out, const char *path)
{
    struct sl_route_log *log = sl_alloc(1, sizeof *log);
    if (!log)
        return SL_ERR_NOMEM;
    int err = sl_new_file_open(&log->file, path);
    if (err)
        sl_route_log_close(&log);
    else
        fputs("token,layer,expert\n", log->file.f);
    *out = log;
    return err;
}

void sl_route_log_close(struct sl_route_log **log)
{
    struct sl_route_log *l = *log;
    if (!l)
        return;
    sl_new_file_close(&l->file);
    free(l->expert);
    free(l);
    *log = NULL;
}

/* ---- recording ------------------------------------------------------------------------------ */

static void write_token(struct sl_route_log *log, const uint16_t *expert)
{
    for (uint32_t layer = 0; layer < log->n_layer; layer++)
        for (uint32_t i = 0; i < log->n_used; i++)
            fprintf(log->file.f, "%" PRIu64 ",%" PRIu32 ",%u\n", log->n_token, layer, *expert++);
    log->n_token++;
}

static void on_route(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                     size_t n_tok)
{
    struct sl_route_log *log = user;
    const size_t row = (size_t)log->n_layer * log->n_used;
    (void)pos;
    for (size_t t = 0; t < n_tok; t++)
        memcpy(log->expert + t * row + (size_t)layer * log->n_used, route[t].expert,
               log->n_used * sizeof *log->expert);
    if (layer + 1 == log->n_layer && log->file.f)
        for (size_t t = 0; t < n_tok; t++)
            write_token(log, log->expert + t * row);
}

int sl_route_log_attach(struct sl_route_log *log, const struct sl_config *config, uint32_t n_batch)
{
    if (log->expert)
        return sl_fail(SL_ERR_USAGE, "open another", "%s: records a session already",
                       log->file.path);
    if (!config->n_expert)
        return sl_fail(SL_ERR_USAGE, "leave it out", "%s: a dense model chooses no experts",
                       log->file.path);
    log->n_layer = config->n_layer;
    log->n_used = config->n_expert_used;
    log->trace = (struct sl_trace){.on_route = on_route, .user = log};
    log->expert =
        sl_alloc((size_t)n_batch * log->n_layer, (size_t)log->n_used * sizeof *log->expert);
    return log->expert ? 0 : SL_ERR_NOMEM;
}

const struct sl_trace *sl_route_log_trace(const struct sl_route_log *log)
{
    return &log->trace;
}

int sl_route_log_write(struct sl_route_log *log, uint64_t *n_token)
{
    if (!log->file.f)
        return sl_fail(SL_ERR_USAGE, NULL, "%s: is written already", log->file.path);
    int err = sl_new_file_commit(&log->file);
    if (err)
        return err;
    *n_token = log->n_token;
    return 0;
}
