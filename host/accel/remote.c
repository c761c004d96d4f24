/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel/emulation.h"
#include "accel/opencl.h"
#include "accel/remote_options.h"
#include "accel/remote_wire.h"
#include "accel/sim.h"
#include "base/err.h"
#include "base/file.h"

enum {
    OPEN_MS = 60000, /* a card takes seconds to load its design */
    TRANSFER_MS = 60000,
    CLOSE_MS = 30000,
    LAUNCH_SLACK_MS = 1000, /* the runtime's own deadline comes first */
    GONE_MS = 2000,
    MOVED_FD = 10,
    MAX_WORD = 8, /* of the process's command */
    WINDOW = SL_REMOTE_PLACES * SL_REMOTE_PLACE_BEATS * SL_BEAT_BYTES
};

struct remote {
    struct sl_device base;
    struct sl_remote_options options;
    struct sl_emulation emulation;
    bool emulated;
    pid_t pid;       /* 0: no process */
    int socket;      /* -1: none */
    uint8_t *window; /* shared with the process */
    bool lost;       /* an earlier call failed for good: close() is all that is left */
};

/* ---- the process ---------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* With everything that the runtime started: they are one session. */
static void end_process(struct remote *r)
{
    const struct timespec pause = {0, 1000000};
    if (!r->pid)
        return;
    kill(-r->pid, SIGKILL);
    for (unsigned ms = 0; ms < GONE_MS; ms++) {
        if (waitpid(r->pid, NULL, WNOHANG) != 0)
            break;
        nanosleep(&pause, NULL);
    }
    r->pid = 0;
}

/* Its own end, in which the runtime writes what it has counted. */
static void wait_end(const struct remote *r)
{
    struct pollfd end = {.fd = r->socket};
    poll(&end, 1, CLOSE_MS);
}

/* The last line that the process printed. */
static void last_words(const struct remote *r, char *out, unsigned cap)
{
    char path[SL_EMULATION_PATH], line[400];
    out[0] = 0;
    if (!r->emulated)
        return;
    snprintf(path, sizeof path, "%s/host.log", r->emulation.dir);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0])
            snprintf(out, cap, ": %.280s", line);
    }
    if (file)
        fclose(file);
}

static int lose(struct remote *r, int err, const char *what)
{
    char why[300] = "", complaint[256];
    r->lost = true;
    if (r->emulated)
        sl_emulation_complaint(&r->emulation, complaint, sizeof complaint);
    if (r->emulated && complaint[0])
        snprintf(why, sizeof why, ": %s", complaint);
    else
        last_words(r, why, sizeof why);
    end_process(r);
    return sl_fail((enum sl_err)err,
                   "open the device again; --on-device-error cpu goes on without it",
                   "device %s: %s%s", r->base.name, what, why);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The process's or the board's end, an answer, or the deadline: whichever comes first. */
static int wait_answer(struct remote *r, struct sl_remote_answer *a, unsigned deadline_ms)
{
    const uint64_t end = now_ms() + deadline_ms;
    for (;;) {
        struct pollfd fd[2] = {{.fd = r->socket, .events = POLLIN},
                               {.fd = r->emulated ? r->emulation.life : -1}};
        const uint64_t now = now_ms();
        const int n = poll(fd, 2, now < end ? (int)(end - now) : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0 && fd[0].revents & POLLIN) {
            if (recv(r->socket, a, sizeof *a, 0) == (ssize_t)sizeof *a)
                return 0;
            return lose(r, SL_ERR_DEVICE, "its process ended");
        }
        if (n > 0 && fd[0].revents)
            return lose(r, SL_ERR_DEVICE, "its process ended");
        if (n > 0 && fd[1].revents)
            return lose(r, SL_ERR_DEVICE, "the emulated card ended");
        if (n <= 0)
            return lose(r, SL_ERR_TIMEOUT, "no answer before the deadline");
    }
}

static int send_call(struct remote *r, const struct sl_remote_call *c)
{
    if (r->lost)
        return sl_fail(SL_ERR_DEVICE, "open the device again", "device %s: an earlier call failed",
                       r->base.name);
    if (send(r->socket, c, sizeof *c, MSG_NOSIGNAL) != (ssize_t)sizeof *c)
        return lose(r, SL_ERR_DEVICE, "its process ended");
    return 0;
}

static int take_answer(struct remote *r, unsigned deadline_ms)
{
    struct sl_remote_answer a;
    int err = wait_answer(r, &a, deadline_ms);
    if (err)
        return err;
    if (a.err)
        return sl_fail((enum sl_err)a.err, a.hint[0] ? a.hint : NULL, "%s", a.text);
    return 0;
}

static int call(struct remote *r, const struct sl_remote_call *c, unsigned deadline_ms)
{
    int err = send_call(r, c);
    return err ? err : take_answer(r, deadline_ms);
}

/* ---- operations ----------------------------------------------------------------------------- */

static int remote_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sl_remote_call c = {.op = SL_REMOTE_ALLOC, .off = ctl_beats, .n = w_beats};
    return call((struct remote *)dev, &c, TRANSFER_MS);
}

static uint8_t *place(struct remote *r, uint32_t i)
{
    return r->window + (size_t)i * SL_REMOTE_PLACE_BEATS * SL_BEAT_BYTES;
}

static struct sl_remote_call part(enum sl_remote_op op, int arena, uint32_t off, uint32_t n_beats,
                                  uint32_t done)
{
    const uint32_t left = n_beats - done;
    return (struct sl_remote_call){.op = op,
                                   .off = off + done,
                                   .n = left < SL_REMOTE_PLACE_BEATS ? left : SL_REMOTE_PLACE_BEATS,
                                   .arena = arena,
                                   .place = done / SL_REMOTE_PLACE_BEATS % SL_REMOTE_PLACES};
}

/* Up to SL_REMOTE_PLACES parts are on their way; after an error their answers are still taken. */
static int remote_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                        uint32_t n_beats)
{
    struct remote *r = (struct remote *)dev;
    unsigned open = 0;
    int err = 0;
    for (uint32_t done = 0; done < n_beats && !err;) {
        const struct sl_remote_call c = part(SL_REMOTE_WRITE, arena, off, n_beats, done);
        if (open == SL_REMOTE_PLACES) {
            open--;
            if ((err = take_answer(r, TRANSFER_MS)))
                break;
        }
        memcpy(place(r, c.place), (const uint8_t *)src + (size_t)done * SL_BEAT_BYTES,
               (size_t)c.n * SL_BEAT_BYTES);
        if (!(err = send_call(r, &c)))
            open++;
        done += c.n;
    }
    for (; open && !r->lost; open--) {
        const int late = take_answer(r, TRANSFER_MS);
        err = err ? err : late;
    }
    return err;
}

static int remote_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct remote *r = (struct remote *)dev;
    for (uint32_t done = 0; done < n_beats;) {
        const struct sl_remote_call c = part(SL_REMOTE_READ, arena, off, n_beats, done);
        int err = call(r, &c, TRANSFER_MS);
        if (err)
            return err;
        memcpy((uint8_t *)dst + (size_t)done * SL_BEAT_BYTES, place(r, c.place),
               (size_t)c.n * SL_BEAT_BYTES);
        done += c.n;
    }
    return 0;
}

static int remote_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job,
                         unsigned deadline_ms)
{
    struct sl_remote_call c = {.op = SL_REMOTE_LAUNCH,
                               .off = job_off,
                               .n = n_job,
                               .deadline_ms = deadline_ms,
                               .ctl_limit = dev->ctl_beats,
                               .w_limit = dev->w_beats};
    return call((struct remote *)dev, &c, deadline_ms + LAUNCH_SLACK_MS);
}

/* Of an emulated card: the board's own. OpenCL may have taken another platform, and no board. */
static int remote_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    const struct remote *r = (struct remote *)dev;
    if (!r->emulation.counters->launches)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "device %s counts no cycles", dev->name);
    sl_sim_device_counters(out, r->emulation.counters, dev->n_port, r->options.memory);
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void keep_summary(const struct remote *r)
{
    char command[SL_EMULATION_PATH];
    char *text;
    size_t size;
    snprintf(command, sizeof command, "%s/summary.csv", r->emulation.dir);
    if (sl_file_read(&text, &size, command, 64 << 20))
        return;
    FILE *out = fopen(r->options.summary, "w");
    if (out) {
        fwrite(text, 1, size, out);
        fclose(out);
    }
    free(text);
}

static void remote_close(struct sl_device *dev)
{
    struct remote *r = (struct remote *)dev;
    struct sl_remote_call c = {.op = SL_REMOTE_CLOSE};
    struct sl_remote_answer a;
    /* The board leaves before the process does. */
    const int life = r->emulation.life;
    r->emulation.life = -1;
    if (r->pid && !r->lost && send(r->socket, &c, sizeof c, MSG_NOSIGNAL) == (ssize_t)sizeof c &&
        wait_answer(r, &a, CLOSE_MS) == 0 && r->options.summary[0])
        wait_end(r);
    r->emulation.life = life;
    end_process(r);
    if (r->emulated && r->options.summary[0])
        keep_summary(r);
    if (r->socket >= 0)
        close(r->socket);
    if (r->window)
        munmap(r->window, WINDOW);
    if (r->emulated)
        sl_emulation_close(&r->emulation);
    free(r);
}

static const struct sl_device_ops remote_ops = {.alloc = remote_alloc,
                                                .write = remote_write,
                                                .read = remote_read,
                                                .launch = remote_launch,
                                                .close = remote_close};
static const struct sl_device_ops emulated_ops = {.alloc = remote_alloc,
                                                  .write = remote_write,
                                                  .read = remote_read,
                                                  .launch = remote_launch,
                                                  .close = remote_close,
                                                  .counters = remote_counters};

/* The program's environment with the emulation's on top; NULL: no memory. Free the array only. */
static char **environment(const struct remote *r)
{
    size_t n = 0, total = 0;
    while (environ[total])
        total++;
    char **env = sl_alloc(total + SL_EMULATION_ENV + 1, sizeof *env);
    if (!env)
        return NULL;
    for (unsigned i = 0; r->emulated && r->emulation.env[i]; i++)
        env[n++] = r->emulation.env[i];
    const size_t mine = n;
    for (size_t i = 0; i < total; i++) {
        const size_t len = strcspn(environ[i], "=") + 1;
        bool hidden = false;
        for (size_t k = 0; k < mine; k++)
            hidden = hidden || !strncmp(env[k], environ[i], len);
        if (!hidden)
            env[n++] = environ[i];
    }
    return env;
}

static int spawn(struct remote *r, char *const *argv, int socket, int window)
{
    char log[SL_EMULATION_PATH] = "/dev/null";
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    char **env = environment(r);
    if (!env)
        return SL_ERR_NOMEM;
    if (r->emulated)
        snprintf(log, sizeof log, "%s/host.log", r->emulation.dir);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_adddup2(&actions, socket, SL_REMOTE_SOCKET);
    posix_spawn_file_actions_adddup2(&actions, window, SL_REMOTE_WINDOW);
    if (r->emulated)
        posix_spawn_file_actions_addchdir_np(&actions, r->emulation.dir);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    const int failed = posix_spawn(&r->pid, argv[0], &actions, &attr, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    free(env);
    if (!failed)
        return 0;
    r->pid = 0;
    return sl_fail(SL_ERR_IO, "make", "cannot start %s: %s", argv[0], strerror(failed));
}

/* Both ends above the numbers that the process gets. */
static int connect_process(struct remote *r, char *const *argv)
{
    int pair[2], err = SL_ERR_IO;
    const int memory = memfd_create("sluice-window", MFD_CLOEXEC);
    const int window = memory < 0 ? -1 : fcntl(memory, F_DUPFD_CLOEXEC, MOVED_FD);
    if (memory >= 0)
        close(memory);
    if (window < 0 || ftruncate(window, WINDOW) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        if (window >= 0)
            close(window);
        return sl_fail(SL_ERR_IO, NULL, "device %s: no descriptors left", r->base.name);
    }
    const int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, MOVED_FD);
    void *shared = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, window, 0);
    r->socket = pair[0];
    r->window = shared == MAP_FAILED ? NULL : shared;
    if (theirs >= 0 && r->window)
        err = spawn(r, argv, theirs, window);
    else
        err = sl_fail(SL_ERR_NOMEM, NULL, "device %s: no memory for its window", r->base.name);
    close(pair[1]);
    close(window);
    if (theirs >= 0)
        close(theirs);
    return err;
}

static int start(struct remote *r, const char *const *words)
{
    char program[4096], folder[4000];
    char *argv[MAX_WORD + 2] = {program};
    struct sl_remote_answer a;
    int err = 0;
    sl_program_folder(folder, sizeof folder);
    snprintf(program, sizeof program, "%s/sl_device_host", folder);
    for (unsigned i = 0; words[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    if (access(program, X_OK))
        return sl_fail(SL_ERR_USAGE, "make", "%s is not built", program);
    if (r->emulated) {
        const struct sl_emulation_params p = {.board = r->options.board,
                                              .helpers = folder,
                                              .no_sleep = !r->options.stock,
                                              .profile = r->options.summary[0]};
        err = sl_emulation_open(&r->emulation, &p);
    }
    err = err ? err : connect_process(r, argv);
    err = err ? err : wait_answer(r, &a, OPEN_MS);
    if (!err && a.err) {
        r->lost = true; /* it ends by itself: closing must not ask it, and lose this reason */
        err = sl_fail((enum sl_err)a.err, a.hint[0] ? a.hint : NULL, "%s", a.text);
    }
    if (!err)
        r->base.n_port = a.n_port;
    return err;
}

/* A command of the process as its words, NULL behind the last. */
struct words {
    const char *word[MAX_WORD + 1];
    char number[4][16];
};

static const char *number(struct words *w, unsigned i, long value)
{
    snprintf(w->number[i], sizeof w->number[i], "%ld", value);
    return w->number[i];
}

static void xrt_words(struct words *w, const struct sl_remote_options *o)
{
    const char *const words[] = {"xrt", number(w, 0, o->index), o->xclbin, number(w, 1, o->timeout),
                                 NULL};
    memcpy(w->word, words, sizeof words);
}

static void opencl_words(struct words *w, const struct sl_remote_options *o)
{
    const char *const words[] = {"opencl",
                                 number(w, 0, o->platform),
                                 number(w, 1, o->index),
                                 o->xclbin,
                                 number(w, 2, o->timeout),
                                 o->source,
                                 number(w, 3, o->n_port ? o->n_port : 1),
                                 NULL};
    memcpy(w->word, words, sizeof words);
}

static int open_remote(struct sl_device **out, const char *backend, const char *arg,
                       void (*command)(struct words *w, const struct sl_remote_options *o))
{
    struct words words;
    struct remote *r = sl_alloc(1, sizeof *r);
    if (!r)
        return SL_ERR_NOMEM;
    r->socket = r->emulation.life = -1;
    r->base.ops = &remote_ops;
    snprintf(r->base.name, sizeof r->base.name, "%s", backend);
    int err = sl_remote_options_parse(&r->options, backend, arg, &r->emulated);
    command(&words, &r->options);
    err = err ? err : start(r, words.word);
    r->base.deadline_ms = r->options.deadline_ms;
    r->base.ops = r->emulated ? &emulated_ops : &remote_ops;
    if (err) {
        remote_close(&r->base);
        return err;
    }
    *out = &r->base;
    return 0;
}

int sl_xrt_device_open(struct sl_device **out, const char *arg)
{
    return open_remote(out, "xrt", arg, xrt_words);
}

int sl_opencl_device_open(struct sl_device **out, const char *arg)
{
    return open_remote(out, "opencl", arg, opencl_words);
}
