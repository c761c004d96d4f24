/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

static int fail_errno(const struct sl_outfile *f, const char *verb)
{
    int e = errno;
    bool full = e == ENOSPC || e == EDQUOT || e == EFBIG;
    return sl_fail(SL_ERR_IO,
                   full ? "free some space and start again: finished layers are kept" : NULL,
                   "%s/%s: cannot %s: %s", f->dir, f->name, verb, strerror(e));
}

int sl_path_join(char out[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX ? 0 : sl_fail(SL_ERR_IO, NULL, "%.100s...: path too long", dir);
}

/* The path under which the file is being written. */
static int part_path(const struct sl_outfile *f, char out[PATH_MAX])
{
    char name[NAME_MAX + 8];
    snprintf(name, sizeof name, "%s.part", f->name);
    return sl_path_join(out, f->dir, name);
}

int sl_outfile_open(struct sl_outfile *f, const char *dir, const char *name)
{
    char path[PATH_MAX];
    *f = (struct sl_outfile){.fd = -1};
    if (strlen(dir) >= sizeof f->dir || strlen(name) >= sizeof f->name)
        return sl_fail(SL_ERR_IO, NULL, "%.100s: path too long", dir);
    snprintf(f->dir, sizeof f->dir, "%s", dir);
    snprintf(f->name, sizeof f->name, "%s", name);
    int err = part_path(f, path);
    if (err)
        return err;
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return f->fd < 0 ? fail_errno(f, "create") : 0;
}

/* A process over its file size limit gets SIGXFSZ, which by default ends it; the library answers
 * with an error, so the signal is held back and taken off again when this write raised it. */
static ssize_t write_without_signal(int fd, const void *data, size_t n)
{
    sigset_t xfsz, before, pending;
    sigemptyset(&xfsz);
    sigaddset(&xfsz, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &xfsz, &before);
    sigpending(&pending);
    ssize_t r = write(fd, data, n);
    int e = errno;
    if (r < 0 && e == EFBIG && !sigismember(&pending, SIGXFSZ))
        sigtimedwait(&xfsz, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = e;
    return r;
}

int sl_outfile_write(struct sl_outfile *f, const void *data, size_t n)
{
    const uint8_t *p = data;
    while (n > 0) {
        ssize_t r = write_without_signal(f->fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail_errno(f, "write");
        p += r;
        n -= (size_t)r;
        f->bytes += (uint64_t)r;
    }
    return 0;
}

int sl_outfile_zeros(struct sl_outfile *f, uint64_t n)
{
    static const uint8_t zeros[4096];
    int err = 0;
    while (n > 0 && !err) {
        size_t step = n < sizeof zeros ? (size_t)n : sizeof zeros;
        err = sl_outfile_write(f, zeros, step);
        n -= step;
    }
    return err;
}

int sl_dir_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -1 : fsync(fd);
    /* Some file systems cannot sync directories and say EINVAL. */
    int err = r && errno != EINVAL
                  ? sl_fail(SL_ERR_IO, NULL, "%s: cannot be synced: %s", dir, strerror(errno))
                  : 0;
    if (fd >= 0)
        close(fd);
    return err;
}

static int finish(struct sl_outfile *f, bool durable)
{
    char part[PATH_MAX], path[PATH_MAX];
    int err = part_path(f, part);
    if (!err)
        err = sl_path_join(path, f->dir, f->name);
    if (!err && durable && fsync(f->fd))
        err = fail_errno(f, "sync");
    if (!err) {
        int r = close(f->fd);
        f->fd = -1;
        if (r || rename(part, path))
            err = fail_errno(f, "finish");
    }
    return err;
}

int sl_outfile_commit(struct sl_outfile *f)
{
    return finish(f, true);
}

void sl_outfile_abort(struct sl_outfile *f)
{
    char path[PATH_MAX];
    if (f->fd < 0 || !f->name[0])
        return;
    close(f->fd);
    f->fd = -1;
    if (snprintf(path, sizeof path, "%s/%s.part", f->dir, f->name) < PATH_MAX)
        unlink(path);
}

int sl_outfile_put(const char *dir, const char *name, const void *data, size_t n, bool durable)
{
    struct sl_outfile f;
    int err = sl_outfile_open(&f, dir, name);
    if (!err)
        err = sl_outfile_write(&f, data, n);
    if (!err)
        err = finish(&f, durable);
    sl_outfile_abort(&f);
    return err;
}
