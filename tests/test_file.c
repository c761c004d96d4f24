/* SPDX-License-Identifier: Apache-2.0 */
#include "test_main.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "sluice.h"
#include "temp_file.h"

static void small_files_are_read_whole_and_terminated(void)
{
    char dir[256], *text = NULL;
    size_t size = 99;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "f", "a\0b", 3);
    CU_ASSERT_EQUAL_FATAL(sl_file_read(&text, &size, temp_path(dir, "f"), 3), 0);
    CU_ASSERT_EQUAL(size, 3);
    CU_ASSERT_EQUAL(memcmp(text, "a\0b", 4), 0);
    free(text);
    temp_file_put(dir, "f", "", 0);
    CU_ASSERT_EQUAL_FATAL(sl_file_read(&text, &size, temp_path(dir, "f"), 3), 0);
    CU_ASSERT_EQUAL(size, 0);
    CU_ASSERT_EQUAL(text[0], 0);
    free(text);
}

static void files_over_the_limit_are_refused(void)
{
    char dir[256], *text = NULL;
    size_t size = 99;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "f", "abcd", 4);
    CU_ASSERT_EQUAL(sl_file_read(&text, &size, temp_path(dir, "f"), 3), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(text);
    CU_ASSERT_EQUAL(size, 99);
}

/* A pipe would block for ever, a device has no size. */
static void only_regular_files_are_opened(void)
{
    char dir[256], *text = NULL;
    size_t size;
    struct sl_mapping map;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL_FATAL(mkfifo(temp_path(dir, "pipe"), 0600), 0);
    CU_ASSERT_EQUAL(sl_file_read(&text, &size, temp_path(dir, "pipe"), 9), SL_ERR_IO);
    CU_ASSERT_EQUAL(sl_mapping_open(&map, temp_path(dir, "pipe")), SL_ERR_IO);
    CU_ASSERT_EQUAL(sl_mapping_open(&map, "/dev/zero"), SL_ERR_IO);
    CU_ASSERT_EQUAL(sl_mapping_open(&map, dir), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), dir));
    CU_ASSERT_EQUAL(sl_mapping_open(&map, temp_path(dir, "none")), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "none"));
}

static void released_pages_read_the_same_again(void)
{
    enum { SIZE = 5 * 4096 + 17 };
    static uint8_t data[SIZE];
    char dir[256];
    struct sl_mapping map;
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "f", data, SIZE);
    CU_ASSERT_EQUAL_FATAL(sl_mapping_open(&map, temp_path(dir, "f")), 0);
    CU_ASSERT_EQUAL_FATAL(map.size, SIZE);
    CU_ASSERT_EQUAL(memcmp(map.data, data, SIZE), 0);
    sl_mapping_release(map.data + 5, SIZE - 9);
    sl_mapping_release(map.data + 1, 2);
    CU_ASSERT_EQUAL(memcmp(map.data, data, SIZE), 0);
    sl_mapping_close(&map);
    CU_ASSERT_PTR_NULL(map.data);
    sl_mapping_close(&map);
}

static void an_empty_file_maps_to_nothing(void)
{
    char dir[256];
    struct sl_mapping map;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "f", "", 0);
    CU_ASSERT_EQUAL_FATAL(sl_mapping_open(&map, temp_path(dir, "f")), 0);
    CU_ASSERT_PTR_NULL(map.data);
    CU_ASSERT_EQUAL(map.size, 0);
    sl_mapping_close(&map);
}

const struct sl_suite suite_file = {
    "file",
    (const struct sl_case[]){
        {"small_files_are_read_whole_and_terminated", small_files_are_read_whole_and_terminated},
        {"files_over_the_limit_are_refused", files_over_the_limit_are_refused},
        {"only_regular_files_are_opened", only_regular_files_are_opened},
        {"released_pages_read_the_same_again", released_pages_read_the_same_again},
        {"an_empty_file_maps_to_nothing", an_empty_file_maps_to_nothing},
        {NULL, NULL}}};
