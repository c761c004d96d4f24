/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/reader_state.h"

enum {
    PIECE_BYTES = 1 << 20,
    DEPTH = 16 /* both: docs/measurements.md, reading from disk */
};

/* ---- open and close ------------------------------------------------------------------------- */

static int open_sync(struct sl_reader *r)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    const bool ok = !pthread_mutex_init(&r->lock, NULL) && !pthread_cond_init(&r->done, &attr) &&
                    !pthread_cond_init(&r->work, &attr) && !pthread_cond_init(&r->hashable, &attr);
    pthread_condattr_destroy(&attr);
    return ok ? 0 : sl_fail(SL_ERR_NOMEM, NULL, "reader: no lock");
}

static int open_entries(struct sl_reader *r)
{
    r->max_piece = (uint32_t)((r->p.max_bytes + r->p.piece_bytes - 1) / r->p.piece_bytes);
    r->entry = sl_alloc(r->p.n_read, sizeof *r->entry);
    r->file = sl_alloc(r->p.n_file, sizeof *r->file);
    if (!r->entry || !r->file)
        return SL_ERR_NOMEM;
    for (unsigned i = 0; i < r->p.n_read; i++) {
        r->entry[i].back = sl_alloc(r->max_piece, 1);
        r->entry[i].hasher = XXH3_createState();
        if (!r->entry[i].back || !r->entry[i].hasher)
            return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for reads");
    }
    return 0;
}

static int start(struct sl_reader *r)
{
    int err = r->kind == SL_READER_THREADS ? sl_reader_threads_start(r) : sl_reader_uring_start(r);
    if (err == SL_ERR_UNSUPPORTED && r->kind == SL_READER_AUTO) {
        r->kind = SL_READER_THREADS;
        return sl_reader_threads_start(r);
    }
    r->kind = r->kind == SL_READER_AUTO ? SL_READER_URING : r->kind;
    return err;
}

int sl_reader_open(struct sl_reader **out, const struct sl_reader_params *params)
{
    assert(params->n_read > 0 && params->n_file > 0 && params->max_bytes > 0);
    struct sl_reader *r = sl_alloc(1, sizeof *r);
    if (!r)
        return SL_ERR_NOMEM;
    r->p = *params;
    r->kind = params->kind;
    r->p.piece_bytes = params->piece_bytes ? params->piece_bytes : PIECE_BYTES;
    r->p.depth = params->depth ? params->depth : DEPTH;
    r->use_direct = params->direct != SL_DIRECT_OFF;
    assert(r->p.piece_bytes % SL_READ_ALIGN == 0 && r->p.depth <= SL_READER_MAX_DEPTH);
    int err = open_sync(r);
    err = err ? err : open_entries(r);
    err = err ? err : start(r);
    if (err)
        sl_reader_close(&r);
    else
        *out = r;
    return err;
}

void sl_reader_close(struct sl_reader **reader)
{
    struct sl_reader *r = *reader;
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->work);
    pthread_cond_broadcast(&r->hashable);
    if (r->uring)
        sl_reader_uring_wake(r);
    pthread_mutex_unlock(&r->lock);
    /* They end when the kernel has answered for every piece it has. */
    for (unsigned i = 0; i < r->n_thread; i++)
        pthread_join(r->thread[i], NULL);
    sl_reader_uring_close(r);
    for (uint32_t i = 0; i < r->n_file; i++) {
        close(r->file[i].buffered);
        if (r->file[i].direct >= 0)
            close(r->file[i].direct);
        free(r->file[i].path);
    }
    for (unsigned i = 0; r->entry && i < r->p.n_read; i++) {
        free(r->entry[i].back);
        XXH3_freeState(r->entry[i].hasher);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->done);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->hashable);
    free(r->thread);
    free(r->entry);
    free(r->file);
    free(r);
    *reader = NULL;
}

int sl_reader_add_file(struct sl_reader *reader, const char *path, uint32_t *file, uint64_t *bytes)
{
    struct sl_read_file f = {.buffered = -1, .direct = -1};
    struct stat st;
    assert(reader->n_file < reader->p.n_file);
    /* Not a pipe that would block, nor anything without offsets. */
    f.buffered = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f.buffered < 0)
        return sl_fail(SL_ERR_IO, "check the path", "cannot open %s: %s", path, strerror(errno));
    const bool regular = !fstat(f.buffered, &st) && S_ISREG(st.st_mode);
    f.path = regular ? strdup(path) : NULL;
    if (!f.path) {
        close(f.buffered);
        return regular ? sl_fail(SL_ERR_NOMEM, NULL, "out of memory for a path")
                       : sl_fail(SL_ERR_IO, "check the path", "%s is not a regular file", path);
    }
    if (reader->p.direct != SL_DIRECT_OFF)
        f.direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    f.bytes = (uint64_t)st.st_size;
    *file = reader->n_file;
    if (bytes)
        *bytes = f.bytes;
    reader->file[reader->n_file++] = f;
    return 0;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static bool issuable(const struct sl_reader *r, const struct sl_read_entry *e)
{
    return e->state == SL_READ_ACTIVE && !e->given_up && e->n_issued < e->n_piece &&
           (!e->read.low || r->n_high == 0);
}

/* The oldest read with pieces to issue. */
static struct sl_read_entry *next_entry(struct sl_reader *r)
{
    struct sl_read_entry *best = NULL;
    for (unsigned i = 0; i < r->n_entry; i++) {
        struct sl_read_entry *e = &r->entry[i];
        if (issuable(r, e) && (!best || e->order < best->order))
            best = e;
    }
    return best;
}

static uint64_t round_up(uint64_t n)
{
    return (n + SL_READ_ALIGN - 1) / SL_READ_ALIGN * SL_READ_ALIGN;
}

static void set_way(const struct sl_reader *r, struct sl_piece *p, bool direct)
{
    const struct sl_read_file *f = &r->file[r->entry[p->read].read.file];
    p->direct = direct && f->direct >= 0;
    p->fd = p->direct ? f->direct : f->buffered;
}

bool sl_piece_take(struct sl_reader *reader, struct sl_piece *out)
{
    struct sl_read_entry *e = reader->stop ? NULL : next_entry(reader);
    if (!e)
        return false;
    const uint64_t at = (uint64_t)e->n_issued * reader->p.piece_bytes;
    const uint64_t left = e->read.bytes - at, piece = reader->p.piece_bytes;
    *out = (struct sl_piece){.read = (uint32_t)(e - reader->entry),
                             .number = e->n_issued,
                             .offset = e->read.offset + at,
                             .dst = (uint8_t *)e->read.dst + at,
                             .bytes = (uint32_t)(left < piece ? round_up(left) : piece),
                             .wanted = (uint32_t)(left < piece ? left : piece)};
    set_way(reader, out, reader->use_direct);
    e->n_issued++;
    e->n_flying++;
    return true;
}

/* True when the piece is not finished (the lock is held): what is left of it is to be read the same
 * or another way. */
static bool goes_on(struct sl_reader *r, struct sl_piece *p, int result, int *failure)
{
    *failure = 0;
    if (result == -EINTR || result == -EAGAIN)
        return true;
    if (result == -EINVAL && p->direct) { /* opened so, but not read so */
        set_way(r, p, false);
        return true;
    }
    if (result < 0 || (uint32_t)result >= p->wanted) {
        *failure = result < 0 ? -result : 0;
        return false;
    }
    if (result == 0) {
        *failure = SL_READER_EOF;
        return false;
    }
    p->offset += (uint64_t)result;
    p->dst += result;
    p->bytes -= (uint32_t)result;
    p->wanted -= (uint32_t)result;
    if (result % SL_READ_ALIGN) /* the rest is not aligned */
        set_way(r, p, false);
    return true;
}

static bool is_hashable(const struct sl_read_entry *e)
{
    return e->state == SL_READ_ACTIVE && e->read.hash && !e->hashing && !e->given_up &&
           e->n_hashed < e->n_piece && e->back[e->n_hashed];
}

/* Hashes what is back in order, one thread at a time. The lock is held, but not while it works. */
static void hash_pieces(struct sl_reader *r, struct sl_read_entry *e)
{
    const uint64_t piece = r->p.piece_bytes;
    while (is_hashable(e)) {
        const uint64_t at = e->n_hashed * piece, left = e->read.bytes - at;
        const uint8_t *data = (const uint8_t *)e->read.dst + at;
        e->hashing = true;
        pthread_mutex_unlock(&r->lock);
        XXH3_64bits_update(e->hasher, data, left < piece ? left : piece);
        pthread_mutex_lock(&r->lock);
        e->hashing = false;
        if (++e->n_hashed == e->n_piece)
            e->hash = XXH3_64bits_digest(e->hasher);
    }
}

/* The lock is held. */
static void finish_if_done(struct sl_reader *r, struct sl_read_entry *e)
{
    const bool whole = !e->given_up && e->n_hashed == e->n_piece;
    const bool gone = e->given_up && e->n_flying == 0 && !e->hashing;
    if (e->state != SL_READ_ACTIVE || (!whole && !gone))
        return;
    e->state = SL_READ_DONE;
    if (!e->read.low && --r->n_high == 0) {
        pthread_cond_broadcast(&r->work); /* the lower claim's turn */
        if (r->uring)
            sl_reader_uring_wake(r);
    }
    pthread_cond_broadcast(&r->done);
}

void *sl_reader_hash(void *user)
{
    struct sl_reader *r = user;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        unsigned i = 0;
        while (i < r->n_entry && !is_hashable(&r->entry[i]))
            i++;
        if (i < r->n_entry) {
            hash_pieces(r, &r->entry[i]);
            finish_if_done(r, &r->entry[i]);
        } else {
            pthread_cond_wait(&r->hashable, &r->lock);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

bool sl_piece_back(struct sl_reader *reader, struct sl_piece *piece, int result)
{
    struct sl_read_entry *e = &reader->entry[piece->read];
    int failure;
    pthread_mutex_lock(&reader->lock);
    if (goes_on(reader, piece, result, &failure) && !e->given_up && !reader->stop) {
        pthread_mutex_unlock(&reader->lock);
        return true;
    }
    e->n_flying--;
    if (failure && !e->failure)
        e->failure = failure;
    e->given_up = e->given_up || failure;
    e->back[piece->number] = !e->given_up;
    if (!e->read.hash)
        e->n_hashed++;
    else if (reader->hash_apart)
        pthread_cond_signal(&reader->hashable);
    else
        hash_pieces(reader, e);
    finish_if_done(reader, e);
    pthread_mutex_unlock(&reader->lock);
    return false;
}

/* ---- reads ---------------------------------------------------------------------------------- */

static void begin(struct sl_reader *r, struct sl_read_entry *e, const struct sl_read *read)
{
    e->read = *read;
    e->order = r->order++;
    e->n_piece = (uint32_t)((read->bytes + r->p.piece_bytes - 1) / r->p.piece_bytes);
    e->n_issued = e->n_flying = e->n_hashed = 0;
    e->hashing = e->given_up = false;
    e->failure = 0;
    memset(e->back, 0, e->n_piece);
    XXH3_64bits_reset(e->hasher);
    e->state = SL_READ_ACTIVE;
    r->n_high += !read->low;
}

static void wake(struct sl_reader *r)
{
    pthread_cond_broadcast(&r->work);
    if (r->uring)
        sl_reader_uring_wake(r);
}

int sl_reader_submit(struct sl_reader *reader, const struct sl_read *read, uint32_t *handle)
{
    struct sl_reader *r = reader;
    assert(read->bytes > 0 && read->bytes <= r->p.max_bytes && read->file < r->n_file);
    assert(read->offset % SL_READ_ALIGN == 0 && (uintptr_t)read->dst % SL_READ_ALIGN == 0);
    uint32_t i = 0;
    pthread_mutex_lock(&r->lock);
    while (i < r->p.n_read && r->entry[i].state != SL_READ_FREE)
        i++;
    if (i < r->p.n_read) {
        r->n_entry = r->n_entry > i ? r->n_entry : i + 1;
        begin(r, &r->entry[i], read);
        wake(r);
    }
    pthread_mutex_unlock(&r->lock);
    if (i == r->p.n_read)
        return sl_fail(SL_ERR_USAGE, NULL, "reader: %u reads are unfinished", r->p.n_read);
    *handle = i;
    return 0;
}

void sl_reader_raise(struct sl_reader *reader, uint32_t handle)
{
    struct sl_read_entry *e = &reader->entry[handle];
    pthread_mutex_lock(&reader->lock);
    if (e->read.low && e->state == SL_READ_ACTIVE)
        reader->n_high++;
    e->read.low = false;
    wake(reader);
    pthread_mutex_unlock(&reader->lock);
}

bool sl_reader_ready(struct sl_reader *reader, uint32_t handle)
{
    pthread_mutex_lock(&reader->lock);
    const bool ready = reader->entry[handle].state == SL_READ_DONE;
    pthread_mutex_unlock(&reader->lock);
    return ready;
}

/* Index of the first of them that has ended, or n. The lock is held. */
static size_t first_done(const struct sl_reader *r, const uint32_t *handle, size_t n)
{
    size_t i = 0;
    while (i < n && r->entry[handle[i]].state != SL_READ_DONE)
        i++;
    return i;
}

int sl_reader_wait_any(struct sl_reader *reader, const uint32_t *handle, size_t n,
                       unsigned deadline_ms, size_t *index)
{
    const uint64_t until = sl_now_ns() + deadline_ms * UINT64_C(1000000);
    const struct timespec ts = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    size_t i;
    int r = 0;
    pthread_mutex_lock(&reader->lock);
    while ((i = first_done(reader, handle, n)) == n && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&reader->done, &reader->lock, &ts);
    pthread_mutex_unlock(&reader->lock);
    if (i == n)
        return sl_fail(SL_ERR_TIMEOUT, "is the disk still there?",
                       "%s: did not arrive within %u ms",
                       reader->file[reader->entry[handle[0]].read.file].path, deadline_ms);
    *index = i;
    return 0;
}

static void end(struct sl_reader *r, struct sl_read_entry *e)
{
    pthread_mutex_lock(&r->lock);
    e->state = SL_READ_FREE;
    while (r->n_entry > 0 && r->entry[r->n_entry - 1].state == SL_READ_FREE)
        r->n_entry--;
    pthread_mutex_unlock(&r->lock);
}

int sl_reader_wait(struct sl_reader *reader, uint32_t handle, unsigned deadline_ms, uint64_t *hash)
{
    struct sl_read_entry *e = &reader->entry[handle];
    size_t index;
    int err = sl_reader_wait_any(reader, &handle, 1, deadline_ms, &index);
    if (err)
        return err;
    const char *path = reader->file[e->read.file].path;
    if (e->failure == SL_READER_EOF)
        err = sl_fail(SL_ERR_IO, "the file became shorter; convert the model again",
                      "%s: ends before byte %llu", path,
                      (unsigned long long)(e->read.offset + e->read.bytes));
    else if (e->failure)
        err = sl_fail(SL_ERR_IO, NULL, "%s: cannot be read: %s", path, strerror(e->failure));
    if (!err && hash)
        *hash = e->hash;
    end(reader, e);
    return err;
}

int sl_reader_cancel(struct sl_reader *reader, uint32_t handle, unsigned deadline_ms)
{
    struct sl_read_entry *e = &reader->entry[handle];
    size_t index;
    pthread_mutex_lock(&reader->lock);
    if (e->state == SL_READ_ACTIVE && !e->given_up) {
        e->given_up = true;
        e->failure = ECANCELED;
    }
    finish_if_done(reader, e);
    pthread_mutex_unlock(&reader->lock);
    int err = sl_reader_wait_any(reader, &handle, 1, deadline_ms, &index);
    if (!err)
        end(reader, e);
    return err;
}

void sl_reader_get_rates(const struct sl_reader *reader, struct sl_reader_rates *out)
{
    *out = reader->rates;
    out->kind = reader->kind == SL_READER_THREADS ? "threads" : "io_uring";
    out->direct = reader->use_direct;
    out->piece_bytes = reader->p.piece_bytes;
    out->depth = reader->p.depth;
}
