/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a model by kind, from a config alone or from a converted store. */
#ifndef SL_SCHED_PLAN_WEIGHTS_H
#define SL_SCHED_PLAN_WEIGHTS_H

#include "store/manifest.h"

struct sl_plan_weights {
    struct sl_manifest manifest; /* owned; its layout is what is weighed */
    /* Bytes of one layer, and of the head; dense: Q, K, V, O, a mean over the layers; expert: one
     * of them. */
    double router, dense, shared, expert, head;
    double filter; /* of one layer: Yuan's localized filter as released, in BF16, by the CPU */
    uint32_t n_layer, n_expert;
};

/* path: a config.json, its directory, or a converted store, which has its own formats: then they
 * are NULL or the same. NULL otherwise: "q8". SL_ERR_USAGE and what a loader says. */
int sl_plan_weights_open(struct sl_plan_weights *out, const char *path, const char *format,
                         const char *format_dense);
/* Also after a failed open. */
void sl_plan_weights_close(struct sl_plan_weights *w);

/* Work of a dense matrix for n tokens on the CPU, which takes at most 64 at a time, in units of its
 * bytes. */
double sl_plan_dense_work(uint32_t n_tok);
/* Experts of a layer that n tokens are expected to choose among them, each as likely as another. */
double sl_plan_distinct(const struct sl_config *c, uint32_t n_tok);

#endif
