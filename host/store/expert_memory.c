/* SPDX-License-Identifier: Apache-2.0 */
#include "store/expert_memory.h"
#include <stdlib.h>
#include "base/err.h"
struct sl_expert_memory {
    const struct sl_store *store;
};
int sl_expert_memory_open(struct sl_expert_memory **out,
                          const struct sl_expert_memory_params *params)
{
    struct sl_expert_memory *m = sl_alloc(1, sizeof *m);
    if (!m)
        return SL_ERR_NOMEM;
    m->store = params->store;
    *out = m;
    return 0;
}
void sl_expert_memory_close(struct sl_expert_memory **m)
{
    free(*m);
    *m = NULL;
}
bool sl_expert_memory_streams(const struct sl_expert_memory *m)
{
    (void)m;
    return false;
}
uint32_t sl_expert_memory_room(const struct sl_expert_memory *m)
{
    (void)m;
    return UINT32_MAX;
}
int sl_expert_memory_request(struct sl_expert_memory *m, uint32_t layer, const uint32_t *experts,
                             size_t n)
{
    (void)m;
    (void)layer;
    (void)experts;
    (void)n;
    return 0;
}
bool sl_expert_memory_ready(const struct sl_expert_memory *m, uint32_t layer, uint32_t expert)
{
    (void)m;
    (void)layer;
    (void)expert;
    return true;
}
int sl_expert_memory_wait(struct sl_expert_memory *m, uint32_t layer, uint32_t expert,
                          struct sl_slab_ref *out)
{
    *out = sl_store_expert(m->store, layer, expert);
    return 0;
}
int sl_expert_memory_wait_any(struct sl_expert_memory *m, uint32_t layer, const uint32_t *experts,
                              size_t n, size_t *index)
{
    (void)m;
    (void)layer;
    (void)experts;
    (void)n;
    *index = 0;
    return 0;
}
void sl_expert_memory_release(struct sl_expert_memory *m, uint32_t layer, const uint32_t *experts,
                              size_t n)
{
    (void)m;
    (void)layer;
    (void)experts;
    (void)n;
}
void sl_expert_memory_prefetch(struct sl_expert_memory *m, uint32_t layer, uint32_t expert)
{
    (void)m;
    (void)layer;
    (void)expert;
}
