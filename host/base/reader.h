/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous reads of file ranges into the caller's memory, past the page cache where that is
 * possible and faster. A read is cut into pieces, of which a bounded number is in the kernel at a
 * time: through io_uring, or from threads where the kernel refuses io_uring. The reader's own
 * threads submit, reap and hash; the caller's only waits.
 *
 * Two claims: a read of the lower one begins, and goes on, only while no other is unfinished.
 *
 * One thread calls these functions. Nothing allocates after the last sl_reader_add_file.
 */
#ifndef SL_BASE_READER_H
#define SL_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SL_READ_ALIGN = 4096 /* of offsets and memory; lengths are rounded up to it */
};

enum sl_reader_kind {
    SL_READER_AUTO, /* io_uring, or threads where the kernel refuses it */
    SL_READER_URING,
    SL_READER_THREADS
};

enum sl_reader_direct {
    SL_DIRECT_AUTO, /* what sl_reader_measure finds faster; unmeasured: on */
    SL_DIRECT_ON,   /* O_DIRECT in every file system that has it, elsewhere buffered */
    SL_DIRECT_OFF
};

struct sl_reader;

struct sl_reader_params {
    enum sl_reader_kind kind;
    enum sl_reader_direct direct;
    unsigned n_read;      /* unfinished reads at a time, at most */
    uint64_t max_bytes;   /* of one read */
    unsigned n_file;      /* at most */
    uint32_t piece_bytes; /* a multiple of SL_READ_ALIGN; 0: the default */
    unsigned depth;       /* pieces in the kernel; 0: the default */
};

/* SL_ERR_UNSUPPORTED: no io_uring, and nothing else was allowed. */
int sl_reader_open(struct sl_reader **out, const struct sl_reader_params *params);
/* Gives up what has not begun and waits until the kernel is done with the rest: afterwards nothing
 * is written to any buffer. */
void sl_reader_close(struct sl_reader **reader);
/* A regular file; *file: its number, *bytes (may be NULL) its size. SL_ERR_IO names the path. */
int sl_reader_add_file(struct sl_reader *reader, const char *path, uint32_t *file, uint64_t *bytes);

struct sl_read {
    uint32_t file;
    uint64_t offset; /* a multiple of SL_READ_ALIGN */
    uint64_t bytes;  /* 1 .. max_bytes */
    /* Aligned to SL_READ_ALIGN, and as large as `bytes` rounded up to it: what follows the bytes
     * wanted is undefined. Belongs to the reader until the read ends. */
    void *dst;
    bool hash; /* compute XXH3 (64 bits) of the bytes as they arrive */
    bool low;  /* the lower claim */
};

/* *handle: the read, until wait or cancel ends it. SL_ERR_USAGE: n_read are unfinished. */
int sl_reader_submit(struct sl_reader *reader, const struct sl_read *read, uint32_t *handle);
/* From the lower claim to the other. */
void sl_reader_raise(struct sl_reader *reader, uint32_t handle);
bool sl_reader_ready(struct sl_reader *reader, uint32_t handle);
/* *index: the first of handle[n] that is ready, waiting for one. SL_ERR_TIMEOUT. Ends none. */
int sl_reader_wait_any(struct sl_reader *reader, const uint32_t *handle, size_t n,
                       unsigned deadline_ms, size_t *index);
/* Ends the read unless SL_ERR_TIMEOUT. SL_ERR_IO: it failed, or the file ends too early; names the
 * file. hash may be NULL. */
int sl_reader_wait(struct sl_reader *reader, uint32_t handle, unsigned deadline_ms, uint64_t *hash);
/* Gives it up and ends it: pieces that the kernel has are waited for. SL_ERR_TIMEOUT: it still has
 * some; the read goes on to exist, and its memory is not yet the caller's. */
int sl_reader_cancel(struct sl_reader *reader, uint32_t handle, unsigned deadline_ms);

/* ---- rates ---- */

struct sl_reader_rates {
    const char *kind;                  /* "io_uring" "threads" */
    bool direct;                       /* what is used */
    double direct_rate, buffered_rate; /* bytes/s, medians; 0: not measured */
    uint32_t piece_bytes;
    unsigned depth;
};
/* Reads samples of the files both ways, alternating, from the disk (what the page cache holds of a
 * sample is dropped first), and keeps the faster way. Takes a fraction of a second; with files too
 * small for that nothing is measured. Nothing else may be unfinished. */
int sl_reader_measure(struct sl_reader *reader);
void sl_reader_get_rates(const struct sl_reader *reader, struct sl_reader_rates *out);

#endif
