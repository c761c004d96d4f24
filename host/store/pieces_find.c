/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/pieces.h"
#include "store/safetensors.h"

enum { MAX_PIECES = 1000, MAX_DIGITS = 4 };

/* One piece's name, taken apart. */
struct name {
    char *text;  /* owned */
    size_t stem; /* length of what all pieces share */
    unsigned number;
};

/* Reads the number behind `at`; false when there is something else. */
static bool read_number(const char *at, unsigned *out)
{
    size_t n = strlen(at);
    if (n == 2 && islower((unsigned char)at[0]) && islower((unsigned char)at[1])) {
        *out = (unsigned)((at[0] - 'a') * 26 + at[1] - 'a');
        return true;
    }
    if (n == 0 || n > MAX_DIGITS || strspn(at, "0123456789") != n)
        return false;
    *out = (unsigned)strtoul(at, NULL, 10);
    return true;
}

static bool parse_name(struct name *out, const char *text)
{
    static const char mark[] = ".safetensors", part[] = "part";
    const char *at = strstr(text, mark);
    if (!at || text[0] == '.' || !sl_is_one_line(text))
        return false;
    at += sizeof mark - 1;
    at += *at && strchr(".-_", *at) ? 1 : 0;
    at += strncmp(at, part, sizeof part - 1) ? 0 : sizeof part - 1;
    out->stem = (size_t)(at - text);
    return read_number(at, &out->number);
}

static int by_number(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Names of pieces in dir, sorted by number; their texts are the caller's to free. */
static int list(struct name *out, size_t *n, const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return sl_fail(SL_ERR_IO, "check the path", "cannot open %s: %s", dir, strerror(errno));
    int err = 0;
    *n = 0;
    for (struct dirent *e; !err && (e = readdir(d)) != NULL;) {
        struct name name;
        if (!parse_name(&name, e->d_name))
            continue;
        name.text = *n < MAX_PIECES ? strdup(e->d_name) : NULL;
        err = name.text ? 0
                        : sl_fail(SL_ERR_FORMAT, "join the pieces with cat",
                                  "%s: more than %d pieces", dir, MAX_PIECES);
        if (!err)
            out[(*n)++] = name;
    }
    closedir(d);
    qsort(out, *n, sizeof *out, by_number);
    return err;
}

/* One set, without holes. */
static int check(const struct name *name, size_t n, const char *dir)
{
    for (size_t i = 0; i < n; i++) {
        unsigned want = name[0].number + (unsigned)i;
        if (name[i].stem != name[0].stem || memcmp(name[i].text, name[0].text, name[0].stem) != 0)
            return sl_fail(SL_ERR_FORMAT, "keep one model in a directory",
                           "%s holds pieces of two files: %.100s and %.100s", dir, name[0].text,
                           name[i].text);
        if (name[0].number > 1 || name[i].number > want)
            return sl_fail(SL_ERR_FORMAT, "download the missing piece",
                           "%s: piece %u of %.*s is missing, %.100s is there", dir,
                           name[0].number > 1 ? 0 : want, (int)name[0].stem, name[0].text,
                           name[i].text);
        if (name[i].number < want)
            return sl_fail(SL_ERR_FORMAT, "remove one of them",
                           "%s: %.100s and %.100s have the same number", dir, name[i - 1].text,
                           name[i].text);
    }
    return 0;
}

/* Pointers, then the texts they point to, in one allocation. */
static int make_paths(const char ***out, const struct name *name, size_t n, const char *dir)
{
    size_t bytes = n * sizeof(char *);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(dir) + strlen(name[i].text) + 2;
    const char **path = sl_alloc(bytes, 1);
    if (!path)
        return SL_ERR_NOMEM;
    char *at = (char *)(path + n);
    for (size_t i = 0; i < n; i++) {
        path[i] = at;
        at += sprintf(at, "%s/%s", dir, name[i].text) + 1;
    }
    *out = path;
    return 0;
}

int sl_pieces_find(const char ***out, size_t *n, const char *dir)
{
    struct name *name = sl_alloc(MAX_PIECES, sizeof *name);
    size_t found = 0;
    *n = 0;
    if (!name)
        return SL_ERR_NOMEM;
    int err = list(name, &found, dir);
    err = err ? err : check(name, found, dir);
    if (!err && found)
        err = make_paths(out, name, found, dir);
    for (size_t i = 0; i < found; i++)
        free(name[i].text);
    free(name);
    *n = err ? 0 : found;
    return err;
}

static bool is_whole(const char *text)
{
    static const char tail[] = ".safetensors";
    size_t n = strlen(text), k = sizeof tail - 1;
    return n > k && text[0] != '.' && !strcmp(text + n - k, tail) && sl_is_one_line(text);
}

int sl_pieces_find_whole(const char ***out, size_t *n, const char *dir)
{
    struct name name = {.text = NULL};
    DIR *d = opendir(dir);
    *n = 0;
    if (!d)
        return sl_fail(SL_ERR_IO, "check the path", "cannot open %s: %s", dir, strerror(errno));
    int err = 0;
    size_t found = 0;
    for (struct dirent *e; !err && (e = readdir(d)) != NULL;)
        if (is_whole(e->d_name) && found++ == 0 && !(name.text = strdup(e->d_name)))
            err = SL_ERR_NOMEM;
    closedir(d);
    if (!err && found == 1)
        err = make_paths(out, &name, 1, dir);
    free(name.text);
    *n = !err && found == 1;
    return err;
}
