/* SPDX-License-Identifier: Apache-2.0 */
/* A routing trace from any bytes: it is refused, or every policy replays it, none better than
 * Belady's, and the lookahead no worse. An even first byte: the rest is the text; an odd one: the
 * header is put before it. */
#include <stdlib.h>
#include <string.h>

#include "cache/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t hits(const struct sl_routes *r, const char *policy, uint64_t n_slot)
{
    struct sl_residency x;
    const struct sl_residency_params p = {.policy = policy, .n_slot = n_slot, .n_ahead = 1};
    if (sl_routes_replay(r, &p, &x) || x.n_hit + x.n_miss != r->info.n_access)
        abort();
    return x.n_hit;
}

static void try_text(const char *text, size_t len)
{
    struct sl_routes *r = NULL;
    const int err = sl_routes_parse(&r, "fuzz", text, len, NULL, NULL);
    if (err == SL_ERR_FORMAT && strstr(sl_error_message(), "fuzz: line "))
        return;
    if (err)
        abort();
    for (uint64_t n_slot = 1; n_slot <= 4; n_slot++) {
        const uint64_t best = hits(r, "belady", n_slot);
        const char *policy;
        for (size_t i = 0; (policy = sl_residency_policy(i)); i++)
            if (strcmp(policy, "lookahead") ? hits(r, policy, n_slot) > best
                                            : hits(r, policy, n_slot) < best)
                abort();
    }
    sl_routes_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] = SL_ROUTES_HEADER "\n";
    const size_t n = sizeof header - 1, rest = size - (size > 0);
    if (size == 0 || data[0] % 2 == 0) {
        try_text((const char *)data + (size > 0), rest);
        return 0;
    }
    char *text = malloc(n + rest);
    if (!text)
        return 0;
    memcpy(text, header, n);
    memcpy(text + n, data + 1, rest);
    try_text(text, n + rest);
    free(text);
    return 0;
}
