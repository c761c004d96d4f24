/* SPDX-License-Identifier: Apache-2.0 */
/* The weight arenas of a device that computes from slabs in natural order: what the host uploaded
 * for P ports, put together again where a job needs it, or the host's own slabs. */
#ifndef SL_ACCEL_TLM_WEIGHTS_H
#define SL_ACCEL_TLM_WEIGHTS_H

#include "accel/device.h"

/* A slab that was put together from the ports. */
struct sl_tlm_joined {
    struct sl_slab *slab;  /* owned */
    uint32_t off, n_beats; /* its place on every port */
};

struct sl_tlm_weights {
    unsigned n_port;
    uint32_t n_beats;             /* of a port */
    uint8_t *port[SL_MAX_PORTS];  /* owned; untouched memory is not held */
    const struct sl_slab **at;    /* owned, [n_beats]: bound or joined slabs by their place */
    struct sl_tlm_joined *joined; /* owned */
    uint32_t n_joined, cap_joined;
};

/* Arenas of zeros. SL_ERR_NOMEM. sl_tlm_weights_close accepts a zeroed one. */
int sl_tlm_weights_open(struct sl_tlm_weights *w, unsigned n_port, uint32_t n_beats);
void sl_tlm_weights_close(struct sl_tlm_weights *w);
void sl_tlm_weights_write(struct sl_tlm_weights *w, unsigned port, uint32_t off, const void *src,
                          uint32_t n_beats);
void sl_tlm_weights_bind(struct sl_tlm_weights *w, uint32_t off, const struct sl_slab *slab);
/* The slab at off, which stays until something is written over it. *out is NULL where there is
 * none. SL_ERR_NOMEM. */
int sl_tlm_weights_get(struct sl_tlm_weights *w, uint32_t off, const struct sl_slab **out);

#endif
