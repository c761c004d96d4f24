/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is open: config, weights, operations. Sessions borrow it. */
#ifndef SL_ENGINE_MODEL_H
#define SL_ENGINE_MODEL_H

#include <pthread.h>

#include "base/pool.h"
#include "engine/rope.h"
#include "engine/routing.h"
#include "engine/weights.h"

struct sl_store;

struct sl_model {
    struct sl_config config;
    struct sl_routing routing;
    struct sl_pool *pool;
    struct sl_checkpoint *ckpt; /* NULL for a converted store */
    struct sl_store *store;     /* NULL when exact */
    struct sl_memory memory;    /* no parts when exact */
    struct sl_weights weights;
    struct sl_rope rope;
    struct sl_ops ops;
    struct sl_profile *profile; /* borrowed; NULL: nothing is recorded */
    /* Sessions of one model may be driven by different threads; pool and device serve one
     * evaluation at a time. Taken once per evaluation. */
    pthread_mutex_t busy;
};

static inline bool sl_model_is_exact(const struct sl_model *model)
{
    return !model->store;
}

#endif
