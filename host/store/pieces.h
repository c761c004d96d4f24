/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file that was cut into several: NAME.safetensors00, 01, 02 ... Each piece is mapped by
 * itself, because a piece need not end at a page. What lies across a cut is copied once.
 */
#ifndef SL_STORE_PIECES_H
#define SL_STORE_PIECES_H

#include "base/file.h"
#include "sluice.h"

struct sl_pieces {
    struct sl_mapping *piece; /* [n], owned */
    uint64_t *first;          /* [n]: the piece's first byte within the whole */
    size_t n;
    uint64_t size;             /* bytes of the whole */
    struct sl_mapping *joined; /* [n_joined], owned: copies of what lies across cuts */
    size_t n_joined;
};

/* The files that together are one, in order. One path: that file. SL_ERR_IO. */
int sl_pieces_open(struct sl_pieces *out, const char *const *path, size_t n);
/* Bytes [at, at + size) of the whole, which the caller has checked, until sl_pieces_close.
 * SL_ERR_NOMEM for a copy. */
int sl_pieces_view(struct sl_pieces *p, uint64_t at, uint64_t size, const uint8_t **out);
void sl_pieces_close(struct sl_pieces *p);

/* The paths of the pieces in a directory, in order; one allocation that the caller frees. A piece
 * is named NAME.safetensors, then nothing, '.', '-' or '_', perhaps "part", then its number in
 * digits from 0 or 1 on, or, as split(1) names them, two letters from "aa" on. *n = 0: there are
 * none. SL_ERR_FORMAT when one is missing or there are two sets. */
int sl_pieces_find(const char ***out, size_t *n, const char *dir);
/* Likewise the path of the only *.safetensors; *n = 0: there is none, or more than one. */
int sl_pieces_find_whole(const char ***out, size_t *n, const char *dir);

#endif
