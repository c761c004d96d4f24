/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory this process can still have. */
#ifndef SL_BASE_HOST_MEMORY_H
#define SL_BASE_HOST_MEMORY_H

#include <stdint.h>

/* Bytes, without swap: the least of MemAvailable and what the control groups (v1 and v2) above the
 * process leave; page cache that can be dropped counts as free. *limit_by: "the machine" or "the
 * control group". root: prefix of /proc and /sys, "" for the running system. 0: not known. */
uint64_t sl_host_memory_available(const char *root, const char **limit_by);

/* Largest resident size of this process so far, in bytes (VmHWM); 0: not known. */
uint64_t sl_host_memory_peak(void);

#endif
