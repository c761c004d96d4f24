/* SPDX-License-Identifier: Apache-2.0 */
/* Altered copies of golden models: what damaged or odd checkpoints do to the program. */
#ifndef SL_TEST_MODEL_COPY_H
#define SL_TEST_MODEL_COPY_H

#include <stddef.h>
#include <stdint.h>

struct model_copy {
    char source[300], dir[300];
    uint8_t *file; /* the copy of model.safetensors */
    size_t n_file;
};

/* Reads golden directory `name`; nothing is written yet. Assertion failures are fatal. */
void model_copy_open(struct model_copy *out, const char *name);
/* Writes config.json and the (altered) model.safetensors into a fresh directory, copy->dir. With
 * `key`, the config's top-level key gets the integer `value`. */
void model_copy_write(struct model_copy *copy, const char *key, int value);
void model_copy_close(struct model_copy *copy);

/* Gives a tensor another name of the same length. */
void model_copy_rename(struct model_copy *copy, const char *from, const char *to);
/* Sets element i of an F32 tensor. */
void model_copy_set(struct model_copy *copy, const char *tensor, size_t i, float value);

#endif
