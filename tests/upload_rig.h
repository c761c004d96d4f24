/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads beside a core that runs: they arrive whole, and do not wait for it. */
#ifndef SL_UPLOAD_RIG_H
#define SL_UPLOAD_RIG_H

#include "core_rig.h"

/* n beats to beat `at` of port 0, behind all that the rig's launch reads, in two parts with the
 * launch after each: both are right, and so is what arrived. */
void upload_around_a_launch(struct core_rig *rig, uint32_t at, uint32_t n);
/* device: with hang=2, the launch that follows its QUERY. It is uploaded to and read from within
 * that launch, which then ends at its deadline. */
void upload_while_the_core_hangs(const char *device);

#endif
