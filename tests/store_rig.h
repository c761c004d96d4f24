/* SPDX-License-Identifier: Apache-2.0 */
/* Files, directories and safetensors as the tests of the store need them; shares nothing with it.
 */
#ifndef SL_TEST_STORE_RIG_H
#define SL_TEST_STORE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RIG_PATH = 1024 };

/* Golden checkpoints, and those demonstration models that exist; ends with NULL. */
const char *const *rig_models(void);

/* "dir/name" in one of a few static buffers. */
const char *rig_join(const char *dir, const char *name);
bool rig_exists(const char *dir, const char *name);
/* The whole file, NUL-terminated; NULL when there is none. The caller frees. */
uint8_t *rig_read(const char *path, size_t *n);
void rig_write(const char *path, const void *data, size_t n);
/* Copies the plain files of a directory into an existing one. */
void rig_copy_dir(const char *from, const char *to);
/* A fresh directory, empty or with a copy of `from`. */
void rig_fresh(char out[RIG_PATH], const char *from);
/* Same names, same bytes. Prints the first difference. */
bool rig_same_dirs(const char *a, const char *b);
/* Number of files in dir whose names end so. */
unsigned rig_count(const char *dir, const char *suffix);
/* The lowest descriptor under which this process has the file open, or -1. */
int rig_descriptor(const char *path);
/* False where the kernel refuses io_uring: readers are threads then. */
bool rig_has_uring(void);
/* Mounts a tmpfs there ("size=8m"), seen by this process alone. False: no right to. */
bool rig_mount_small(const char *dir, const char *options);
/* XORs one byte of a file. */
void rig_flip(const char *path, size_t at, uint8_t mask);

/* A tensor of a safetensors file read here. */
struct rig_tensor {
    char dtype[16];
    uint64_t dim[8], n_dim, offset, bytes; /* offset in the file */
};
bool rig_find(const char *path, const char *name, struct rig_tensor *out);
/* All elements as floats; F8 with their weight_scale (in fp32). The caller frees. */
float *rig_values(const char *path, const char *name, struct rig_tensor *info);

/* An F32 tensor to be written; data belong to the caller. dim 1: cols = 0. */
struct rig_entry {
    char name[128];
    uint64_t rows, cols;
    float *data;
};
/* All matrices and vectors of a safetensors file as F32 entries; the caller frees them with
 * rig_free. */
struct rig_entry *rig_load(const char *path, size_t *n);
void rig_free(struct rig_entry *e, size_t n);
void rig_save(const char *path, const struct rig_entry *e, size_t n);

#endif
