/* SPDX-License-Identifier: Apache-2.0 */
/* Small files for tests of readers. */
#ifndef SL_TEMP_FILE_H
#define SL_TEMP_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Writes dir/name; asserts that it worked. */
void temp_file_put(const char *dir, const char *name, const void *data, size_t n);
/* A safetensors file: the header text as given, then n bytes of data. */
void temp_safetensors_put(const char *dir, const char *name, const char *header, const void *data,
                          size_t n);
/* dir/name; the buffer is reused by the fourth next call. */
const char *temp_path(const char *dir, const char *name);

#endif
