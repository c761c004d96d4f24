/* SPDX-License-Identifier: Apache-2.0 */
#include "card/remote.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accel/sim.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/new_file.h"
#include "card/emulation.h"
#include "card/opencl.h"
#include "card/remote_options.h"
#include "card/remote_process.h"
#include "card/remote_wire.h"

enum {
    OPEN_MS = 60000, /* a card takes seconds to load its design */
    TRANSFER_MS = 60000,
    CLOSE_MS = 30000,
    LAUNCH_SLACK_MS = 1000, /* the runtime's own deadline comes first */
    MAX_WORD = 8            /* of the process's command */
};

struct remote {
    struct sl_device base;
    struct sl_remote_options options;
    struct sl_emulation emulation;
    bool emulated;
    struct sl_new_file summary; /* open from the beginning: a bad name is told before the work */
    struct sl_remote_process process;
    unsigned n_open; /* uploads that were not answered yet */
    uint32_t place;  /* of the next one */
    int up_err;      /* the first failure among them */
    /* An earlier call failed for good: close() is all that is left. Two threads may find out at
     * once, one with a launch and one with an upload; one of them ends the process, under `ending`.
     */
    atomic_bool lost;
    pthread_mutex_t ending;
};

/* ---- the process ---------------------------------------------------------------------------- */

/* Its own end, in which the runtime writes what it has counted. */
static void wait_end(const struct remote *r)
{
    struct pollfd end = {.fd = r->process.socket[SL_REMOTE_MAIN]};
    poll(&end, 1, CLOSE_MS);
}

static int lose(struct remote *r, int err, const char *what)
{
    char why[256] = "";
    pthread_mutex_lock(&r->ending);
    r->lost = true;
    if (r->emulated)
        sl_emulation_last_line(&r->emulation, "board.log", why, sizeof why);
    if (r->emulated && !why[0])
        sl_emulation_last_line(&r->emulation, "host.log", why, sizeof why);
    sl_remote_process_end(&r->process);
    pthread_mutex_unlock(&r->ending);
    return sl_fail((enum sl_err)err,
                   "open the device again; --on-device-error cpu goes on without it",
                   "device %s: %s%s%s", r->base.name, what, why[0] ? ": " : "", why);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The process's or the board's end, an answer, or the deadline: whichever comes first. */
static int wait_answer(struct remote *r, enum sl_remote_lane lane, struct sl_remote_answer *a,
                       unsigned deadline_ms)
{
    const int socket = r->process.socket[lane];
    const uint64_t end = sl_now_ms() + deadline_ms;
    for (;;) {
        struct pollfd fd[2] = {{.fd = socket, .events = POLLIN},
                               {.fd = r->emulated ? r->emulation.life : -1}};
        const uint64_t now = sl_now_ms();
        const int n = poll(fd, 2, now < end ? (int)(end - now) : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0 && fd[0].revents & POLLIN) {
            if (recv(socket, a, sizeof *a, 0) == (ssize_t)sizeof *a)
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

static int send_call(struct remote *r, enum sl_remote_lane lane, const struct sl_remote_call *c)
{
    if (r->lost)
        return sl_fail(SL_ERR_DEVICE, "open the device again", "device %s: an earlier call failed",
                       r->base.name);
    if (send(r->process.socket[lane], c, sizeof *c, MSG_NOSIGNAL) != (ssize_t)sizeof *c)
        return lose(r, SL_ERR_DEVICE, "its process ended");
    return 0;
}

static int take_answer(struct remote *r, enum sl_remote_lane lane, unsigned deadline_ms)
{
    struct sl_remote_answer a;
    int err = wait_answer(r, lane, &a, deadline_ms);
    if (err)
        return err;
    if (a.err)
        return sl_fail((enum sl_err)a.err, a.hint[0] ? a.hint : NULL, "%s", a.text);
    return 0;
}

static int call(struct remote *r, enum sl_remote_lane lane, const struct sl_remote_call *c,
                unsigned deadline_ms)
{
    int err = send_call(r, lane, c);
    return err ? err : take_answer(r, lane, deadline_ms);
}

/* ---- operations ----------------------------------------------------------------------------- */

static int remote_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sl_remote_call c = {.op = SL_REMOTE_ALLOC, .off = ctl_beats, .n = w_beats};
    return call((struct remote *)dev, SL_REMOTE_MAIN, &c, TRANSFER_MS);
}

static uint8_t *place_at(struct remote *r, uint32_t i)
{
    return r->process.window + (size_t)i * SL_REMOTE_PLACE_BYTES;
}

static struct sl_remote_call part(enum sl_remote_op op, int arena, uint32_t off, uint32_t n_beats,
                                  uint32_t done)
{
    const uint32_t left = n_beats - done;
    return (struct sl_remote_call){.op = op,
                                   .off = off + done,
                                   .n = left < SL_REMOTE_PLACE_BEATS ? left : SL_REMOTE_PLACE_BEATS,
                                   .arena = arena};
}

/* Until at most `left` uploads are on their way. */
static void settle(struct remote *r, unsigned left)
{
    while (r->n_open > left && !r->lost) {
        const int err = take_answer(r, SL_REMOTE_UP, TRANSFER_MS);
        r->up_err = r->up_err ? r->up_err : err;
        r->n_open--;
    }
}

static int remote_write_end(struct sl_device *dev)
{
    struct remote *r = (struct remote *)dev;
    settle(r, 0);
    int err = r->up_err;
    if (!err && r->n_open) /* another thread has found out, which has ended the process */
        err = sl_fail(SL_ERR_DEVICE, "open the device again", "device %s: an earlier call failed",
                      r->base.name);
    r->up_err = 0;
    r->n_open = 0;
    return err;
}

static bool answer_is_there(const struct remote *r, enum sl_remote_lane lane)
{
    struct pollfd fd = {.fd = r->process.socket[lane], .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static unsigned remote_write_open(struct sl_device *dev)
{
    struct remote *r = (struct remote *)dev;
    while (r->n_open && !r->lost && answer_is_there(r, SL_REMOTE_UP))
        settle(r, r->n_open - 1);
    return r->lost ? 0 : r->n_open;
}

/* Into the window; when its places are full, the oldest part has to arrive first. */
static int remote_write_begin(struct sl_device *dev, int arena, uint32_t off, const void *src,
                              uint32_t n_beats)
{
    struct remote *r = (struct remote *)dev;
    for (uint32_t done = 0; done < n_beats;) {
        struct sl_remote_call c = part(SL_REMOTE_WRITE, arena, off, n_beats, done);
        settle(r, SL_REMOTE_PLACES - 1);
        if (r->up_err)
            return remote_write_end(dev);
        c.place = r->place++ % SL_REMOTE_PLACES;
        memcpy(place_at(r, c.place), (const uint8_t *)src + (size_t)done * SL_BEAT_BYTES,
               (size_t)c.n * SL_BEAT_BYTES);
        const int err = send_call(r, SL_REMOTE_UP, &c);
        if (err)
            return err;
        r->n_open++;
        done += c.n;
    }
    return 0;
}

/* What went wrong with uploads before it is told to write_end. */
static int remote_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                        uint32_t n_beats)
{
    struct remote *r = (struct remote *)dev;
    settle(r, 0);
    const int earlier = r->up_err;
    r->up_err = 0;
    int err = remote_write_begin(dev, arena, off, src, n_beats);
    err = err ? err : remote_write_end(dev);
    r->up_err = earlier;
    return err;
}

static int remote_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct remote *r = (struct remote *)dev;
    for (uint32_t done = 0; done < n_beats;) {
        struct sl_remote_call c = part(SL_REMOTE_READ, arena, off, n_beats, done);
        c.place = SL_REMOTE_PLACES;
        int err = call(r, SL_REMOTE_DOWN, &c, TRANSFER_MS);
        if (err)
            return err;
        memcpy((uint8_t *)dst + (size_t)done * SL_BEAT_BYTES, place_at(r, c.place),
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
    return call((struct remote *)dev, SL_REMOTE_MAIN, &c, deadline_ms + LAUNCH_SLACK_MS);
}

/* Of an emulated card: the board's own. OpenCL may have taken another platform, and no board. */
static int remote_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    const struct remote *r = (struct remote *)dev;
    if (!r->emulation.shown->counters.launches)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "device %s counts no cycles", dev->name);
    sl_sim_device_counters(out, &r->emulation.shown->counters, dev->n_port, r->options.memory);
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

/* Nothing where the process did not live to write one. */
static void keep_summary(struct remote *r)
{
    char path[SL_EMULATION_PATH];
    char *text;
    size_t size;
    snprintf(path, sizeof path, "%s/summary.csv", r->emulation.dir);
    if (sl_file_read(&text, &size, path, 64 << 20))
        return;
    fwrite(text, 1, size, r->summary.f);
    sl_new_file_commit(&r->summary);
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
    settle(r, 0);
    const int main_lane = r->process.socket[SL_REMOTE_MAIN];
    if (r->process.pid && !r->lost &&
        send(main_lane, &c, sizeof c, MSG_NOSIGNAL) == (ssize_t)sizeof c &&
        wait_answer(r, SL_REMOTE_MAIN, &a, CLOSE_MS) == 0 && r->summary.f)
        wait_end(r);
    r->emulation.life = life;
    sl_remote_process_close(&r->process);
    if (r->summary.f)
        keep_summary(r);
    sl_new_file_close(&r->summary);
    if (r->emulated)
        sl_emulation_close(&r->emulation);
    pthread_mutex_destroy(&r->ending);
    free(r);
}

static const struct sl_device_ops remote_ops = {.alloc = remote_alloc,
                                                .write = remote_write,
                                                .write_begin = remote_write_begin,
                                                .write_end = remote_write_end,
                                                .write_open = remote_write_open,
                                                .read = remote_read,
                                                .launch = remote_launch,
                                                .close = remote_close};
static const struct sl_device_ops emulated_ops = {.alloc = remote_alloc,
                                                  .write = remote_write,
                                                  .write_begin = remote_write_begin,
                                                  .write_end = remote_write_end,
                                                  .write_open = remote_write_open,
                                                  .read = remote_read,
                                                  .launch = remote_launch,
                                                  .close = remote_close,
                                                  .counters = remote_counters};

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
    if (r->options.summary[0])
        err = sl_new_file_open(&r->summary, r->options.summary);
    if (!err && r->emulated) {
        const struct sl_emulation_params p = {.board = r->options.board,
                                              .helpers = folder,
                                              .no_sleep = !r->options.stock,
                                              .profile = r->summary.f};
        err = sl_emulation_open(&r->emulation, &p);
    }
    const struct sl_remote_start s = {.argv = argv,
                                      .dir = r->emulated ? r->emulation.dir : NULL,
                                      .env = r->emulated ? r->emulation.env : NULL};
    err = err ? err : sl_remote_process_open(&r->process, &s);
    err = err ? err : wait_answer(r, SL_REMOTE_MAIN, &a, OPEN_MS);
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
    const char *const words[] = {
        "xrt", number(w, 0, o->index), o->xclbin, number(w, 1, o->timeout), number(w, 2, o->stock),
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
    pthread_mutex_init(&r->ending, NULL);
    r->emulation.life = -1;
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
