/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which experts the next layer will want: this layer's x through the next layer's router, by the
 * CPU (the hidden state changes little from layer to layer). Guesses are only compared with what
 * the layer then chooses, until they would pay; from then on what is guessed is read ahead, and
 * kept, in host memory. When they do not pay any more it stops, and goes on comparing.
 *
 * A right guess hides a read of r seconds behind the work of c seconds that a layer has besides
 * waiting: it saves min(c, r). A wrong one is a read that cannot be taken back when the disk is
 * wanted: it costs r. With a share p of right ones guesses pay while p min(c, r) > (1 - p) r.
 */
#ifndef SL_FABRIC_PREDICT_H
#define SL_FABRIC_PREDICT_H

#include "sluice.h"

struct sl_moe_pass;

enum { SL_PREDICT_DECODE, SL_PREDICT_PREFILL, SL_PREDICT_N };

struct sl_predictor {
    uint32_t layer; /* that guess[] is about; UINT32_MAX: none */
    bool *guess;    /* [n_expert], owned; NULL: nothing is predicted */
    struct sl_prediction kind[SL_PREDICT_N];
    double right[SL_PREDICT_N]; /* share of right guesses, recent ones counting more */
    /* Times of a layer, seconds, fading means: all but waiting for the disk, and the wait for each
     * expert that was missing. */
    double work_s[SL_PREDICT_N], read_s;
    uint64_t n_layer[SL_PREDICT_N], n_read;
    uint32_t last_layer; /* that was measured, and its end; what the memory had counted then */
    uint64_t last_ns;
    double last_wait_s;
    uint64_t last_miss;
};

/* SL_ERR_NOMEM. */
int sl_predict_open(struct sl_predictor *p, uint32_t n_expert);
void sl_predict_close(struct sl_predictor *p);
/* The pass knows its routes: how good was the guess? */
void sl_predict_score(struct sl_moe_pass *pass);
/* The pass has asked for all that it needs: what will the next layer want? */
int sl_predict_next(struct sl_moe_pass *pass);

#endif
