/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of a mapped zip file where they lie in it: libzip reads the directory, nothing is
 * copied. */
#ifndef SL_STORE_ZIP_VIEW_H
#define SL_STORE_ZIP_VIEW_H

#include "base/file.h"

struct sl_zip_view;

/* Reads the directory. map and path are borrowed until close. SL_ERR_FORMAT: not a zip file, or a
 * damaged one. */
int sl_zip_view_open(struct sl_zip_view **out, const struct sl_mapping *map, const char *path);
void sl_zip_view_close(struct sl_zip_view **view);

/* Name of the first entry; NULL when there is none. Borrowed from the view. */
const char *sl_zip_view_first(const struct sl_zip_view *view);

/* *data = the entry's *size bytes, borrowed from the mapping; NULL (and 0) when there is no entry
 * of that name. SL_ERR_UNSUPPORTED when it is compressed or encrypted, SL_ERR_FORMAT when it leaves
 * the file. */
int sl_zip_view_find(struct sl_zip_view *view, const char *name, const uint8_t **data,
                     uint64_t *size);

#endif
