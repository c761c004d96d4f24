/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair merging: of all adjacent pairs that the rules join the one of the lowest order first,
 * leftmost among equals, until there is none. O(n log n) in the number of symbols, whatever they
 * are. */
#ifndef SL_ENGINE_BPE_H
#define SL_ENGINE_BPE_H

#include "engine/ranks.h"

/* Growing list of ids; zeroed is empty. The caller frees v. */
struct sl_ids {
    int32_t *v;
    size_t n, cap;
};
int sl_ids_push(struct sl_ids *ids, int32_t id);

#define SL_BPE_NONE UINT32_MAX

/* One symbol of a text that is being merged. The caller fills at, end and id. */
struct sl_symbol {
    uint32_t at, end; /* its bytes in the text */
    uint32_t id;      /* what the rules say of it; what a merge gave */
    uint32_t next;    /* symbol behind this one; the number of symbols: none */
    uint32_t prev;    /* symbol in front; unused for the first */
    uint32_t order;   /* of this one joined with the next; SL_BPE_NONE: no pair, or it is gone */
    uint32_t joined;  /* id of the pair */
};

/* Order of the pair of neighbours (SL_BPE_NONE: they do not join), and the id of what it gives. */
struct sl_bpe_rules {
    uint32_t (*find)(const void *user, const uint8_t *text, const struct sl_symbol *left,
                     const struct sl_symbol *right, uint32_t *joined);
    const void *user;
};

/* Scratch memory of merges; zeroed is empty and it grows to the longest text. */
struct sl_bpe {
    struct sl_symbol *symbol; /* [n] */
    size_t n, cap;
    struct sl_bpe_pair *heap;
    size_t n_heap;
    uint64_t n_lookup; /* pairs that were looked up so far: the cost that tests bound */
};
void sl_bpe_free(struct sl_bpe *bpe);
/* Room for n symbols, n < 2^31; the list is emptied. SL_ERR_NOMEM. */
int sl_bpe_reserve(struct sl_bpe *bpe, size_t n);
/* Appends to the list; there is room. */
void sl_bpe_add(struct sl_bpe *bpe, size_t at, size_t end, uint32_t id);
/* Merges the list. What is left begins at symbol 0 (n > 0) and goes on by `next`. */
void sl_bpe_merge(struct sl_bpe *bpe, const struct sl_bpe_rules *rules, const uint8_t *text);
/* Appends the ids of what is left. */
int sl_bpe_take(const struct sl_bpe *bpe, struct sl_ids *ids);

/* Appends the ids of piece[len], len < 2^31, by ranks of bytes: the whole piece where it has a
 * rank, else merged from single bytes. SL_ERR_NOMEM. */
int sl_bpe_encode(struct sl_bpe *bpe, const struct sl_ranks *ranks, const uint8_t *piece,
                  size_t len, struct sl_ids *ids);

#endif
