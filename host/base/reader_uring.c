/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces through io_uring. One thread owns the ring: it submits and reaps; another hashes, so that
 * the ring never runs dry meanwhile. An eventfd that the ring itself reads tells of new work.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/reader_state.h"
#include "base/thread.h"

struct sl_reader_uring {
    struct io_uring ring;
    bool open;
    int event;
    bool stop;
    bool listening; /* a read of the eventfd is in the ring */
    uint64_t count; /* what it reads into */
    unsigned n_free, n_flying;
    uint32_t free[SL_READER_MAX_DEPTH];
    struct sl_piece piece[SL_READER_MAX_DEPTH];
};

void sl_reader_uring_wake(struct sl_reader *reader)
{
    const uint64_t one = 1;
    /* Fails only when it was written 2^64 - 2 times without being read. */
    ssize_t r = write(reader->uring->event, &one, sizeof one);
    (void)r;
}

/* The ring has room for every piece and the eventfd: there is always an entry. */
static void put_piece(struct sl_reader_uring *u, uint32_t i)
{
    const struct sl_piece *p = &u->piece[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    io_uring_prep_read(sqe, p->fd, p->dst, p->bytes, p->offset);
    io_uring_sqe_set_data64(sqe, i);
}

static void listen_for_work(struct sl_reader_uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    io_uring_prep_read(sqe, u->event, &u->count, sizeof u->count, 0);
    io_uring_sqe_set_data64(sqe, SL_READER_MAX_DEPTH);
    u->listening = true;
}

/* Issues what there is. */
static void fill(struct sl_reader *r)
{
    struct sl_reader_uring *u = r->uring;
    pthread_mutex_lock(&r->lock);
    while (u->n_flying < r->p.depth && sl_piece_take(r, &u->piece[u->free[u->n_free - 1]])) {
        put_piece(u, u->free[--u->n_free]);
        u->n_flying++;
    }
    u->stop = r->stop;
    pthread_mutex_unlock(&r->lock);
}

static void reap(struct sl_reader *r, const struct io_uring_cqe *cqe)
{
    struct sl_reader_uring *u = r->uring;
    const uint64_t i = cqe->user_data;
    if (i == SL_READER_MAX_DEPTH) {
        u->listening = false;
    } else if (sl_piece_back(r, &u->piece[i], cqe->res)) {
        put_piece(u, (uint32_t)i);
    } else {
        u->free[u->n_free++] = (uint32_t)i;
        u->n_flying--;
    }
}

static void *carry(void *user)
{
    struct sl_reader *r = user;
    struct sl_reader_uring *u = r->uring;
    fill(r);
    /* stop is always followed by a wake: what listens then is answered. */
    while (!u->stop || u->n_flying > 0 || u->listening) {
        struct io_uring_cqe *cqe;
        if (!u->listening && !u->stop)
            listen_for_work(u);
        /* Woken by a piece, by new work, by stop; errors are those of a signal. */
        io_uring_submit_and_wait(&u->ring, 1);
        while (!io_uring_peek_cqe(&u->ring, &cqe)) {
            const struct io_uring_cqe copy = *cqe;
            io_uring_cqe_seen(&u->ring, cqe);
            reap(r, &copy);
            fill(r);
            io_uring_submit(&u->ring);
        }
    }
    return NULL;
}

int sl_reader_uring_start(struct sl_reader *r)
{
    struct sl_reader_uring *u = r->uring = sl_alloc(1, sizeof *u);
    if (!u)
        return SL_ERR_NOMEM;
    u->event = eventfd(0, EFD_CLOEXEC);
    int e = u->event < 0 ? -errno : io_uring_queue_init(2 * SL_READER_MAX_DEPTH, &u->ring, 0);
    u->open = u->event >= 0 && e == 0;
    for (uint32_t i = 0; i < r->p.depth; i++)
        u->free[u->n_free++] = i;
    r->thread = u->open ? sl_alloc(2, sizeof *r->thread) : NULL;
    if (r->thread && !(e = -sl_thread_start(&r->thread[0], carry, r)))
        r->n_thread = 1;
    /* Without it the ring's thread would have to hash: sl_piece_back does. */
    if (r->n_thread && !sl_thread_start(&r->thread[1], sl_reader_hash, r)) {
        r->hash_apart = true;
        r->n_thread = 2;
    }
    if (r->n_thread)
        return 0;
    sl_reader_uring_close(r);
    free(r->thread);
    r->thread = NULL;
    return sl_fail(SL_ERR_UNSUPPORTED, "threads can read instead", "io_uring: refused: %s",
                   strerror(-e));
}

void sl_reader_uring_close(struct sl_reader *r)
{
    struct sl_reader_uring *u = r->uring;
    if (!u)
        return;
    if (u->open)
        io_uring_queue_exit(&u->ring);
    if (u->event >= 0)
        close(u->event);
    free(u);
    r->uring = NULL;
}
