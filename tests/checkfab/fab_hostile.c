/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that break the rules, on the scene of tests/core_scene. */
#include <stdio.h>
#include <string.h>

#include "fab.h"

/* Jobs that the implementation can be asked to run, at *off. False: none were found. */
static bool make_jobs(struct fab *f, uint32_t *off)
{
    enum { TRIES = 1000 };
    for (int i = 0; i < TRIES; i++) {
        bool taken = true;
        scene_restore(&f->scene);
        *off = scene_hostile(&f->scene);
        for (uint32_t j = 0; j < f->rig->n_job; j++) {
            struct sl_job job;
            memcpy(&job, rig_at(f->rig, *off + j), sizeof job);
            taken = taken && fab_takes(f->family, &job);
            memcpy(rig_at(f->rig, *off + j), &job, sizeof job);
        }
        if (taken)
            return true;
    }
    return false;
}

static enum fab_result run_hostile(struct fab *f, const struct fab_case *c)
{
    struct core_rig *rig = f->rig;
    uint32_t off;
    rig->seed = c->seed;
    rig->rng.state = (c->seed + 1) * 0x9E3779B97F4A7C15u | 1;
    f->why = NULL;
    snprintf(rig->what, sizeof rig->what, "op jobs shape hostile");
    if (!make_jobs(f, &off))
        return FAB_SKIP;
    if (!rig_run_at(rig, off, rig->n_job, false))
        return FAB_WRONG;
    for (uint32_t i = 0; i < rig->n_job && rig->outcome.started && !rig->lost; i++)
        f->cycles += rig->timed[i].cycles;
    if (c->shape == 0 && !rig->lost && !scene_weights_intact(&f->scene)) {
        f->why = "a job has changed the weights";
        return FAB_WRONG;
    }
    return FAB_OK;
}

/* Launches that must end at once and write nothing. */
static enum fab_result run_misfit(struct fab *f, const struct fab_case *c)
{
    struct core_rig *rig = f->rig;
    const uint32_t limit = SCENE_CTL;
    const struct {
        uint32_t off, n_job;
    } launch[] = {{0, 0},
                  {limit, 1},
                  {limit - 1, 1},
                  {limit - 3, 2},
                  {0, limit},
                  {0xFFFFFFFF, 1},
                  {0xFFFFFFFF, 65535},
                  {5, 65536},
                  {limit / 2, limit / 2 + 1},
                  {7, 0xFFFFFFFF}};
    scene_restore(&f->scene);
    rig->seed = c->seed;
    f->why = NULL;
    snprintf(rig->what, sizeof rig->what, "op jobs shape misfit: %u jobs at %u",
             launch[c->shape].n_job, launch[c->shape].off);
    return rig_run_at(rig, launch[c->shape].off, launch[c->shape].n_job, false) ? FAB_OK
                                                                                : FAB_WRONG;
}

const struct fab_set fab_hostile_sets[] = {
    {"jobs", "hostile", 400, false, 0, 0, run_hostile, true},
    {"jobs", "misfit", 10, false, 0, 0, run_misfit, true},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
