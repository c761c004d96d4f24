/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair merging of one piece of text: the adjacent pair with the lowest rank first, leftmost
 * among equals, until no pair is a token. O(n log n) in the piece's length, whatever its content.
 */
#ifndef SL_ENGINE_BPE_H
#define SL_ENGINE_BPE_H

#include "engine/ranks.h"

/* Growing list of ids; zeroed is empty. The caller frees v. */
struct sl_ids {
    int32_t *v;
    size_t n, cap;
};
int sl_ids_push(struct sl_ids *ids, int32_t id);

/* Scratch memory of a merge; zeroed is empty and it grows to the longest piece. */
struct sl_bpe {
    struct sl_bpe_node *node;
    struct sl_bpe_pair *heap;
    size_t cap, n_heap;
    uint64_t n_lookup; /* searches in the rank table so far: the cost that tests bound */
};
void sl_bpe_free(struct sl_bpe *bpe);

/* Appends the ids of piece[len], len < 2^31. SL_ERR_NOMEM. */
int sl_bpe_encode(struct sl_bpe *bpe, const struct sl_ranks *ranks, const uint8_t *piece,
                  size_t len, struct sl_ids *ids);

#endif
