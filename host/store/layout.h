/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slabs a quantised model consists of, their shapes, and where each lies. A part is one
 * layer, the last part is the LM head; in a converted directory a part is a file. All of it follows
 * from config and formats.
 */
#ifndef SL_STORE_LAYOUT_H
#define SL_STORE_LAYOUT_H

#include "engine/ops.h"
#include "sl_abi.h"
#include "store/pack.h"

enum sl_slab_role {
    /* The first five equal enum sl_matrix. */
    SL_SLAB_ROLE_Q,
    SL_SLAB_ROLE_K,
    SL_SLAB_ROLE_V,
    SL_SLAB_ROLE_O,
    SL_SLAB_ROLE_LM_HEAD,
    SL_SLAB_ROLE_ROUTER,
    SL_SLAB_ROLE_SHARED,
    SL_SLAB_ROLE_EXPERT
};

enum {
    SL_SLAB_ALIGN = 4096, /* of every slab in its part, in bytes */
    SL_SLAB_NAME_MAX = 48,
    SL_PART_NAME_MAX = 24
};

struct sl_slab_item {
    enum sl_slab_role role;
    uint32_t layer, expert; /* 0 where the role has none */
    uint8_t kind, format;
    uint32_t k, rows;         /* of the header: padded to multiples of 32 where the core wants it */
    uint64_t offset, n_beats; /* bytes from the part's begin; beats */
};

struct sl_layout {
    struct sl_config config;
    int format, format_dense;
    uint32_t n_part; /* n_layer + 1 */
    size_t n_item;
    struct sl_slab_item *item; /* in file order */
    size_t *part_first;        /* [n_part + 1] index of the first item of each part */
    uint64_t *part_bytes;      /* [n_part], with the readable beats behind the last slab */
    uint64_t total_bytes;
};

/* SL_ERR_UNSUPPORTED names what the core cannot hold. */
int sl_layout_open(struct sl_layout *out, const struct sl_config *config, int format,
                   int format_dense);
void sl_layout_close(struct sl_layout *layout);

/* NULL for a slab that this model has not. */
const struct sl_slab_item *sl_layout_find(const struct sl_layout *layout, enum sl_slab_role role,
                                          uint32_t layer, uint32_t expert);
/* "layers.3.experts.12" "layers.3.q" "head": names in manifests and messages. */
void sl_slab_item_name(const struct sl_slab_item *item, char out[SL_SLAB_NAME_MAX]);
/* "layer-0003" or "head": the part's files without their suffix. */
void sl_part_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX]);

/* Looks up every tensor that the slabs are made of, without reading weights: SL_ERR_SHAPE names the
 * first that is missing or misshapen. */
int sl_layout_check(const struct sl_layout *layout, const struct sl_checkpoint *ckpt);
/* Where the rows of one slab lie: of an expert gate's, of an attention router the queries'. */
int sl_layout_matrix(const struct sl_layout *layout, const struct sl_slab_item *item,
                     const struct sl_checkpoint *ckpt, struct sl_pack_matrix *out);
/* Plans one slab from a checkpoint: SL_ERR_SHAPE, SL_ERR_RANGE name the tensor. */
int sl_layout_plan(const struct sl_layout *layout, const struct sl_slab_item *item,
                   const struct sl_checkpoint *ckpt, struct sl_pack_run *run,
                   struct sl_pack_plan *out);
/* A header with the item's shape, enough for geometry and range checks: its scales are made up. */
struct sl_slab sl_slab_item_header(const struct sl_slab_item *item);
/* Bytes that the slab takes in memory and in its part: readable beats behind it, aligned. */
static inline uint64_t sl_slab_item_room(const struct sl_slab_item *item)
{
    const uint64_t bytes = (item->n_beats + SL_SLACK_BEATS) * SL_BEAT_BYTES;
    return (bytes + SL_SLAB_ALIGN - 1) / SL_SLAB_ALIGN * SL_SLAB_ALIGN;
}
/* Header check, and kind, format and shape as the layout wants them: SL_ERR_FORMAT names slab and
 * field. */
int sl_slab_item_check(const struct sl_slab_item *item, const struct sl_slab *header);

#endif
