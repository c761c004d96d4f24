/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other half of libsl_nosleep.so: register writes are posted, as they are on PCIe. XRT's
 * emulation sends each word of the core's arguments as a call of its own and waits for an answer
 * that always says "done" (rpc.h); the wait costs more than all else in a launch. Here such a call
 * is answered at once and kept; what was kept goes out with the write that starts a core, or before
 * any other call, in order, and its answers are taken then. Only calls of that form on a socket are
 * touched: all other read()s and write()s go to the kernel as they are.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpc.h"

/* An answer: a header with the size, then field 1 "valid". */
static const uint8_t done[] = {0x09, 2, 0, 0, 0, 0, 0, 0, 0, 0x08, 1};
enum {
    ANSWER = sizeof done,
    CAP = 16384,
    MAX_CALL = 256,
    OFFSET_MASK = 0xFFF /* a core's registers take a page of their own */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Calls that were answered and not sent, all for one descriptor. */
static struct {
    int fd;
    unsigned n_call;
    size_t size;
    uint8_t data[CAP];
} kept;

/* What a thread is about to do: the payload of a call, or to read an answer that is made up. */
static _Thread_local struct {
    int fd;
    size_t payload; /* bytes still to come behind a header, 0: none */
    size_t fake;    /* bytes of `done` still to be read */
    uint8_t header[RPC_HEADER];
} own;

static ssize_t real_write(int fd, const void *data, size_t n)
{
    return syscall(SYS_write, fd, data, n);
}

static bool write_all(int fd, const uint8_t *data, size_t n)
{
    while (n) {
        const ssize_t w = real_write(fd, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        data += w;
        n -= (size_t)w;
    }
    return true;
}

/* Takes the answers of n calls, which are of one size. */
static bool take_answers(int fd, unsigned n)
{
    uint8_t answer[64 * ANSWER];
    for (size_t left = (size_t)n * ANSWER; left;) {
        const long r = syscall(SYS_read, fd, answer, left < sizeof answer ? left : sizeof answer);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        left -= (size_t)r;
    }
    return true;
}

/* Sends what was kept; answers of all but the last `open` calls are taken. */
static bool flush(unsigned open)
{
    const unsigned n = kept.n_call;
    const bool good =
        !n || (write_all(kept.fd, kept.data, kept.size) && take_answers(kept.fd, n - open));
    kept.n_call = 0;
    kept.size = 0;
    return good;
}

static bool is_header(const uint8_t *d, size_t n)
{
    return n == RPC_HEADER && d[0] == 0x09 && d[9] == 0x15 && !(d[11] | d[12] | d[13]);
}

static bool keep(int fd, const uint8_t *payload, size_t n)
{
    const bool fits = kept.size + RPC_HEADER + n <= CAP;
    if (kept.n_call && (kept.fd != fd || !fits) && !flush(0))
        return false;
    kept.fd = fd;
    memcpy(kept.data + kept.size, own.header, RPC_HEADER);
    memcpy(kept.data + kept.size + RPC_HEADER, payload, n);
    kept.size += RPC_HEADER + n;
    kept.n_call++;
    return true;
}

/* The payload of a register write: kept and answered, or, where it may start something, sent. */
static ssize_t post(int fd, const uint8_t *payload, size_t n)
{
    struct rpc_message m;
    const bool plain = rpc_parse(&m, payload, n) && m.number[2] & OFFSET_MASK;
    own.payload = 0;
    if (!keep(fd, payload, n) || (!plain && !flush(1)))
        return -1;
    own.fd = fd;
    own.fake = plain ? ANSWER : 0;
    return (ssize_t)n;
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data, size_t n)
{
    if (!own.payload && !is_header(data, n))
        return real_write(fd, data, n);
    ssize_t result;
    pthread_mutex_lock(&lock);
    if (own.payload) {
        result = n == own.payload && fd == own.fd ? post(fd, data, n) : -1;
    } else {
        struct rpc_message m;
        const bool call = rpc_parse(&m, data, n);
        if (call && m.number[2] == RPC_WRITE_REG && m.number[1] && m.number[1] <= MAX_CALL) {
            memcpy(own.header, data, n);
            own.payload = m.number[1];
            own.fd = fd;
            result = (ssize_t)n;
        } else {
            result = flush(0) ? real_write(fd, data, n) : -1;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

__attribute__((visibility("default"))) ssize_t read(int fd, void *data, size_t n)
{
    if (!own.fake || fd != own.fd)
        return syscall(SYS_read, fd, data, n);
    const size_t k = n < own.fake ? n : own.fake;
    memcpy(data, done + ANSWER - own.fake, k);
    own.fake -= k;
    return (ssize_t)k;
}
