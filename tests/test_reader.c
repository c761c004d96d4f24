/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/reader.h"
#include "store_rig.h"
#include "test_main.h"

enum { WAIT_MS = 20000, PIECE = 64 << 10, N_FILE_BYTES = 3000064 };

/* Both kinds in turn, where there are two. */
static enum sl_reader_kind kind_of(size_t turn)
{
    return turn % 2 == 0 && rig_has_uring() ? SL_READER_URING : SL_READER_THREADS;
}
static const enum sl_reader_direct ways[] = {SL_DIRECT_ON, SL_DIRECT_OFF};

/* A file of bytes that say where they are. */
static uint8_t *make_file(const char *path, size_t n)
{
    uint8_t *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)((i * 2654435761u) >> 24 ^ i);
    rig_write(path, data, n);
    return data;
}

static struct sl_reader *open_reader(enum sl_reader_kind kind, enum sl_reader_direct direct,
                                     const char *path)
{
    const struct sl_reader_params p = {.kind = kind,
                                       .direct = direct,
                                       .n_read = 8,
                                       .max_bytes = 4 << 20,
                                       .n_file = 2,
                                       .piece_bytes = PIECE,
                                       .depth = 4};
    struct sl_reader *r = NULL;
    uint32_t file;
    uint64_t bytes;
    CU_ASSERT_EQUAL_FATAL(sl_reader_open(&r, &p), 0);
    CU_ASSERT_EQUAL_FATAL(sl_reader_add_file(r, path, &file, &bytes), 0);
    CU_ASSERT_EQUAL(file, 0);
    return r;
}

struct place {
    uint64_t offset, bytes;
};

/* Pieces and parts of them, tails that end anywhere, the file's own end. */
static const struct place places[] = {
    {0, 1},       {4096, 4096},       {0, PIECE},         {8192, PIECE + 64},
    {0, 2999999}, {4096 * 10, 77777}, {4096 * 732, 1792}, {4096 * 200, 2180864},
};
enum { N_PLACE = sizeof places / sizeof places[0] };

static void read_places(enum sl_reader_kind kind, enum sl_reader_direct way)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    uint8_t *data = make_file(path, N_FILE_BYTES), *dst[N_PLACE];
    uint32_t handle[N_PLACE];
    struct sl_reader *r = open_reader(kind, way, path);
    for (size_t i = 0; i < N_PLACE; i++) {
        const size_t room = (places[i].bytes + SL_READ_ALIGN - 1) / SL_READ_ALIGN * SL_READ_ALIGN;
        dst[i] = sl_alloc_aligned(SL_READ_ALIGN, room + SL_READ_ALIGN);
        memset(dst[i], 0xA5, room + SL_READ_ALIGN);
        const struct sl_read read = {0,      places[i].offset, places[i].bytes,
                                     dst[i], i != 1,           i % 3 == 2};
        CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle[i]), 0);
    }
    for (size_t i = N_PLACE; i-- > 0;) {
        uint64_t hash = 0;
        const uint8_t *want = data + places[i].offset;
        CU_ASSERT_EQUAL(sl_reader_wait(r, handle[i], WAIT_MS, &hash), 0);
        CU_ASSERT_EQUAL(memcmp(dst[i], want, places[i].bytes), 0);
        if (i != 1)
            CU_ASSERT_EQUAL(hash, XXH3_64bits(want, places[i].bytes));
        const size_t room = (places[i].bytes + SL_READ_ALIGN - 1) / SL_READ_ALIGN * SL_READ_ALIGN;
        for (size_t j = 0; j < SL_READ_ALIGN; j++)
            if (dst[i][room + j] != 0xA5) {
                CU_FAIL("written behind the buffer");
                break;
            }
        free(dst[i]);
    }
    sl_reader_close(&r);
    free(data);
}

static void test_places(void)
{
    for (size_t k = 0; k < 2; k++)
        for (size_t w = 0; w < 2; w++)
            read_places(kind_of(k), ways[w]);
}

/* Files that became shorter while they were open. */
static void test_short_file(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, N_FILE_BYTES / 4096 * 4096 + 4096);
    for (size_t k = 0; k < 2; k++) {
        for (size_t w = 0; w < 2; w++) {
            free(make_file(path, N_FILE_BYTES));
            struct sl_reader *r = open_reader(kind_of(k), ways[w], path);
            uint32_t handle;
            CU_ASSERT_EQUAL(truncate(path, 1000001), 0);
            const struct sl_read all = {0, 0, N_FILE_BYTES, dst, true, false},
                                 front = {0, 0, 1000001, dst, true, false};
            CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &all, &handle), 0);
            CU_ASSERT_EQUAL(sl_reader_wait(r, handle, WAIT_MS, NULL), SL_ERR_IO);
            CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "ends before byte 3000064"));
            CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), path));
            /* What is still there can be read after that. */
            CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &front, &handle), 0);
            CU_ASSERT_EQUAL(sl_reader_wait(r, handle, WAIT_MS, NULL), 0);
            sl_reader_close(&r);
        }
    }
    free(dst);
}

/* The kernel refuses memory that is not there: an error of the read, not of the process. */
static void test_errors(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, N_FILE_BYTES));
    for (size_t k = 0; k < 2; k++) {
        struct sl_reader *r = open_reader(kind_of(k), SL_DIRECT_OFF, path);
        uint32_t handle;
        const struct sl_read read = {0, 0, N_FILE_BYTES, (void *)(uintptr_t)4096, false, false};
        CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle), 0);
        CU_ASSERT_EQUAL(sl_reader_wait(r, handle, WAIT_MS, NULL), SL_ERR_IO);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "cannot be read"));
        uint32_t file;
        CU_ASSERT_EQUAL(sl_reader_add_file(r, rig_join(dir, "none"), &file, NULL), SL_ERR_IO);
        CU_ASSERT_EQUAL(sl_reader_add_file(r, dir, &file, NULL), SL_ERR_IO);
        sl_reader_close(&r);
    }
}

/* A pipe with nothing in it stands for a disk that does not answer. The reader would not open one,
 * so the file's descriptor is replaced behind its back. */
static void test_deadline(void)
{
    if (!rig_has_uring()) { /* threads do not read pipes at an offset */
        CU_PASS("no io_uring here");
        return;
    }
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, N_FILE_BYTES));
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, 1 << 20);
    struct sl_reader *r = open_reader(SL_READER_URING, SL_DIRECT_OFF, path);
    int silent[2];
    const int fd = rig_descriptor(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(pipe(silent), 0);
    CU_ASSERT_EQUAL_FATAL(dup2(silent[0], fd), fd);
    uint32_t handle;
    size_t index;
    const struct sl_read read = {0, 0, 4096, dst, false, false};
    CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle), 0);
    const uint64_t begin = sl_now_ms();
    CU_ASSERT_EQUAL(sl_reader_wait(r, handle, 50, NULL), SL_ERR_TIMEOUT);
    CU_ASSERT(sl_now_ms() - begin >= 50);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "within 50 ms"));
    CU_ASSERT_EQUAL(sl_reader_wait_any(r, &handle, 1, 10, &index), SL_ERR_TIMEOUT);
    CU_ASSERT_FALSE(sl_reader_ready(r, handle));
    CU_ASSERT_EQUAL(sl_reader_cancel(r, handle, 10), SL_ERR_TIMEOUT);
    /* It answers after all: only now does the memory belong to the caller again. */
    CU_ASSERT_EQUAL(write(silent[1], "late", 4), 4);
    CU_ASSERT_EQUAL(sl_reader_cancel(r, handle, WAIT_MS), 0);
    sl_reader_close(&r);
    close(silent[0]);
    close(silent[1]);
    free(dst);
}

/* Closing and giving up with much under way: nothing is written to the memory afterwards. */
static void test_give_up(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, N_FILE_BYTES));
    const size_t room = N_FILE_BYTES / 4096 * 4096 + 4096;
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, room);
    for (unsigned turn = 0; turn < 20; turn++) {
        struct sl_reader *r = open_reader(kind_of(turn), SL_DIRECT_ON, path);
        const struct sl_read read = {0, 0, N_FILE_BYTES, dst, true, false};
        uint32_t handle;
        CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle), 0);
        usleep(turn * 20);
        if (turn % 4 < 2) {
            CU_ASSERT_EQUAL(sl_reader_cancel(r, handle, WAIT_MS), 0);
        } else {
            sl_reader_close(&r);
        }
        memset(dst, 0x5A, room);
        usleep(2000);
        size_t n = 0;
        while (n < room && dst[n] == 0x5A)
            n++;
        CU_ASSERT_EQUAL(n, room);
        sl_reader_close(&r);
    }
    free(dst);
}

/* The lower claim comes behind everything else, until it is raised. */
static void test_claims(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, N_FILE_BYTES));
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, 8 * (3 << 20));
    for (size_t k = 0; k < 2; k++) {
        struct sl_reader *r = open_reader(kind_of(k), SL_DIRECT_OFF, path);
        uint32_t handle[6];
        for (uint32_t i = 0; i < 6; i++) {
            const struct sl_read read = {
                0, 0, N_FILE_BYTES, dst + i * (size_t)(3 << 20), true, i == 1 || i == 2};
            CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle[i]), 0);
        }
        sl_reader_raise(r, handle[1]);
        CU_ASSERT_EQUAL(sl_reader_wait(r, handle[2], WAIT_MS, NULL), 0);
        for (uint32_t i = 0; i < 6; i++) {
            if (i == 2)
                continue;
            CU_ASSERT(sl_reader_ready(r, handle[i]));
            CU_ASSERT_EQUAL(sl_reader_wait(r, handle[i], WAIT_MS, NULL), 0);
        }
        sl_reader_close(&r);
    }
    free(dst);
}

static void test_full(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, N_FILE_BYTES));
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, 9 * 4096);
    struct sl_reader *r = open_reader(SL_READER_AUTO, SL_DIRECT_AUTO, path);
    uint32_t handle[8], extra;
    size_t index;
    for (uint32_t i = 0; i < 8; i++) {
        const struct sl_read read = {0, i * 4096ull, 4096, dst + i * 4096, false, false};
        CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle[i]), 0);
    }
    const struct sl_read more = {0, 0, 64, dst + 8 * 4096, false, false};
    CU_ASSERT_EQUAL(sl_reader_submit(r, &more, &extra), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_reader_wait_any(r, handle, 8, WAIT_MS, &index), 0);
    CU_ASSERT(index < 8 && sl_reader_ready(r, handle[index]));
    CU_ASSERT_EQUAL(sl_reader_wait(r, handle[index], WAIT_MS, NULL), 0);
    CU_ASSERT_EQUAL(sl_reader_submit(r, &more, &extra), 0);
    CU_ASSERT_EQUAL(sl_reader_wait(r, extra, WAIT_MS, NULL), 0);
    sl_reader_close(&r); /* with seven that nobody waited for */
    free(dst);
}

/* From here on this process is refused io_uring, as in many containers. */
static bool forbid_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What a process that is refused sees: bits of what went well. */
static int read_without_uring(const char *path)
{
    struct sl_reader_params p = {
        .kind = SL_READER_URING, .n_read = 1, .max_bytes = 4096, .n_file = 1};
    struct sl_reader *r = NULL;
    struct sl_reader_rates rates = {0};
    uint32_t file, handle;
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, 4096);
    const struct sl_read read = {0, 0, 4096, dst, false, false};
    int good = forbid_uring();
    good |= (sl_reader_open(&r, &p) == SL_ERR_UNSUPPORTED && !r &&
             strstr(sl_error_message(), "io_uring"))
            << 1;
    p.kind = SL_READER_AUTO;
    if (sl_reader_open(&r, &p) || sl_reader_add_file(r, path, &file, NULL))
        return good;
    sl_reader_get_rates(r, &rates);
    good |= !strcmp(rates.kind, "threads") << 2;
    good |= (!sl_reader_submit(r, &read, &handle) && !sl_reader_wait(r, handle, WAIT_MS, NULL))
            << 3;
    sl_reader_close(&r);
    free(dst);
    return good;
}

static void test_refused(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, 4096));
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(read_without_uring(path));
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 15);
}

/* A measurement reports what it measured, changes nothing that was asked for, and leaves the
 * reader as usable as it was. */
static void test_rates(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    const char *path = rig_join(dir, "data");
    free(make_file(path, 5 << 20));
    uint8_t *dst = sl_alloc_aligned(SL_READ_ALIGN, 4096);
    for (size_t w = 0; w < 2; w++) {
        struct sl_reader *r = open_reader(SL_READER_AUTO, ways[w], path);
        struct sl_reader_rates rates;
        sl_reader_get_rates(r, &rates);
        CU_ASSERT_EQUAL(rates.buffered_rate, 0);
        CU_ASSERT_EQUAL(sl_reader_measure(r), 0);
        sl_reader_get_rates(r, &rates);
        CU_ASSERT_EQUAL(rates.direct, ways[w] == SL_DIRECT_ON);
        CU_ASSERT_EQUAL(rates.buffered_rate > 0, ways[w] == SL_DIRECT_ON);
        CU_ASSERT_EQUAL(rates.direct_rate > 0, ways[w] == SL_DIRECT_ON);
        CU_ASSERT_EQUAL(rates.piece_bytes, PIECE);
        uint32_t handle;
        const struct sl_read read = {0, 4096, 4096, dst, false, false};
        CU_ASSERT_EQUAL_FATAL(sl_reader_submit(r, &read, &handle), 0);
        CU_ASSERT_EQUAL(sl_reader_wait(r, handle, WAIT_MS, NULL), 0);
        sl_reader_close(&r);
    }
    free(dst);
}

static const struct sl_case cases[] = {
    {"every byte arrives, at any length, and none behind the buffer", test_places},
    {"a file that became shorter is an error that names it", test_short_file},
    {"what the kernel refuses is an error of that read", test_errors},
    {"a wait ends at its deadline, and the memory stays the reader's", test_deadline},
    {"nothing is written after a cancel or a close", test_give_up},
    {"a read of the lower claim ends behind all others", test_claims},
    {"more reads than were agreed on are refused", test_full},
    {"where io_uring is refused threads read", test_refused},
    {"rates are measured both ways", test_rates},
    {NULL, NULL},
};
const struct sl_suite suite_reader = {"reader", cases};
