/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_BASE_THREAD_H
#define SL_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that takes no signals: they are the caller's, and one that a worker took would
 * not interrupt the caller's system call. 0, or an error number as of pthread_create. */
int sl_thread_start(pthread_t *out, void *(*fn)(void *), void *user);

#endif
