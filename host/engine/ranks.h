/* SPDX-License-Identifier: Apache-2.0 */
/* The rank file of a byte-level BPE vocabulary ("base64 rank" on each line) and the lookup from
 * bytes to rank. Read only after loading: any number of threads may look up. */
#ifndef SL_ENGINE_RANKS_H
#define SL_ENGINE_RANKS_H

#include <stddef.h>
#include <stdint.h>

#define SL_RANK_NONE UINT32_MAX

struct sl_ranks {
    uint32_t n;            /* ranks 0..n-1, in the order of the file's lines */
    uint32_t max_len;      /* bytes of the longest token */
    uint8_t *bytes;        /* all tokens one after the other */
    uint32_t *offset;      /* [n + 1] into bytes */
    uint32_t *slot;        /* hash table: rank + 1, 0 when empty; linear probing */
    uint32_t mask;         /* slots - 1, a power of two minus one */
    uint32_t of_byte[256]; /* rank of each single byte: any text can be encoded */
};

/* Every line is checked: base64 (canonical, padded), a rank equal to the number of ranks before it,
 * no token twice, and all 256 single bytes present. Empty lines and CR before LF are accepted.
 * SL_ERR_FORMAT names `name` and the line; SL_ERR_IO. On failure *out is zeroed. */
int sl_ranks_load(struct sl_ranks *out, const char *path);
int sl_ranks_parse(struct sl_ranks *out, const char *name, const char *text, size_t len);
void sl_ranks_free(struct sl_ranks *ranks);

/* Rank of exactly these bytes, or SL_RANK_NONE. */
uint32_t sl_ranks_find(const struct sl_ranks *ranks, const uint8_t *bytes, size_t len);

static inline const uint8_t *sl_ranks_token(const struct sl_ranks *ranks, uint32_t rank,
                                            size_t *len)
{
    *len = ranks->offset[rank + 1] - ranks->offset[rank];
    return ranks->bytes + ranks->offset[rank];
}

#endif
