/* SPDX-License-Identifier: Apache-2.0 */
#include "card/remote_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

enum {
    GONE_MS = 2000,
    MOVED_FD = 32, /* above the numbers that the process gets */
    PATH_CAP = 256
};

/* ---- environment ---------------------------------------------------------------------------- */

static bool is_set(char *const *env, const char *entry)
{
    const size_t len = strcspn(entry, "=") + 1;
    for (; env && *env; env++)
        if (!strncmp(*env, entry, len))
            return true;
    return false;
}

/* The program's environment with `top` on it; NULL: no memory. Free the array only. */
static char **environment(char *const *top)
{
    size_t n = 0, total = 0, mine = 0;
    while (environ[total])
        total++;
    while (top && top[mine])
        mine++;
    char **env = sl_alloc(total + mine + 1, sizeof *env);
    if (!env)
        return NULL;
    for (; n < mine; n++)
        env[n] = top[n];
    for (size_t i = 0; i < total; i++)
        if (!is_set(top, environ[i]))
            env[n++] = environ[i];
    return env;
}

/* ---- start ---------------------------------------------------------------------------------- */

/* What it inherits: descriptors in this process. */
struct theirs {
    int socket[SL_REMOTE_LANES], window;
};

static void add_descriptors(posix_spawn_file_actions_t *actions, const struct sl_remote_start *s,
                            const struct theirs *t)
{
    char log[PATH_CAP] = "/dev/null";
    if (s->dir)
        snprintf(log, sizeof log, "%s/host.log", s->dir);
    posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(actions, 1, 2);
    for (int i = 0; i < SL_REMOTE_LANES; i++)
        posix_spawn_file_actions_adddup2(actions, t->socket[i], SL_REMOTE_SOCKET + i);
    posix_spawn_file_actions_adddup2(actions, t->window, SL_REMOTE_WINDOW);
    if (s->dir)
        posix_spawn_file_actions_addchdir_np(actions, s->dir);
}

static int spawn(struct sl_remote_process *p, const struct sl_remote_start *s,
                 const struct theirs *t)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    char **env = environment(s->env);
    if (!env)
        return SL_ERR_NOMEM;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    add_descriptors(&actions, s, t);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    const int failed = posix_spawn(&p->pid, s->argv[0], &actions, &attr, s->argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    free(env);
    if (!failed)
        return 0;
    p->pid = 0;
    return sl_fail(SL_ERR_IO, "make", "cannot start %s: %s", s->argv[0], strerror(failed));
}

/* Moves a descriptor out of the way of those that the process gets. -1: there are too many. */
static int move(int fd)
{
    const int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, MOVED_FD);
    if (fd >= 0)
        close(fd);
    return moved;
}

static bool make_descriptors(struct sl_remote_process *p, struct theirs *t)
{
    bool good = true;
    for (int i = 0; i < SL_REMOTE_LANES; i++) {
        int pair[2] = {-1, -1};
        good = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 && good;
        p->socket[i] = pair[0];
        t->socket[i] = move(pair[1]);
        good = good && t->socket[i] >= 0;
    }
    t->window = move(memfd_create("sluice-window", MFD_CLOEXEC));
    if (!good || t->window < 0 || ftruncate(t->window, SL_REMOTE_WINDOW_BYTES))
        return false;
    void *shared =
        mmap(NULL, SL_REMOTE_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t->window, 0);
    p->window = shared == MAP_FAILED ? NULL : shared;
    return p->window;
}

int sl_remote_process_open(struct sl_remote_process *out, const struct sl_remote_start *start)
{
    struct theirs t;
    *out = (struct sl_remote_process){0};
    int err = make_descriptors(out, &t) ? spawn(out, start, &t)
                                        : sl_fail(SL_ERR_IO, "close other programs",
                                                  "no descriptors for %s", start->argv[0]);
    for (int i = 0; i < SL_REMOTE_LANES; i++)
        if (t.socket[i] >= 0)
            close(t.socket[i]);
    if (t.window >= 0)
        close(t.window);
    return err;
}

/* ---- end ------------------------------------------------------------------------------------ */

void sl_remote_process_end(struct sl_remote_process *p)
{
    const struct timespec pause = {0, 1000000};
    if (!p->pid)
        return;
    kill(-p->pid, SIGKILL);
    for (unsigned ms = 0; ms < GONE_MS; ms++) {
        if (waitpid(p->pid, NULL, WNOHANG) != 0)
            break;
        nanosleep(&pause, NULL);
    }
    p->pid = 0;
}

void sl_remote_process_close(struct sl_remote_process *p)
{
    sl_remote_process_end(p);
    for (int i = 0; i < SL_REMOTE_LANES; i++)
        if (p->socket[i] > 0)
            close(p->socket[i]);
    if (p->window)
        munmap(p->window, SL_REMOTE_WINDOW_BYTES);
    *p = (struct sl_remote_process){0};
}
