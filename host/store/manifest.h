/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json of a converted model, and the fragments (<part>.frag) that an unfinished conversion
 * keeps about its finished parts. Both list every slab with offset, beats and XXH3-64; reading
 * compares each entry with the layout that follows from config and formats.
 */
#ifndef SL_STORE_MANIFEST_H
#define SL_STORE_MANIFEST_H

#include "store/layout.h"

#define SL_MANIFEST_NAME "manifest.json"
#define SL_TENSORS_NAME "tensors.safetensors"
#define SL_TENSORS_PART "tensors" /* its fragment: tensors.frag */

struct sl_manifest {
    struct sl_layout layout;
    uint64_t identity; /* of the source and of what was asked for */
    uint64_t tensors_bytes, tensors_hash;
    uint64_t n_group, n_group_raised;
    uint64_t *hash; /* [layout.n_item] */
};

void sl_manifest_close(struct sl_manifest *m);

/* Reads dir/manifest.json or a text. SL_ERR_ABI: made for another contract. SL_ERR_FORMAT names
 * what is wrong. */
int sl_manifest_load(struct sl_manifest *out, const char *dir);
int sl_manifest_parse(struct sl_manifest *out, const char *json, size_t len);
/* Writes dir/manifest.json in one step; config_json is the text of config.json. */
int sl_manifest_write(const struct sl_manifest *m, const char *dir, const char *config_json);
/* Identity alone, of a manifest or a fragment that may be damaged otherwise. False when there is
 * none. */
bool sl_manifest_peek_identity(const char *dir, const char *file, uint64_t *identity);

/* What a fragment knows about its part. */
struct sl_fragment {
    uint64_t identity, bytes, n_group, n_group_raised;
    uint64_t tensors_hash; /* of the tensors' fragment; else 0 */
};

/* part == layout->n_part: the tensors' fragment. hash: the array of all items. */
int sl_fragment_write(const struct sl_fragment *f, const char *dir, const struct sl_layout *layout,
                      uint32_t part, const uint64_t *hash);
/* False when there is no complete and fitting fragment: the part has to be made again. */
bool sl_fragment_read(struct sl_fragment *out, const char *dir, const struct sl_layout *layout,
                      uint32_t part, uint64_t *hash);
/* "layer-0003.frag", and the data file "layer-0003.slab" or "tensors.safetensors". */
void sl_fragment_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX]);
void sl_part_file_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX]);

#endif
