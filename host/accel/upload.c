/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/upload.h"

#include <stdlib.h>

#include "accel/link.h"
#include "base/err.h"
#include "store/slab.h"

enum { PIECE_BEATS = SL_UPLOAD_PIECE_BYTES / SL_BEAT_BYTES };

int sl_upload_open(struct sl_upload *u, struct sl_device *dev, const struct sl_slab *shape)
{
    *u = (struct sl_upload){.dev = dev};
    if (dev->ops->bind)
        return 0;
    u->image_beats = (uint32_t)sl_slab_port_beats(shape, dev->n_port);
    u->image = sl_alloc_aligned(SL_BEAT_BYTES, (size_t)u->image_beats * SL_BEAT_BYTES);
    return u->image ? 0 : SL_ERR_NOMEM;
}

void sl_upload_close(struct sl_upload *u)
{
    free(u->image);
    *u = (struct sl_upload){0};
}

static bool all_sent(const struct sl_upload *u)
{
    return !u->image || u->port == u->dev->n_port;
}

static void load_image(struct sl_upload *u)
{
    sl_slab_port_image(u->slab, u->port, u->dev->n_port, u->image);
    u->done = 0;
}

void sl_upload_begin(struct sl_upload *u, const struct sl_slab *slab, uint32_t w_off)
{
    u->slab = slab;
    u->w_off = w_off;
    u->port = 0;
    u->err = 0;
    u->n_failed_before = u->dev->n_upload_failed;
    if (u->image)
        load_image(u);
    else
        u->err = sl_device_bind(u->dev, w_off, slab);
    if (!u->image && u->dev->clock)
        sl_link_write_begin(u->dev->clock, sl_slab_beats(slab) * SL_BEAT_BYTES);
}

bool sl_upload_push(struct sl_upload *u, unsigned max_open)
{
    if (!u->slab || u->err || all_sent(u) || sl_device_write_open(u->dev) > max_open)
        return false;
    const uint32_t left = u->image_beats - u->done, n = left < PIECE_BEATS ? left : PIECE_BEATS;
    u->err = sl_device_write_begin(u->dev, (int)u->port, u->w_off + u->done,
                                   u->image + (size_t)u->done * SL_BEAT_BYTES, n);
    u->done += n;
    if (u->done == u->image_beats && ++u->port < u->dev->n_port)
        load_image(u);
    return true;
}

bool sl_upload_arrived(const struct sl_upload *u)
{
    return u->err || (all_sent(u) && !sl_device_write_open(u->dev));
}

int sl_upload_end(struct sl_upload *u)
{
    while (sl_upload_push(u, UINT32_MAX))
        ;
    const int late = sl_device_write_end(u->dev);
    u->slab = NULL;
    if (u->err || late)
        return u->err ? u->err : late;
    return u->dev->n_upload_failed == u->n_failed_before
               ? 0
               : sl_fail(SL_ERR_DEVICE, NULL, "device %s: an upload beside another failed",
                         u->dev->name);
}

void sl_upload_drop(struct sl_upload *u)
{
    if (u->slab)
        sl_device_write_end(u->dev);
    u->slab = NULL;
}
