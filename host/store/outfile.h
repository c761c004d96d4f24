/* SPDX-License-Identifier: Apache-2.0 */
/* Files that appear whole or not at all: written as <name>.part, synced, renamed. */
#ifndef SL_STORE_OUTFILE_H
#define SL_STORE_OUTFILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_outfile {
    int fd;         /* -1: closed */
    uint64_t bytes; /* written so far */
    char dir[PATH_MAX], name[NAME_MAX + 1];
};

/* "dir/name" into out. SL_ERR_IO when it is too long. */
int sl_path_join(char out[PATH_MAX], const char *dir, const char *name);

/* All return SL_ERR_IO with the file's name; a full disk (also a quota or a file size limit) says
 * so. */
int sl_outfile_open(struct sl_outfile *f, const char *dir, const char *name);
int sl_outfile_write(struct sl_outfile *f, const void *data, size_t n);
int sl_outfile_zeros(struct sl_outfile *f, uint64_t n);
/* Makes the contents durable and gives the file its name. The name is durable after sl_dir_sync. */
int sl_outfile_commit(struct sl_outfile *f);
int sl_dir_sync(const char *dir);
/* Closes and removes an unfinished file; nothing to do after a commit. */
void sl_outfile_abort(struct sl_outfile *f);
/* The three steps for small contents; not durable, and after a loss of power perhaps empty, when
 * `durable` is false. */
int sl_outfile_put(const char *dir, const char *name, const void *data, size_t n, bool durable);

#endif
