/* SPDX-License-Identifier: Apache-2.0 */
/* Native builds of the core, one per number of weight ports. */
#ifndef SL_HLS_CORE_NATIVE_H
#define SL_HLS_CORE_NATIVE_H

#include <stdint.h>

/*
 * One launch on ctl (ctl_limit beats) and the P arenas w[0] .. w[P - 1] (w_limit beats each), all
 * 64-byte beats, 8-byte aligned. Runs in the caller, any number at a time on distinct memories.
 * Without memory for the work arrays (4.3 MB) nothing is written: as with a core that does not
 * answer, the records stay as they were.
 */
void sl_core_call_p1(void *ctl, const void *const *w, uint32_t job_off, uint32_t job_count,
                     uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout);
void sl_core_call_p4(void *ctl, const void *const *w, uint32_t job_off, uint32_t job_count,
                     uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout);
void sl_core_call_p28(void *ctl, const void *const *w, uint32_t job_off, uint32_t job_count,
                      uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout);

#endif
