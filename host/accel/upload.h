/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slab on its way into a card's weight arenas, in pieces, so that whoever sends it never waits
 * for the link.
 */
#ifndef SL_ACCEL_UPLOAD_H
#define SL_ACCEL_UPLOAD_H

#include "accel/device.h"

enum { SL_UPLOAD_PIECE_BYTES = 1 << 19 }; /* some 40 us of the link */

struct sl_upload {
    struct sl_device *dev; /* borrowed */
    uint8_t *image;        /* owned: of a port; NULL: the device reads slabs where they are */
    uint32_t image_beats;
    const struct sl_slab *slab; /* borrowed from begin until done; NULL: nothing is on its way */
    uint32_t w_off;
    unsigned port;            /* of the image at hand */
    uint32_t done;            /* beats of it */
    int err;                  /* the first failure */
    uint64_t n_failed_before; /* uploads of the device, whosever they were */
};

/* For slabs of the shape of `shape`. SL_ERR_NOMEM. */
int sl_upload_open(struct sl_upload *u, struct sl_device *dev, const struct sl_slab *shape);
void sl_upload_close(struct sl_upload *u);

void sl_upload_begin(struct sl_upload *u, const struct sl_slab *slab, uint32_t w_off);
/* The next piece, unless more than max_open pieces are on the link. True: there was room for it. */
bool sl_upload_push(struct sl_upload *u, unsigned max_open);
/* True when all of it has arrived, or it failed: sl_upload_end has nothing to wait for. */
bool sl_upload_arrived(const struct sl_upload *u);
/* Sends what is left and waits for its arrival. What went wrong: with it, or since its begin with
 * another upload of the device, as only one of them is told. Nothing is on its way then. */
int sl_upload_end(struct sl_upload *u);
/* Forgets the rest of it; waits for what is on its way. */
void sl_upload_drop(struct sl_upload *u);

#endif
