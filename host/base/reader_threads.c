/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces by pread, one thread for each that may be in the kernel. */
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/reader_state.h"
#include "base/thread.h"

static void *carry(void *user)
{
    struct sl_reader *r = user;
    struct sl_piece p;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        bool some;
        while (!(some = sl_piece_take(r, &p)) && !r->stop)
            pthread_cond_wait(&r->work, &r->lock);
        pthread_mutex_unlock(&r->lock);
        if (!some)
            return NULL;
        ssize_t got;
        do
            got = pread(p.fd, p.dst, p.bytes, (off_t)p.offset);
        while (sl_piece_back(r, &p, got < 0 ? -errno : (int)got));
    }
}

int sl_reader_threads_start(struct sl_reader *r)
{
    r->thread = sl_alloc(r->p.depth, sizeof *r->thread);
    if (!r->thread)
        return SL_ERR_NOMEM;
    while (r->n_thread < r->p.depth && !sl_thread_start(&r->thread[r->n_thread], carry, r))
        r->n_thread++;
    return r->n_thread ? 0 : sl_fail(SL_ERR_NOMEM, NULL, "reader: no thread could be started");
}
