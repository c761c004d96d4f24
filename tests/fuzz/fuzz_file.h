/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzzer's bytes as a file in memory, for readers that want a path. */
#ifndef SL_FUZZ_FILE_H
#define SL_FUZZ_FILE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FUZZ_PATH = 64 };

/* The descriptor, which the caller closes; path names it until then. */
static inline int fuzz_file_open(const uint8_t *data, size_t size, char path[FUZZ_PATH])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    assert(fd >= 0);
    ssize_t written = write(fd, data, size);
    assert(written == (ssize_t)size);
    snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
