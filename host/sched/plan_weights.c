/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/plan_weights.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/config.h"
#include "fabric/fabric_state.h"
#include "store/format.h"
#include "store/outfile.h"
#include "store/quant_config.h"

static double bytes_of(const struct sl_layout *l, enum sl_slab_role role, uint32_t layer)
{
    const struct sl_slab_item *item = sl_layout_find(l, role, layer, 0);
    return item ? (double)item->n_beats * SL_BEAT_BYTES : 0;
}

static int open_layout(struct sl_manifest *m, const char *path, const char *format,
                       const char *format_dense)
{
    char name[PATH_MAX];
    struct sl_config config;
    int experts, dense;
    int err = sl_path_join(name, path, SL_MANIFEST_NAME);
    if (err)
        return err;
    if (!access(name, F_OK)) {
        err = sl_manifest_load(m, path);
        if (!err &&
            ((format && strcmp(format, sl_format_name(m->layout.format)) != 0) ||
             (format_dense && strcmp(format_dense, sl_format_name(m->layout.format_dense)))))
            err = sl_fail(SL_ERR_USAGE, "leave the formats out", "%s is converted already", path);
        return err;
    }
    err = sl_quant_choose_format(&experts, format, path);
    err = err ? err : sl_format_parse(&dense, format_dense ? format_dense : "q8");
    err = err ? err : sl_config_load(&config, path);
    return err ? err : sl_layout_open(&m->layout, &config, experts, dense);
}

int sl_plan_weights_open(struct sl_plan_weights *out, const char *path, const char *format,
                         const char *format_dense)
{
    *out = (struct sl_plan_weights){0};
    int err = open_layout(&out->manifest, path, format, format_dense);
    if (err)
        return err;
    const struct sl_layout *l = &out->manifest.layout;
    out->n_layer = l->config.n_layer;
    out->n_expert = l->config.n_expert;
    out->router = bytes_of(l, SL_SLAB_ROLE_ROUTER, 0);
    out->shared = bytes_of(l, SL_SLAB_ROLE_SHARED, 0);
    out->expert = bytes_of(l, SL_SLAB_ROLE_EXPERT, 0);
    out->head = bytes_of(l, SL_SLAB_ROLE_LM_HEAD, 0);
    /* Two convolutions over two tokens, to half the width and back. */
    out->filter = l->config.has_lfa ? 2.0 * 2 * l->config.d_model * l->config.d_model : 0;
    for (uint32_t i = 0; i < out->n_layer; i++) /* layers that share K and V have fewer */
        for (int role = SL_SLAB_ROLE_Q; role <= SL_SLAB_ROLE_O; role++)
            out->dense += bytes_of(l, (enum sl_slab_role)role, i) / out->n_layer;
    return 0;
}

void sl_plan_weights_close(struct sl_plan_weights *w)
{
    sl_manifest_close(&w->manifest);
}

double sl_plan_dense_work(uint32_t n_tok)
{
    double work = 0;
    for (uint32_t t = 0; t < n_tok; t += SL_MAX_TOKENS)
        work += sl_cpu_work(n_tok - t < SL_MAX_TOKENS ? n_tok - t : SL_MAX_TOKENS);
    return work;
}

double sl_plan_distinct(const struct sl_config *c, uint32_t n_tok)
{
    const double all = c->n_expert;
    return all * (1 - pow(1 - c->n_expert_used / all, n_tok));
}
