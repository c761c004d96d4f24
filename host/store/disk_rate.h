/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the experts of a converted model come from its disk, and how much of the disk's own rate
 * that is. */
#ifndef SL_STORE_DISK_RATE_H
#define SL_STORE_DISK_RATE_H

#include "store/store.h"

struct sl_disk_rate_params {
    const char *dir;
    struct sl_stream_params stream;
    unsigned window; /* experts requested at a time, all of one layer; 0: as many as a token uses */
    /* True: a whole window is waited for before the next is requested, as at decode. False: each
     * expert that was used makes place for another request, as in prefill. */
    bool in_turn;
};

enum { SL_DISK_ROUNDS = 7 };

struct sl_disk_rate {
    struct sl_reader_rates reader; /* what was measured when the store was opened */
    double open_s;                 /* that, and reading everything but the experts */
    /* Bytes/s, medians of SL_DISK_ROUNDS rounds in turn: the reader alone, without checksums; and
     * experts through their slots, every request a miss. ratio: median of the rounds' ratios. */
    double raw, experts, ratio;
    uint64_t round_bytes; /* of each, in a round */
    unsigned window;
};

/* Nothing is computed with what is read. SL_ERR_USAGE: the model has too few experts to measure. */
int sl_disk_rate(struct sl_disk_rate *out, const struct sl_disk_rate_params *params);

#endif
