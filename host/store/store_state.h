/* SPDX-License-Identifier: Apache-2.0 */
/* A store's inside: store.c (mapped, in memory) and store_stream.c (streamed). */
#ifndef SL_STORE_STORE_STATE_H
#define SL_STORE_STORE_STATE_H

#include "store/kept.h"
#include "store/manifest.h"
#include "store/store.h"

struct sl_store {
    struct sl_manifest m;      /* layout, and the hash of every slab */
    const uint8_t **part;      /* [n_part] */
    struct sl_mapping *map;    /* [n_part] directory: what part[] points into */
    uint8_t **memory;          /* [n_part] in memory, streamed: likewise */
    struct sl_checkpoint *own; /* directory: its tensors; in memory: NULL */
    const struct sl_checkpoint *tensors;
    struct sl_kept kept;
    uint64_t bytes;
    struct sl_reader *reader;    /* streamed: the parts, in order */
    uint64_t budget;             /* streamed */
    struct sl_slab expert_shape; /* see sl_store_expert_shape */
};

/* The file of the kept tensors, of a directory. */
int sl_store_open_tensors(struct sl_store *store, const char *dir);
/* What all forms have once layout and tensors are known. */
int sl_store_finish_open(struct sl_store *store);
/* A file of the directory has not the size that the manifest says. */
int sl_store_fail_size(const char *path, uint64_t have, uint64_t want);
/* A slab's hash is not the manifest's. */
int sl_store_fail_hash(const struct sl_slab_item *item);

#endif
