/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job lists on a device beside the reference: any difference in the control arena, anywhere,
 * aborts. Input: the number of jobs, where the list lies, then per job the scene's job that it
 * starts from and 64 bytes that are xored onto it; what follows changes bytes of the arena, three
 * bytes each: position, value. Zeros are therefore good jobs. SL_FUZZ_DEVICE chooses it: csim,
 * csim:4, csim:28, cpu, cpu:avx2, ...
 */
#include <stdlib.h>
#include <string.h>

#include "core_scene.h"

enum { MAX_JOBS = 4, JOB_BYTES = 1 + SL_BEAT_BYTES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opened once: a fuzzer's inputs are too many to build the slabs for each. */
static struct core_scene scene;

static void open_scene(void)
{
    const char *device = getenv("SL_FUZZ_DEVICE");
    if (scene.saved)
        return;
    if (scene_open(&scene, device ? device : rig_devices[0]))
        abort();
}

static void put_job(const uint8_t *data, uint32_t at, struct sl_job *job)
{
    *job = scene.job[data[0] % SCENE_N_JOB];
    for (size_t i = 0; i < sizeof *job; i++)
        ((uint8_t *)job)[i] ^= data[1 + i];
    if (at < SCENE_CTL)
        memcpy(rig_at(&scene.rig, at), job, sizeof *job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_scene();
    if (size < 2 + JOB_BYTES)
        return 0;
    scene_restore(&scene);
    struct core_rig *rig = &scene.rig;
    const uint32_t off = scene.job[0].y_off + SCENE_Y - 40 + data[1];
    const uint8_t *p = data + 2, *end = data + size;
    for (rig->n_job = 0; rig->n_job <= data[0] % MAX_JOBS && end - p >= JOB_BYTES; rig->n_job++) {
        put_job(p, off + rig->n_job, &rig->job[rig->n_job]);
        p += JOB_BYTES;
    }
    for (; end - p >= 3; p += 3)
        rig_at(rig, 0)[ref_get16(p) % (SCENE_CTL * SL_BEAT_BYTES)] = p[2];
    if (!rig_run_at(rig, off, rig->n_job, false))
        abort();
    return 0;
}
