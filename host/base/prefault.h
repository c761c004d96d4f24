/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is going to be filled for the first time, from its beginning on: a thread of its own
 * lets the kernel give the pages a bounded way ahead. A page that is not there yet is cleared when
 * a read needs it, while the disk waits; under a hypervisor that takes longer than the read itself.
 */
#ifndef SL_BASE_PREFAULT_H
#define SL_BASE_PREFAULT_H

#include <stdint.h>

struct sl_prefault;

/* For memory[bytes], which stays until close and may be used meanwhile: contents do not change. The
 * first `ahead` bytes are begun with at once. SL_ERR_NOMEM. */
int sl_prefault_open(struct sl_prefault **out, void *memory, uint64_t bytes, uint64_t ahead);
/* The first `used` bytes are in use: up to used + ahead will be there. Never waits. */
void sl_prefault_used(struct sl_prefault *prefault, uint64_t used);
/* Ends the thread, within some milliseconds. */
void sl_prefault_close(struct sl_prefault **prefault);

#endif
