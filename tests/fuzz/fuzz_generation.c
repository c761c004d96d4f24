/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as generation_config.json: refused with one line, or settings that a sampler takes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/generation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_generation g;
    struct sl_sampler *sampler = NULL;
    if (sl_generation_parse(&g, "fuzz", (const char *)data, size)) {
        assert(sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
        return 0;
    }
    const struct sl_sampler_params params = {
        .temp = g.temp, .top_k = g.top_k, .top_p = g.top_p, .repeat_penalty = g.repeat_penalty};
    const float logits[] = {0, 2, 1};
    assert(g.n_stop <= sizeof g.stop / sizeof g.stop[0]);
    for (size_t i = 0; i < g.n_stop; i++)
        assert(g.stop[i] >= 0);
    for (size_t i = 0; i < 4; i++)
        assert(g.from[i]);
    assert(!sl_sampler_open(&sampler, &params, 3));
    const int32_t id = sl_sampler_sample(sampler, logits);
    assert(id >= 0 && id < 3);
    sl_sampler_close(&sampler);
    return 0;
}
