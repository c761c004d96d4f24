/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of golden.safetensors (F32 and I32) that shares nothing with the code under test. */
#ifndef SL_TEST_GOLDEN_READ_H
#define SL_TEST_GOLDEN_READ_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct golden {
    json_t *header;
    uint8_t *data;
    size_t n_data;
};

/* dir below sl_golden_dir(). False (with a failed assertion) when it cannot be read. */
int golden_open(struct golden *out, const char *dir);
void golden_close(struct golden *g);

/* Elements and their number; NULL when there is no such tensor or its type is another. */
const float *golden_f32(const struct golden *g, const char *name, size_t *n);
const int32_t *golden_i32(const struct golden *g, const char *name, size_t *n);

#endif
