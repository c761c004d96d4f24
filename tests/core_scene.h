/* SPDX-License-Identifier: Apache-2.0 */
/* One small job of every kind in one pair of arenas: a start for jobs that are wrong on purpose. */
#ifndef SL_CORE_SCENE_H
#define SL_CORE_SCENE_H

#include "core_rig.h"

enum {
    SCENE_CTL = 640, /* beats of the control arena */
    SCENE_Y = 300    /* beats at job[0].y_off, where every job's y is */
};

enum scene_job {
    SCENE_QUERY,
    SCENE_EXPERT,   /* nf4, k 64, d_ff 64, 2 tokens */
    SCENE_LIST,     /* the same expert, rows 3, 0, 3, 1 */
    SCENE_INDIRECT, /* by a route beat: the expert; then experts that are absent, out of the arena,
                       of another kind, out of the table */
    SCENE_PLAIN,    /* q8, k 64, 7 rows, 3 tokens */
    SCENE_REDUCE,   /* 20 rows, 2 tokens, 3 parts */
    SCENE_ROUTER,   /* sigmoid with bias, 6 experts, k 64, top 2, 3 tokens */
    SCENE_PACK,     /* int8, head_dim 64, 2 tokens of 3 vectors */
    SCENE_UNPACK,
    SCENE_N_JOB
};

struct core_scene {
    struct core_rig rig;
    struct sl_job job[SCENE_N_JOB];
    uint32_t slab_beats[SCENE_N_JOB]; /* of the jobs with a slab: on each port, with slack */
    uint8_t *saved;                   /* the control arena as it was made, owned */
};

/* 0 or a negative enum sl_err. The weights are on the device afterwards. */
int scene_open(struct core_scene *scene, const char *device);
/* The same with an open device, which the scene takes over (also when it fails). */
int scene_open_on(struct core_scene *scene, struct sl_device *dev);
void scene_close(struct core_scene *scene);
/* The control arena as it was made, and no job in the rig. */
void scene_restore(struct core_scene *scene);
/* Puts 1 to 3 jobs made from the scene's, changed at random by the rig's generator, somewhere into
 * the arena, and now and then changes its data. Returns their beat; rig.n_job tells how many. */
uint32_t scene_hostile(struct core_scene *scene);
/* Whether the device's weight arenas are what was uploaded. */
bool scene_weights_intact(struct core_scene *scene);

#endif
