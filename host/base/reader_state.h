/* SPDX-License-Identifier: Apache-2.0 */
/* Between reader.c, which keeps the reads, and what carries pieces to the kernel. */
#ifndef SL_BASE_READER_STATE_H
#define SL_BASE_READER_STATE_H

#include <pthread.h>
#include <xxhash.h>

#include "base/reader.h"
#include "sluice.h"

enum { SL_READER_MAX_DEPTH = 64 };

/* A file, open in up to two ways. */
struct sl_read_file {
    char *path;
    int buffered, direct; /* descriptors; direct -1: the file system has no O_DIRECT */
    uint64_t bytes;
};

enum sl_read_state { SL_READ_FREE, SL_READ_ACTIVE, SL_READ_DONE };

/* A read under way. Guarded by the reader's lock, but for `hasher`, which belongs to the thread
 * that has set `hashing`. */
struct sl_read_entry {
    struct sl_read read;
    enum sl_read_state state;
    uint64_t order;    /* of submission */
    uint32_t n_piece;  /* of piece_bytes, the last one shorter */
    uint32_t n_issued; /* handed to the kernel, in order */
    uint32_t n_flying; /* of these, not back */
    uint32_t n_hashed; /* in order; without a hash: pieces that are back */
    uint8_t *back;     /* [max pieces] the piece is back */
    bool hashing;
    bool given_up; /* cancelled, or failed: no more pieces are issued */
    int failure;   /* errno; READER_EOF: the file ends too early */
    XXH3_state_t *hasher;
    uint64_t hash;
};

enum { SL_READER_EOF = -1 };

/* One system call's worth. */
struct sl_piece {
    uint32_t read, number;
    int fd;
    bool direct;
    uint64_t offset; /* in the file */
    uint8_t *dst;
    uint32_t bytes;  /* to go; rounded up to SL_READ_ALIGN at the end of a read */
    uint32_t wanted; /* of these, must arrive */
};

struct sl_reader {
    struct sl_reader_params p;
    enum sl_reader_kind kind; /* what p.kind became */
    pthread_mutex_t lock;
    pthread_cond_t done;     /* a read has ended, or a piece of one that was given up is back */
    pthread_cond_t work;     /* pieces to issue, or stop */
    pthread_cond_t hashable; /* something for sl_reader_hash, or stop */
    bool hash_apart;         /* a thread hashes that carries nothing */
    bool stop;
    bool use_direct;
    struct sl_read_file *file; /* [p.n_file] */
    uint32_t n_file;
    struct sl_read_entry *entry; /* [p.n_read] */
    unsigned n_entry;            /* those behind are free */
    uint64_t order;
    unsigned n_high;    /* unfinished reads that are not of the lower claim */
    uint32_t max_piece; /* of a read */
    struct sl_reader_rates rates;
    struct sl_reader_uring *uring;
    pthread_t *thread; /* [n_thread] of either kind */
    unsigned n_thread;
};

/* ---- reader.c, for the carriers ---- */

/* The next piece to issue; false: none now. Takes the lock held. */
bool sl_piece_take(struct sl_reader *reader, struct sl_piece *out);
/* What the kernel said of a piece: bytes, or a negative errno. True: the rest of the piece, now in
 * *piece, has to be issued again. The lock is not held. */
bool sl_piece_back(struct sl_reader *reader, struct sl_piece *piece, int result);

/* A thread that hashes what is back, for a carrier that should not be kept from its ring. user: the
 * reader, with hash_apart set. */
void *sl_reader_hash(void *user);

/* ---- the carriers ---- */

/* Starts the threads. SL_ERR_UNSUPPORTED: the kernel refuses io_uring. */
int sl_reader_uring_start(struct sl_reader *reader);
int sl_reader_threads_start(struct sl_reader *reader);
/* There is work, or stop was set; the lock is held. */
void sl_reader_uring_wake(struct sl_reader *reader);
/* Behind the end of its thread. */
void sl_reader_uring_close(struct sl_reader *reader);

#endif
