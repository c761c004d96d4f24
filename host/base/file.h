/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files: mapped, or whole when small. */
#ifndef SL_BASE_FILE_H
#define SL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_mapping {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
};

/* Read-only and shared. SL_ERR_IO names the path. */
int sl_mapping_open(struct sl_mapping *out, const char *path);
void sl_mapping_close(struct sl_mapping *map);
/* The pages under [data, data + size) are not needed soon. */
void sl_mapping_release(const uint8_t *data, size_t size);

/* Reads what lies under [data, data + size) now, not when it is first touched. A hint: nothing
 * fails. */
void sl_mapping_touch(const uint8_t *data, size_t size);

/* Few bytes here and there are read next, so that nothing around them is worth reading ahead; or
 * again as usual. A hint: nothing fails. */
void sl_mapping_scatter(const struct sl_mapping *map, bool scattered);

/* A regular file of at most max bytes, malloc()ed with a terminating zero; the caller frees.
 * SL_ERR_IO, SL_ERR_FORMAT when it is larger. */
int sl_file_read(char **out, size_t *size, const char *path, size_t max);

/* Folder of the running program, "." where it is unknown. */
void sl_program_folder(char *out, size_t cap);

#endif
