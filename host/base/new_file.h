/* SPDX-License-Identifier: Apache-2.0 */
/* A file that has its name only once it is whole: until then it is <path>.<pid>-<n>.part. Not
 * durable: for what can be made again (the store's files are: store/outfile.h). */
#ifndef SL_BASE_NEW_FILE_H
#define SL_BASE_NEW_FILE_H

#include <stdio.h>

struct sl_new_file {
    FILE *f; /* NULL: not open, or committed */
    char *path, *part;
};

/* SL_ERR_IO; *out can be closed after that too. Only a regular file is replaced. */
int sl_new_file_open(struct sl_new_file *out, const char *path);
/* Gives the file its name. SL_ERR_IO, also of writes before, and the name has what it had. */
int sl_new_file_commit(struct sl_new_file *file);
/* Removes what was not committed; accepts a zeroed one. */
void sl_new_file_close(struct sl_new_file *file);

#endif
