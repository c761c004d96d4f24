/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pieces.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

int sl_pieces_open(struct sl_pieces *out, const char *const *path, size_t n)
{
    struct sl_pieces p = {.piece = sl_alloc(n, sizeof *p.piece),
                          .first = sl_alloc(n, sizeof *p.first),
                          .joined = sl_alloc(n, sizeof *p.joined)};
    int err = p.piece && p.first && p.joined ? 0 : SL_ERR_NOMEM;
    for (; !err && p.n < n; p.n += !err) {
        p.first[p.n] = p.size;
        err = sl_mapping_open(&p.piece[p.n], path[p.n]);
        p.size += err ? 0 : p.piece[p.n].size;
    }
    if (err)
        sl_pieces_close(&p);
    else
        *out = p;
    return err;
}

void sl_pieces_close(struct sl_pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        sl_mapping_close(&p->piece[i]);
    for (size_t i = 0; i < p->n_joined; i++)
        sl_mapping_close(&p->joined[i]);
    free(p->piece);
    free(p->first);
    free(p->joined);
    *p = (struct sl_pieces){0};
}

/* Copies bytes that begin in piece i. */
static int copy_across(const struct sl_pieces *p, size_t i, uint64_t at, struct sl_mapping part,
                       int fd)
{
    for (uint64_t done = 0; done < part.size; i++) {
        uint64_t skip = at + done - p->first[i], n = p->piece[i].size - skip;
        n = n < part.size - done ? n : part.size - done;
        for (uint64_t w = 0; w < n;) {
            ssize_t got = write(fd, p->piece[i].data + skip + w, n - w);
            if (got <= 0)
                return -1;
            w += (uint64_t)got;
        }
        done += n;
    }
    return 0;
}

/* In a file without a name: pages that sl_mapping_release gives back come again from it. */
static int join(struct sl_pieces *p, size_t i, uint64_t at, uint64_t size, const uint8_t **out)
{
    struct sl_mapping m = {NULL, (size_t)size};
    int fd = memfd_create("pieces", MFD_CLOEXEC);
    void *data = MAP_FAILED;
    if (fd >= 0 && !copy_across(p, i, at, m, fd))
        data = mmap(NULL, m.size, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (data == MAP_FAILED)
        return sl_fail(SL_ERR_NOMEM, "join the pieces with cat",
                       "no memory for %llu bytes that lie across two pieces",
                       (unsigned long long)size);
    m.data = data;
    p->joined[p->n_joined++] = m;
    *out = data;
    return 0;
}

/* Ranges do not overlap, so each cut but the last piece's end is crossed once, and at most by the
 * header and one tensor: n copies are enough. */
int sl_pieces_view(struct sl_pieces *p, uint64_t at, uint64_t size, const uint8_t **out)
{
    size_t i = p->n - 1;
    while (i > 0 && p->first[i] > at)
        i--;
    uint64_t skip = at - p->first[i];
    if (size <= p->piece[i].size - skip) {
        *out = p->piece[i].data ? p->piece[i].data + skip : NULL;
        return 0;
    }
    return join(p, i, at, size, out);
}
