/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory there is. */
#ifndef SL_BASE_MEMORY_H
#define SL_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that can be used without pushing other programs out; UINT64_MAX where the system does not
 * say. What is given out but not yet touched is not taken off. */
uint64_t sl_memory_available(void);

#endif
