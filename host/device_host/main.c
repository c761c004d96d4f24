/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sl_device_host: the process that holds a card for a program (card/remote.h). Runtimes of cards
 * end the process on errors, wait without an end for a device that is gone and start processes of
 * their own; here that hurts nobody. Not for use by hand.
 *
 * sl_device_host xrt INDEX XCLBIN TIMEOUT POLL
 * sl_device_host opencl PLATFORM DEVICE XCLBIN TIMEOUT SOURCE PORTS
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accel/device.h"
#include "base/err.h"
#include "card/opencl.h"
#include "card/remote_wire.h"
#include "card/xrt.h"

static void answer(enum sl_remote_lane lane, int err, const struct sl_device *dev)
{
    struct sl_remote_answer a = {.err = err, .n_port = dev ? dev->n_port : 0};
    if (err) {
        snprintf(a.text, sizeof a.text, "%s", sl_error_message());
        snprintf(a.hint, sizeof a.hint, "%s", sl_error_hint());
    }
    send(SL_REMOTE_SOCKET + (int)lane, &a, sizeof a, MSG_NOSIGNAL);
}

static int obey(struct sl_device *dev, const struct sl_remote_call *c, uint8_t *window)
{
    uint8_t *data = window + (size_t)c->place * SL_REMOTE_PLACE_BYTES;
    switch (c->op) {
    case SL_REMOTE_ALLOC:
        dev->ctl_beats = c->off;
        dev->w_beats = c->n;
        return dev->ops->alloc(dev, c->off, c->n);
    case SL_REMOTE_WRITE: return dev->ops->write(dev, c->arena, c->off, data, c->n);
    case SL_REMOTE_READ: return dev->ops->read(dev, c->arena, c->off, data, c->n);
    case SL_REMOTE_LAUNCH:
        dev->ctl_beats = c->ctl_limit;
        dev->w_beats = c->w_limit;
        return dev->ops->launch(dev, c->off, c->n, c->deadline_ms);
    default: return sl_fail(SL_ERR_USAGE, NULL, "device host: call %u", c->op);
    }
}

/* One direction: calls of a lane in their order. */
struct lane {
    enum sl_remote_lane number;
    struct sl_device *dev;
    uint8_t *window;
};

/* Until the program closes the device, or is gone. */
static void *serve(void *user)
{
    const struct lane *l = user;
    struct sl_remote_call call = {0};
    while (recv(SL_REMOTE_SOCKET + (int)l->number, &call, sizeof call, 0) == (ssize_t)sizeof call &&
           call.op != SL_REMOTE_CLOSE)
        answer(l->number, obey(l->dev, &call, l->window), l->dev);
    return NULL;
}

/* The program settles its transfers before it closes. */
static void serve_all(struct sl_device *dev, uint8_t *window)
{
    struct lane lane[SL_REMOTE_LANES];
    pthread_t thread;
    for (int i = 0; i < SL_REMOTE_LANES; i++) {
        lane[i] = (struct lane){(enum sl_remote_lane)i, dev, window};
        if (i != SL_REMOTE_MAIN && pthread_create(&thread, NULL, serve, &lane[i]))
            return;
    }
    serve(&lane[SL_REMOTE_MAIN]);
    dev->ops->close(dev);
    answer(SL_REMOTE_MAIN, 0, NULL);
}

/* When the program is gone, so are this process and all that a runtime started. */
static void *watch(void *unused)
{
    struct pollfd socket = {.fd = SL_REMOTE_SOCKET};
    (void)unused;
    while (poll(&socket, 1, -1) < 0 || !(socket.revents & (POLLHUP | POLLERR | POLLNVAL)))
        ;
    kill(0, SIGKILL);
    return NULL;
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static int open_card(struct sl_device **dev, int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "xrt")) {
        const struct sl_xrt_params p = {.index = number(argv[2]),
                                        .xclbin = argv[3],
                                        .timeout = number(argv[4]),
                                        .poll = number(argv[5])};
        return sl_xrt_open(dev, &p);
    }
    if (argc == 8 && !strcmp(argv[1], "opencl")) {
        const struct sl_opencl_params p = {.platform = (int)strtol(argv[2], NULL, 10),
                                           .device = number(argv[3]),
                                           .xclbin = argv[4],
                                           .timeout = number(argv[5]),
                                           .source = argv[6],
                                           .n_port = number(argv[7])};
        return sl_opencl_open(dev, &p);
    }
    return sl_fail(SL_ERR_USAGE, NULL, "device host: started by hand");
}

int main(int argc, char **argv)
{
    struct sl_device *dev = NULL;
    uint8_t *window =
        mmap(NULL, SL_REMOTE_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, SL_REMOTE_WINDOW, 0);
    if (window == MAP_FAILED) {
        fprintf(stderr, "error: started by hand; hint: sluice run --device xrt\n");
        return 2;
    }
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch, NULL))
        return 1;
    const int err = open_card(&dev, argc, argv);
    answer(SL_REMOTE_MAIN, err, dev);
    if (!err)
        serve_all(dev, window);
    /* The runtime's destructors write its profile, and may wait for ever: the program's patience
     * ends that. */
    return err ? 1 : 0;
}
