/* SPDX-License-Identifier: Apache-2.0 */
#include "base/new_file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static int refuse(const struct sl_new_file *file)
{
    return sl_fail(SL_ERR_IO, "check the path, its permissions and the free space", "%s: %s",
                   file->part, strerror(errno));
}

int sl_new_file_open(struct sl_new_file *out, const char *path)
{
    struct stat st;
    static atomic_uint n_open; /* one process may write two of one name: the last one stays */
    const size_t cap = strlen(path) + 48;
    *out = (struct sl_new_file){0};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return sl_fail(SL_ERR_IO, "name a new file", "%s: exists and is not a regular file", path);
    out->path = sl_alloc(cap, 1);
    out->part = sl_alloc(cap, 1);
    if (!out->path || !out->part)
        return SL_ERR_NOMEM;
    strcpy(out->path, path);
    snprintf(out->part, cap, "%s.%ld-%u.part", path, (long)getpid(), atomic_fetch_add(&n_open, 1));
    out->f = fopen(out->part, "wbxe");
    return out->f ? 0 : refuse(out);
}

int sl_new_file_commit(struct sl_new_file *file)
{
    FILE *f = file->f;
    /* The flag keeps no reason: the flush meets the same one again, or this stands for it. */
    const bool failed = ferror(f);
    errno = EIO;
    if (fflush(f) || failed)
        return refuse(file);
    file->f = NULL;
    if (fclose(f) || rename(file->part, file->path)) {
        const int err = refuse(file);
        unlink(file->part);
        return err;
    }
    return 0;
}

void sl_new_file_close(struct sl_new_file *file)
{
    if (file->f) {
        fclose(file->f);
        unlink(file->part);
    }
    free(file->path);
    free(file->part);
    *file = (struct sl_new_file){0};
}
