/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations (engine/ops.h) carried out by a core: jobs, lists, residency of slabs,
 * retries. */
#ifndef SL_FABRIC_FABRIC_H
#define SL_FABRIC_FABRIC_H

#include "engine/routing.h"

struct sl_store;
struct sl_pool;

/* Where plain matrices (Q, K, V, O, LM head) are computed; no bit depends on it. */
enum sl_dense {
    SL_DENSE_AUTO, /* one token: on the CPU, more: on the device */
    SL_DENSE_CPU,  /* always on the CPU; the device does not hold them */
    SL_DENSE_DEVICE
};
/* "auto" "cpu" "device"; NULL: auto. SL_ERR_USAGE with the list. */
int sl_dense_parse(enum sl_dense *out, const char *name);

struct sl_fabric_params {
    const struct sl_config *config; /* borrowed until out->close, like store and pool */
    const struct sl_store *store;
    struct sl_pool *pool;
    const char *device; /* NULL: the default one. Several: "xrt:0+xrt:1", layers in turn */
    enum sl_dense dense;
    const char *resident; /* of the routed experts: "all" (NULL), "none", or how many of a layer */
    const char *split;    /* of several devices: "layers" (NULL) in turn, or "slices" of experts */
    const char *policy;   /* what stays, on the device and in host memory: "adaptive" (NULL), "lru",
                             "lfu", "static" */
    struct sl_routing routing;
    bool cpu_takes_over;        /* when a device fails, instead of an error */
    struct sl_profile *profile; /* borrowed; NULL: nothing is recorded */
};

/* How many of n_expert the text above names. SL_ERR_USAGE. */
int sl_resident_parse(uint32_t *out, const char *text, uint32_t n_expert);

/* Opens the device or devices, uploads what they compute with and fills `out`. SL_ERR_NOMEM when
 * that does not fit the arenas. */
int sl_fabric_open(struct sl_ops *out, const struct sl_fabric_params *params);

#endif
