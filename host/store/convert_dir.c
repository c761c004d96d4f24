/* SPDX-License-Identifier: Apache-2.0 */
/* The output directory of a conversion: whose it is, what it holds, how much still fits. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/convert_work.h"
#include "store/outfile.h"
#include "store/store.h"

enum {
    SPARE_BYTES = 1 << 20,     /* metadata, config and small files, in the estimate of space */
    SMALL_FILE_MAX = 256 << 20 /* a tokenizer file is not larger */
};

static bool file_exists(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return !sl_path_join(path, dir, name) && !stat(path, &st);
}

static int fail_errno(const char *dir)
{
    return sl_fail(SL_ERR_IO, NULL, "%s: %s", dir, strerror(errno));
}

/* ---- small files ---------------------------------------------------------------------------- */

static int copy_small(const struct sl_convert_work *w, const char *name)
{
    char path[PATH_MAX], *text;
    size_t n;
    int err = sl_path_join(path, w->params->in_dir, name);
    err = err ? err : sl_file_read(&text, &n, path, SMALL_FILE_MAX);
    if (err)
        return err;
    err = sl_outfile_put(w->params->out_dir, name, text, n, true);
    free(text);
    return err;
}

static bool matches(const char *name, const char *const *pattern)
{
    for (; *pattern; pattern++)
        if (!fnmatch(*pattern, name, FNM_PERIOD))
            return true;
    return false;
}

int sl_convert_copy_companions(const struct sl_convert_work *w)
{
    static const char *const tokenizer[] = {"*.tiktoken",
                                            "generation_config.json",
                                            "tokenizer*.json",
                                            "tokenizer.model",
                                            "added_tokens.json",
                                            "special_tokens_map.json",
                                            NULL};
    DIR *dir = opendir(w->params->in_dir);
    if (!dir)
        return fail_errno(w->params->in_dir);
    int err = sl_outfile_put(w->params->out_dir, "config.json", w->config_json,
                             strlen(w->config_json), true);
    for (struct dirent *e; !err && (e = readdir(dir)) != NULL;)
        if (matches(e->d_name, tokenizer))
            err = copy_small(w, e->d_name);
    closedir(dir);
    return err;
}

/* ---- own files ------------------------------------------------------------------------------ */

/* Names that a conversion gives to its own files. */
static bool is_own_file(const char *name, enum sl_convert_files which)
{
    static const char *const unfinished[] = {"layer-[0-9][0-9][0-9][0-9].*.part", "head.*.part",
                                             "tensors.*.part", SL_MANIFEST_NAME ".part", NULL};
    static const char *const spent[] = {"layer-[0-9][0-9][0-9][0-9].frag", "head.frag",
                                        "tensors.frag", NULL};
    static const char *const result[] = {"layer-[0-9][0-9][0-9][0-9].slab", "head.slab",
                                         SL_TENSORS_NAME, SL_MANIFEST_NAME, NULL};
    return matches(name, unfinished) || (which >= SL_CONVERT_SPENT && matches(name, spent)) ||
           (which >= SL_CONVERT_ALL && matches(name, result));
}

static void remove_file(const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (!sl_path_join(path, dir, name))
        unlink(path);
}

int sl_convert_remove_files(const char *out_dir, enum sl_convert_files which)
{
    DIR *dir = opendir(out_dir);
    if (!dir)
        return fail_errno(out_dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (is_own_file(e->d_name, which))
            remove_file(out_dir, e->d_name);
    closedir(dir);
    return 0;
}

uint64_t sl_convert_file_bytes(const char *out_dir, enum sl_convert_files which)
{
    enum { BLOCK = 512 }; /* of st_blocks */
    uint64_t bytes = 0;
    DIR *dir = opendir(out_dir);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (is_own_file(e->d_name, which) && !fstatat(dirfd(dir), e->d_name, &st, 0))
            bytes += (uint64_t)st.st_blocks * BLOCK;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

int sl_convert_clear_out_dir(const char *out_dir)
{
    remove_file(out_dir, SL_MANIFEST_NAME);
    return sl_convert_remove_files(out_dir, SL_CONVERT_ALL);
}

/* ---- whose directory ------------------------------------------------------------------------ */

/* `out_dir`, or its nearest parent that exists. */
static int find_existing(const char *out_dir, char path[PATH_MAX])
{
    struct stat st;
    if (strlen(out_dir) >= PATH_MAX)
        return sl_fail(SL_ERR_IO, NULL, "%.100s...: path too long", out_dir);
    strcpy(path, out_dir);
    while (stat(path, &st)) {
        char *slash = strrchr(path, '/');
        if (slash == path)
            slash++;
        if (errno != ENOENT || (slash && !*slash))
            return sl_fail(SL_ERR_IO, NULL, "%s: %s", out_dir, strerror(errno));
        if (slash)
            *slash = 0;
        else
            strcpy(path, ".");
    }
    return 0;
}

/* mkdir makes one level: the parent of a directory that is missing must be there and writable. */
static int check_parent(const char *out_dir)
{
    char path[PATH_MAX];
    struct stat st;
    size_t n = strlen(out_dir);
    while (n > 1 && out_dir[n - 1] == '/')
        n--;
    if (n == 0 || n >= PATH_MAX)
        return sl_fail(SL_ERR_IO, NULL, "'%.100s': cannot be created", out_dir);
    memcpy(path, out_dir, n);
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    const char *parent = slash ? path : ".";
    if (stat(parent, &st) || access(parent, W_OK | X_OK))
        return sl_fail(SL_ERR_IO, NULL, "%s: cannot be created: %s", out_dir, strerror(errno));
    return S_ISDIR(st.st_mode) ? 0 : sl_fail(SL_ERR_IO, NULL, "%s: not a directory", parent);
}

static int check_out_dir(const struct sl_convert_params *p, const struct stat *in)
{
    struct stat out;
    if (stat(p->out_dir, &out) || !S_ISDIR(out.st_mode))
        return sl_fail(SL_ERR_IO, NULL, "%s: not a directory", p->out_dir);
    if (in->st_dev == out.st_dev && in->st_ino == out.st_ino)
        return sl_fail(SL_ERR_USAGE, "choose another output directory",
                       "%s: input and output are the same directory", p->out_dir);
    if (access(p->out_dir, W_OK | X_OK))
        return fail_errno(p->out_dir);
    if (sl_checkpoint_exists(p->out_dir))
        return sl_fail(SL_ERR_USAGE, "choose another output directory", "%s: holds a checkpoint",
                       p->out_dir);
    return 0;
}

int sl_convert_check_dirs(const struct sl_convert_params *p, bool make)
{
    struct stat in, out;
    if (stat(p->in_dir, &in) || !S_ISDIR(in.st_mode))
        return sl_fail(SL_ERR_IO, NULL, "%s: not a directory", p->in_dir);
    if (!make && stat(p->out_dir, &out) && errno == ENOENT)
        return check_parent(p->out_dir);
    if (make && mkdir(p->out_dir, 0755) && errno != EEXIST)
        return sl_fail(SL_ERR_IO, NULL, "%s: cannot be created: %s", p->out_dir, strerror(errno));
    return check_out_dir(p, &in);
}

int sl_convert_lock_out_dir(struct sl_convert_work *w)
{
    const char *out_dir = w->params->out_dir;
    w->lock = open(out_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock < 0)
        return fail_errno(out_dir);
    if (flock(w->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return sl_fail(SL_ERR_USAGE, "wait for it, or choose another directory",
                       "%s: another conversion is writing here", out_dir);
    return 0; /* a file system without locks is not a reason to refuse */
}

/* True when dir/name exists and was made from something else (or cannot be read). */
static bool is_foreign(const struct sl_convert_work *w, const char *name)
{
    uint64_t identity;
    return file_exists(w->params->out_dir, name) &&
           !(sl_manifest_peek_identity(w->params->out_dir, name, &identity) &&
             identity == w->m.identity);
}

int sl_convert_check_leftovers(const struct sl_convert_work *w)
{
    const char *out_dir = w->params->out_dir;
    bool foreign = is_foreign(w, SL_MANIFEST_NAME);
    DIR *dir = opendir(out_dir);
    if (!dir)
        return fail_errno(out_dir);
    for (struct dirent *e; !foreign && (e = readdir(dir)) != NULL;)
        foreign = !fnmatch("*.frag", e->d_name, 0) && is_own_file(e->d_name, SL_CONVERT_SPENT) &&
                  is_foreign(w, e->d_name);
    closedir(dir);
    return foreign ? sl_fail(SL_ERR_USAGE, "choose another directory, or start over with --force",
                             "%s: holds a conversion of another model or format", out_dir)
                   : 0;
}

bool sl_convert_is_finished(const struct sl_convert_work *w, uint32_t part, struct sl_fragment *out)
{
    char name[SL_PART_NAME_MAX], path[PATH_MAX];
    struct stat st;
    sl_part_file_name(&w->m.layout, part, name);
    return sl_fragment_read(out, w->params->out_dir, &w->m.layout, part, w->m.hash) &&
           out->identity == w->m.identity && !sl_path_join(path, w->params->out_dir, name) &&
           !stat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == out->bytes;
}

/* ---- space ---------------------------------------------------------------------------------- */

int sl_convert_find_space(const struct sl_convert_work *w, struct sl_convert_space *out)
{
    char path[PATH_MAX];
    struct statvfs fs;
    int err = find_existing(w->params->out_dir, path);
    if (err)
        return err;
    if (statvfs(path, &fs))
        return fail_errno(path);
    *out =
        (struct sl_convert_space){.have = (uint64_t)fs.f_bavail * fs.f_frsize, .todo = SPARE_BYTES};
    for (uint32_t p = 0; p <= w->m.layout.n_part; p++) {
        struct sl_fragment f;
        if (!sl_convert_is_finished(w, p, &f))
            out->todo += p < w->m.layout.n_part ? w->m.layout.part_bytes[p] : w->m.tensors_bytes;
    }
    return 0;
}

int sl_convert_check_space(const struct sl_convert_work *w, const struct sl_convert_space *space)
{
    const uint64_t mib = 1 << 20;
    if (space->have >= space->todo)
        return 0;
    return sl_fail(SL_ERR_IO, "free some space or choose another disk",
                   "%s: the conversion needs %llu MiB, the disk has %llu MiB free",
                   w->params->out_dir, (unsigned long long)((space->todo + mib - 1) / mib),
                   (unsigned long long)(space->have / mib));
}
