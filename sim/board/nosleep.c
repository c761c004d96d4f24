/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsl_nosleep.so, preloaded into the process that holds an emulated card: XRT's hardware
 * emulation pauses for whole seconds while it loads, waits and closes, which nothing but habit asks
 * for. A sleep() that one of XRT's libraries calls ends when the board says that a launch is over,
 * and after 150 us at the latest; shortly behind the end, when the answer is on its way to
 * the thread that waits for it, it takes 10 us. All other sleep()s stay as they are.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shown.h"

enum { NAP_NS = 10000, LONGEST_NS = 150000, SOON_NS = 60000 };

/* The board's page; zeros where there is none. */
static _Atomic(const struct board_shown *) shown;
static const struct board_shown none;

/* Timers of this process and of its threads are exact: a nap is no longer than it says. */
__attribute__((constructor)) static void be_exact(void)
{
    prctl(PR_SET_TIMERSLACK, 1);
}

static const struct board_shown *find_shown(void)
{
    const struct board_shown *at = atomic_load(&shown);
    if (at)
        return at;
    const char *path = getenv("SLUICE_BOARD_SHOWN");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = MAP_FAILED;
    if (fd >= 0) {
        map = mmap(NULL, sizeof *at, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    at = map == MAP_FAILED ? &none : map;
    atomic_store(&shown, at);
    return at;
}

static void pause_shortly(void)
{
    const struct timespec nap = {0, NAP_NS}, longest = {0, LONGEST_NS};
    const struct board_shown *at = find_shown();
    const uint32_t n = __atomic_load_n(&at->n_end, __ATOMIC_ACQUIRE);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (at == &none || now - at->end_ns < SOON_NS)
        nanosleep(&nap, NULL);
    else
        syscall(SYS_futex, &at->n_end, FUTEX_WAIT, n, &longest, NULL, 0);
}

__attribute__((visibility("default"))) unsigned sleep(unsigned seconds);
unsigned sleep(unsigned seconds)
{
    Dl_info caller;
    struct timespec left = {(time_t)seconds, 0};
    if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname &&
        strstr(caller.dli_fname, "/libxrt_")) {
        pause_shortly();
        return 0;
    }
    return nanosleep(&left, &left) ? (unsigned)left.tv_sec : 0;
}
