/* SPDX-License-Identifier: Apache-2.0 */
#include "temp_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_main.h"

const char *temp_path(const char *dir, const char *name)
{
    static char ring[4][4096];
    static unsigned next;
    char *path = ring[next++ % 4];
    snprintf(path, sizeof ring[0], "%s/%s", dir, name);
    return path;
}

void temp_file_put(const char *dir, const char *name, const void *data, size_t n)
{
    FILE *f = fopen(temp_path(dir, name), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(data, 1, n, f), n);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

void temp_safetensors_put(const char *dir, const char *name, const char *header, const void *data,
                          size_t n)
{
    uint64_t length = strlen(header);
    uint8_t *all = malloc(8 + length + n + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    memcpy(all, &length, 8);
    memcpy(all + 8, header, length);
    if (n)
        memcpy(all + 8 + length, data, n);
    temp_file_put(dir, name, all, 8 + length + n);
    free(all);
}
