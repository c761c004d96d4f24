/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

int sl_thread_start(pthread_t *out, void *(*fn)(void *), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int err = pthread_create(out, NULL, fn, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}
