/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prefault.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/thread.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { STEP = 2 << 20 }; /* at once: a large page */

struct sl_prefault {
    uint8_t *memory;
    uint64_t bytes, ahead;
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint64_t used;
    bool stop;
    pthread_t thread;
};

/* Waits until more than `done` bytes are wanted; false when none will be. */
static bool wait_for_more(struct sl_prefault *p, uint64_t done)
{
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->used + p->ahead <= done)
        pthread_cond_wait(&p->more, &p->lock);
    const bool go_on = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go_on;
}

/* Kernels that do not know the request, or have no memory left, leave it to whoever reads. */
static void *run(void *user)
{
    struct sl_prefault *p = user;
    for (uint64_t at = 0, n; at < p->bytes && wait_for_more(p, at); at += n) {
        n = p->bytes - at < STEP ? p->bytes - at : STEP;
        int err;
        do
            err = madvise(p->memory + at, n, MADV_POPULATE_WRITE) ? errno : 0;
        while (err == EINTR || err == EAGAIN);
        if (err)
            break;
    }
    return NULL;
}

int sl_prefault_open(struct sl_prefault **out, void *memory, uint64_t bytes, uint64_t ahead)
{
    struct sl_prefault *p = sl_alloc(1, sizeof *p);
    if (!p)
        return SL_ERR_NOMEM;
    *p = (struct sl_prefault){.memory = memory,
                              .bytes = bytes,
                              .ahead = ahead,
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .more = PTHREAD_COND_INITIALIZER};
    if (sl_thread_start(&p->thread, run, p)) {
        free(p);
        return sl_fail(SL_ERR_NOMEM, NULL, "experts in memory: no thread could be started");
    }
    *out = p;
    return 0;
}

void sl_prefault_used(struct sl_prefault *prefault, uint64_t used)
{
    pthread_mutex_lock(&prefault->lock);
    if (used > prefault->used) {
        prefault->used = used;
        pthread_cond_signal(&prefault->more);
    }
    pthread_mutex_unlock(&prefault->lock);
}

void sl_prefault_close(struct sl_prefault **prefault)
{
    struct sl_prefault *p = *prefault;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    free(p);
    *prefault = NULL;
}
