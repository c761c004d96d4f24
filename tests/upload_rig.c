/* SPDX-License-Identifier: Apache-2.0 */
#include "upload_rig.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint8_t *new_data(uint32_t n)
{
    uint8_t *data = malloc((size_t)n * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    for (size_t i = 0; i < (size_t)n * SL_BEAT_BYTES; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    return data;
}

static void check_arrived(struct sl_device *dev, uint32_t at, const uint8_t *data, uint32_t n)
{
    uint8_t *back = calloc(n, SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_EQUAL(sl_device_read(dev, 0, at, back, n), 0);
    CU_ASSERT_EQUAL(memcmp(data, back, (size_t)n * SL_BEAT_BYTES), 0);
    free(back);
}

void upload_around_a_launch(struct core_rig *rig, uint32_t at, uint32_t n)
{
    const uint32_t half = n / 2;
    uint8_t *data = new_data(n);
    CU_ASSERT_EQUAL(sl_device_write_begin(rig->dev, 0, at, data, half), 0);
    CU_ASSERT(rig_run(rig));
    CU_ASSERT_EQUAL(sl_device_write_begin(rig->dev, 0, at + half,
                                          data + (size_t)half * SL_BEAT_BYTES, n - half),
                    0);
    CU_ASSERT(rig_run(rig));
    CU_ASSERT_EQUAL(sl_device_write_end(rig->dev), 0);
    check_arrived(rig->dev, at, data, n);
    free(data);
}

/* ---- while it hangs ------------------------------------------------------------------------- */

struct hanging {
    struct sl_device *dev;
    int err;
    atomic_bool ended;
};

static void *launch(void *user)
{
    enum { DEADLINE_MS = 5000 };
    struct hanging *h = user;
    h->err = sl_device_launch(h->dev, 0, 0, DEADLINE_MS);
    atomic_store(&h->ended, true);
    return NULL;
}

void upload_while_the_core_hangs(const char *device)
{
    enum { N = 20000, HALF_SECOND = 500000000 };
    const struct timespec until_it_runs = {0, HALF_SECOND};
    struct hanging h = {0};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&h.dev, device), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(h.dev, 64, N), 0);
    uint8_t *data = new_data(N);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, launch, &h), 0);
    nanosleep(&until_it_runs, NULL);
    CU_ASSERT_EQUAL(sl_device_write_begin(h.dev, 0, 0, data, N), 0);
    CU_ASSERT_EQUAL(sl_device_write_end(h.dev), 0);
    check_arrived(h.dev, 0, data, N);
    CU_ASSERT_FALSE(atomic_load(&h.ended));
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(h.err, SL_ERR_TIMEOUT);
    free(data);
    sl_device_close(&h.dev);
}
