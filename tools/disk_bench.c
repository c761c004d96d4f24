/* SPDX-License-Identifier: Apache-2.0 */
/* build/disk_bench DIR [WINDOW [uring|threads [direct|buffered]]]: rates of reading the experts of
 * a converted model from disk. docs/measurements.md, reading from disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/disk_rate.h"

static int measure(struct sl_disk_rate_params *p, bool in_turn)
{
    struct sl_disk_rate r;
    p->in_turn = in_turn;
    if (sl_disk_rate(&r, p)) {
        fprintf(stderr, "error: %s\n", sl_error_message());
        return 1;
    }
    if (!in_turn)
        printf("%s, %u pieces of %u KiB; at open: direct %.2f GB/s, buffered %.2f GB/s, used: %s; "
               "open %.2f s\n",
               r.reader.kind, r.reader.depth, r.reader.piece_bytes >> 10,
               r.reader.direct_rate * 1e-9, r.reader.buffered_rate * 1e-9,
               r.reader.direct ? "direct" : "buffered", r.open_s);
    printf("%u at a time, %s: experts %.2f GB/s, reader alone %.2f GB/s, ratio %.3f\n", r.window,
           in_turn ? "one window after the other" : "sliding", r.experts * 1e-9, r.raw * 1e-9,
           r.ratio);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: disk_bench DIR [WINDOW [uring|threads [direct|buffered]]]\n");
        return 2;
    }
    struct sl_disk_rate_params p = {.dir = argv[1]};
    if (argc > 2)
        p.window = (unsigned)atoi(argv[2]);
    if (argc > 3)
        p.stream.reader = strcmp(argv[3], "threads") ? SL_READER_URING : SL_READER_THREADS;
    if (argc > 4)
        p.stream.direct = strcmp(argv[4], "buffered") ? SL_DIRECT_ON : SL_DIRECT_OFF;
    const int err = measure(&p, false);
    return err ? err : measure(&p, true);
}
