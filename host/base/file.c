/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static int open_regular(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sl_fail(SL_ERR_IO, "check the path", "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, st) || !S_ISREG(st->st_mode)) {
        close(fd);
        return sl_fail(SL_ERR_IO, "check the path", "%s is not a regular file", path);
    }
    return fd;
}

int sl_mapping_open(struct sl_mapping *out, const char *path)
{
    struct stat st;
    int fd = open_regular(path, &st);
    if (fd < 0)
        return fd;
    void *p = NULL;
    if (st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    int saved = errno;
    close(fd);
    if (p == MAP_FAILED)
        return sl_fail(SL_ERR_IO, NULL, "cannot map %s: %s", path, strerror(saved));
    *out = (struct sl_mapping){p, (size_t)st.st_size};
    return 0;
}

void sl_mapping_close(struct sl_mapping *map)
{
    if (map->data)
        munmap((void *)map->data, map->size);
    *map = (struct sl_mapping){0};
}

void sl_mapping_release(const uint8_t *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t last = ((uintptr_t)data + size) / page * page;
    if (last > first)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

void sl_mapping_touch(const uint8_t *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)data / page * page;
    madvise((void *)first, (uintptr_t)data + size - first, MADV_WILLNEED);
}

void sl_mapping_scatter(const struct sl_mapping *map, bool scattered)
{
    if (map->data)
        madvise((void *)map->data, map->size, scattered ? MADV_RANDOM : MADV_NORMAL);
}

static int read_all(int fd, char *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, buf + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = ENODATA; /* the file became shorter meanwhile */
        if (got <= 0)
            return -1;
        done += (size_t)got;
    }
    return 0;
}

int sl_file_read(char **out, size_t *size, const char *path, size_t max)
{
    struct stat st;
    int fd = open_regular(path, &st);
    if (fd < 0)
        return fd;
    size_t n = (size_t)st.st_size;
    int err = 0;
    char *buf = NULL;
    if (n > max)
        err = sl_fail(SL_ERR_FORMAT, NULL, "%s has %zu bytes, more than %zu", path, n, max);
    else if (!(buf = sl_alloc(n + 1, 1)))
        err = SL_ERR_NOMEM;
    else if (read_all(fd, buf, n))
        err = sl_fail(SL_ERR_IO, NULL, "cannot read %s: %s", path, strerror(errno));
    close(fd);
    if (err) {
        free(buf);
        return err;
    }
    *out = buf;
    *size = n;
    return 0;
}

void sl_program_folder(char *out, size_t cap)
{
    ssize_t len = readlink("/proc/self/exe", out, cap - 1);
    out[len < 0 ? 0 : len] = 0;
    char *slash = strrchr(out, '/');
    if (slash && slash != out)
        *slash = 0;
    else
        snprintf(out, cap, "%s", slash ? "/" : ".");
}
