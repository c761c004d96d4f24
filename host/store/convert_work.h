/* SPDX-License-Identifier: Apache-2.0 */
/* A conversion's inside: what sl_convert and sl_convert_estimate share. */
#ifndef SL_STORE_CONVERT_WORK_H
#define SL_STORE_CONVERT_WORK_H

#include <xxhash.h>

#include "store/kept.h"
#include "store/manifest.h"

struct sl_convert_work {
    const struct sl_convert_params *params;
    struct sl_convert_report report;
    struct sl_checkpoint *ckpt;
    struct sl_kept kept;
    struct sl_manifest m; /* filled part by part */
    struct sl_pool *pool;
    XXH3_state_t *hash;
    uint8_t *portion; /* portion_bytes: units are packed and written in portions */
    uint64_t portion_bytes;
    char *config_json;
    int lock;                    /* the locked output directory; -1: none */
    char item[SL_SLAB_NAME_MAX]; /* what is being worked on, for the progress callback */
    uint64_t done, total;        /* bytes, likewise */
};

/* Opens checkpoint, config and layout, and looks up every tensor that the conversion will want:
 * SL_ERR_SHAPE names the first that is missing or misshapen. No weight is read. */
int sl_convert_open_source(struct sl_convert_work *w);
/* Fills m.identity: everything that decides the bytes, short of reading all of them. */
void sl_convert_identify(struct sl_convert_work *w);
void sl_convert_close_work(struct sl_convert_work *w);

/* ---- the output directory (convert_dir.c) */

/* The two may not be one directory, and the output may not be a checkpoint whose config.json would
 * be replaced. The output directory is made where it is missing; without `make` a missing one is
 * fine as long as it could be made. */
int sl_convert_check_dirs(const struct sl_convert_params *p, bool make);
/* Two conversions into one directory would mix their files: SL_ERR_USAGE. The lock ends with the
 * process, however that ends. */
int sl_convert_lock_out_dir(struct sl_convert_work *w);
/* Refuses what another conversion left behind. */
int sl_convert_check_leftovers(const struct sl_convert_work *w);
/* Removes what a conversion wrote, the manifest first: without it nothing of the rest opens. */
int sl_convert_clear_out_dir(const char *out_dir);
enum sl_convert_files {
    SL_CONVERT_UNFINISHED, /* *.part: what was being written when a conversion ended */
    SL_CONVERT_SPENT,      /* these and the fragments, which a finished conversion has no use for */
    SL_CONVERT_ALL
};
/* Removes files that conversions give their names to; nothing else is ever removed. */
int sl_convert_remove_files(const char *out_dir, enum sl_convert_files which);
/* Bytes that those files take on the disk; 0 where there is no such directory. */
uint64_t sl_convert_file_bytes(const char *out_dir, enum sl_convert_files which);
/* True when the part's fragment (*out) and its data file are complete. part n_part: the tensors. */
bool sl_convert_is_finished(const struct sl_convert_work *w, uint32_t part,
                            struct sl_fragment *out);
/* config.json and what the tokenizer needs. */
int sl_convert_copy_companions(const struct sl_convert_work *w);

/* ---- space (convert_dir.c) */

struct sl_convert_space {
    uint64_t todo; /* bytes of the parts that are not finished, and what lies around them */
    uint64_t have; /* bytes free where the output goes */
};
/* Of an output directory that may not exist yet: its nearest parent tells. */
int sl_convert_find_space(const struct sl_convert_work *w, struct sl_convert_space *out);
/* SL_ERR_IO when todo > have. */
int sl_convert_check_space(const struct sl_convert_work *w, const struct sl_convert_space *space);

#endif
