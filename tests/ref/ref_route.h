/* SPDX-License-Identifier: Apache-2.0 */
/* The router's decision from its logits (docs/numerics.md 5.4). */
#ifndef SL_REF_ROUTE_H
#define SL_REF_ROUTE_H

#include "ref/ref_num.h"
#include "sl_abi.h"

struct ref_decision {
    unsigned mode, n_expert, top_k;
    bool renorm;
    const int32_t *logit;       /* [n_expert], Q16; ATTENTION: [3 n_expert] */
    const int32_t *bias;        /* [n_expert], Q24; NULL: none */
    const struct sl_job *noise; /* whose NOISE the scores get, of its token `token`; NULL: none */
    unsigned token;
};

/* entry: the beat of one token; score[n_expert]: s in Q16. */
void ref_decide(const struct ref_decision *d, struct sl_route_entry *entry, int32_t *score);

#endif
