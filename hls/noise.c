/* SPDX-License-Identifier: Apache-2.0 */
#include "noise.h"

#include "primitives.h"

/* Twelve uniform numbers of 16 bits each have variance 1 together, in Q16. */
enum { N_DRAW = 3, PER_DRAW = 4, MIDDLE = N_DRAW * PER_DRAW * 65535 / 2 };

int32_t sl_noise_add(const struct sl_req *r, uint32_t t, uint32_t e, int32_t score)
{
    int32_t n = -MIDDLE;
    for (uint32_t i = 0; i < N_DRAW; i++) {
        uint32_t counter = (uint32_t)r->route_token << 16 | (256 + PER_DRAW * e + i);
        uint64_t words = sl_philox(r->part_stride, r->route_off + t, counter);
        for (uint32_t j = 0; j < PER_DRAW; j++) {
            SL_UNROLL_BODY
            n += (int32_t)(words >> 16 * j & 0xFFFF);
        }
    }
    return sl_sat32(score + sl_rne((int64_t)n * r->list_off, 16));
}
