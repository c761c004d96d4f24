/* SPDX-License-Identifier: Apache-2.0 */
#include "npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"

/* Fixed, so that the header can be written last: room for two numbers of 20 digits. */
enum { HEADER = 128, PREFIX = 10 };

static int fail_write(const char *path)
{
    return sl_cli_error(SL_ERR_IO, "check the path, its permissions and the free space", "%s: %s",
                        path, strerror(errno));
}

int sl_npy_open(struct sl_npy *npy, const char *path, uint64_t n_col)
{
    struct stat st;
    *npy = (struct sl_npy){.n_col = n_col};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return sl_cli_error(SL_ERR_IO, "name a new file", "%s: exists and is not a regular file",
                            path);
    npy->path = strdup(path);
    if (!npy->path || asprintf(&npy->temp, "%s.%ld.part", path, (long)getpid()) < 0) {
        npy->temp = NULL;
        return sl_cli_error(SL_ERR_NOMEM, NULL, "%s: out of memory", path);
    }
    npy->f = fopen(npy->temp, "wbxe");
    char blank[HEADER] = {0};
    if (!npy->f || fwrite(blank, 1, HEADER, npy->f) != HEADER)
        return fail_write(npy->temp);
    return SL_EXIT_OK;
}

int sl_npy_append(struct sl_npy *npy, const float *rows, uint64_t n_row)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little endian: '<f4'");
    size_t n = (size_t)(n_row * npy->n_col);
    if (fwrite(rows, sizeof *rows, n, npy->f) != n)
        return fail_write(npy->temp);
    npy->n_row += n_row;
    return SL_EXIT_OK;
}

/* NumPy's format 1.0: magic, version, u16 length, a Python dict, blanks, newline; 64-byte aligned.
 */
static void make_header(const struct sl_npy *npy, char header[HEADER])
{
    memset(header, ' ', HEADER);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(HEADER - PREFIX);
    header[9] = 0;
    int n = snprintf(header + PREFIX, HEADER - PREFIX,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu), }",
                     (unsigned long long)npy->n_row, (unsigned long long)npy->n_col);
    header[PREFIX + n] = ' '; /* in place of snprintf's NUL */
    header[HEADER - 1] = '\n';
}

int sl_npy_commit(struct sl_npy *npy)
{
    char header[HEADER];
    make_header(npy, header);
    if (fseek(npy->f, 0, SEEK_SET) || fwrite(header, 1, HEADER, npy->f) != HEADER ||
        fflush(npy->f) || fsync(fileno(npy->f)))
        return fail_write(npy->temp);
    int closed = fclose(npy->f);
    npy->f = NULL;
    if (closed || rename(npy->temp, npy->path))
        return fail_write(npy->path);
    free(npy->temp);
    npy->temp = NULL;
    return SL_EXIT_OK;
}

void sl_npy_close(struct sl_npy *npy)
{
    if (npy->f)
        fclose(npy->f);
    if (npy->temp)
        unlink(npy->temp);
    free(npy->temp);
    free(npy->path);
    memset(npy, 0, sizeof *npy);
}
