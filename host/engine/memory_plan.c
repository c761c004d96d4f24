/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory_plan.h"

#include <string.h>

#include "base/err.h"
#include "base/host_memory.h"
#include "engine/kv.h"
#include "fabric/fabric.h"
#include "store/format.h"
#include "store/kept.h"
#include "store/layout.h"
#include "store/ledger.h"
#include "store/manifest.h"
#include "store/quant_config.h"
#include "store/store.h"

enum {
    DEFAULT_CTX = 4096,
    SPARE = 128 << 20, /* the program, job lists, allocator; not a measurement */
    KEEP_SHARE = 16    /* of what is available, one part stays free */
};

/* Packed K and V of the whole context in int8, the default. */
static uint64_t kv_bytes(const struct sl_config *c, uint32_t n_ctx)
{
    struct sl_model_info info = {0};
    sl_config_get_info(c, &info);
    return n_ctx * info.kv_bytes_int8 + info.lfa_state_bytes;
}

/* What engine/forward.c allocates for a batch, and a row of logits. */
static uint64_t work_bytes(const struct sl_config *c)
{
    const uint64_t d_kv = (uint64_t)c->n_kv_head * c->head_dim;
    const uint64_t width = 3 * (uint64_t)c->d_model + 4 * (uint64_t)c->d_attn + 2 * d_kv + c->n_rot;
    return SL_BATCH_TOKENS * width * sizeof(float) + c->n_vocab * sizeof(float) + SPARE;
}

/* Devices that this machine simulates have arenas in its memory; "cpu" reads the store's slabs. */
static bool device_copies(const char *device)
{
    return !device || strstr(device, "sim");
}

/* A converted model (can_stream) or one that will be quantised in memory. */
static int plan_layout(struct sl_memory *out, const struct sl_model_params *p,
                       const struct sl_layout *layout, uint64_t kept_bytes, bool can_stream)
{
    const struct sl_config *c = &layout->config;
    const uint32_t own =
        c->n_ctx_train && c->n_ctx_train < DEFAULT_CTX ? c->n_ctx_train : DEFAULT_CTX;
    struct sl_ledger_params lp = {.layout = layout,
                                  .kept_bytes = kept_bytes,
                                  .kv_bytes = kv_bytes(c, p->n_ctx ? p->n_ctx : own),
                                  .work_bytes = work_bytes(c),
                                  .device_copies = device_copies(p->device),
                                  .device_dense = !p->dense || strcmp(p->dense, "cpu"),
                                  .can_stream = can_stream};
    int err = sl_resident_parse(&lp.n_resident, p->resident, c->n_expert);
    if (err)
        return err;
    const uint64_t have = sl_host_memory_available("", &lp.limit_by);
    lp.limit = have - have / KEEP_SHARE;
    if (p->host_memory && have && p->host_memory > have)
        return sl_fail(SL_ERR_NOMEM, "give less, or leave the limit out",
                       "memory: a limit of %.2f GiB, but %s leaves %.2f",
                       (double)p->host_memory / (1 << 30), lp.limit_by, (double)have / (1 << 30));
    if (p->host_memory) {
        lp.limit = p->host_memory;
        lp.limit_by = "the limit given";
    }
    return sl_ledger_make(out, &lp);
}

int sl_memory_plan_store(struct sl_memory *out, const struct sl_model_params *p)
{
    struct sl_manifest m;
    int err = sl_manifest_load(&m, p->path);
    if (err)
        return err;
    err = plan_layout(out, p, &m.layout, m.tensors_bytes, true);
    sl_manifest_close(&m);
    return err;
}

static int plan_checkpoint(struct sl_memory *out, const struct sl_model_params *p)
{
    struct sl_config config;
    struct sl_layout layout = {0};
    struct sl_checkpoint *ckpt = NULL;
    struct sl_kept kept = {0};
    int format = 0, dense = 0;
    int err = sl_config_load(&config, p->path);
    err = err ? err : sl_format_parse(&dense, p->format_dense ? p->format_dense : "q8");
    err = err ? err : sl_quant_choose_format(&format, p->format, p->path);
    err = err ? err : sl_checkpoint_open(&ckpt, p->path);
    err = err ? err : sl_layout_open(&layout, &config, format, dense);
    err = err ? err : sl_kept_open(&kept, ckpt, &config);
    err = err ? err : plan_layout(out, p, &layout, kept.bytes, false);
    sl_kept_close(&kept);
    sl_checkpoint_close(&ckpt);
    sl_layout_close(&layout);
    return err;
}

int sl_memory_plan(struct sl_memory *out, const struct sl_model_params *params)
{
    if (!params->path)
        return sl_fail(SL_ERR_USAGE, "give a model directory", "model: no path");
    if (params->exact)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "%s: an exact model is not planned", params->path);
    return sl_store_is_store(params->path) ? sl_memory_plan_store(out, params)
                                           : plan_checkpoint(out, params);
}

uint64_t sl_memory_plan_budget(const struct sl_memory *plan)
{
    return plan->n_expert_held * plan->expert_bytes;
}

uint64_t sl_memory_peak(void)
{
    return sl_host_memory_peak();
}
