/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a quantised model, part by part, and whether its experts fit or are streamed. */
#ifndef SL_STORE_LEDGER_H
#define SL_STORE_LEDGER_H

#include "store/layout.h"

struct sl_ledger_params {
    const struct sl_layout *layout;
    uint64_t kept_bytes;           /* tensors that are not quantised */
    uint64_t kv_bytes, work_bytes; /* of one session */
    /* A device that this machine simulates holds weights of its own: dense matrices or not, and so
     * many of each layer's routed experts. */
    bool device_copies, device_dense;
    uint32_t n_resident;
    bool can_stream; /* a converted model; else all experts have to be in memory */
    uint64_t limit;  /* bytes; 0: none is known, everything fits */
    const char *limit_by;
};

/* SL_ERR_NOMEM: it does not fit, even with as few experts as one token uses. */
int sl_ledger_make(struct sl_memory *out, const struct sl_ledger_params *params);

#endif
