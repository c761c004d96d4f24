/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sl_board: the device process inside an emulation xclbin. XRT unpacks the container, starts
 * simulate.sh in it and waits at two sockets: one for its calls, one for the device's accesses to
 * host memory, which this board never makes. Connects, answers, and ends with the host.
 *
 * Environment: USER and EMULATION_SOCKETID name the sockets (set by XRT); SLUICE_BOARD holds
 * options (board.h); SLUICE_BOARD_LOG a file for what went wrong; SLUICE_BOARD_LIFE a FIFO that
 * stays open as long as this process lives; SLUICE_BOARD_SHOWN the file of shown.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "rpc.h"

enum { MAX_MESSAGE = 1 << 30, PATIENCE_MS = 60000, PATIENCE_HOST_MS = 10000 };

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
    const char *path = getenv("SLUICE_BOARD_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    FILE *out = log ? log : stderr;
    va_list args;
    va_start(args, fmt);
    vfprintf(out, fmt, args);
    va_end(args);
    fputc('\n', out);
    if (log)
        fclose(log);
}

/* The other side binds; it may be a moment late. -1: it never came. */
static int dial(const char *prefix, unsigned patience_ms)
{
    const char *user = getenv("USER"), *id = getenv("EMULATION_SOCKETID");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timespec wait = {0, 1000000};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/%s%s%s%s", user ? user : "",
             user ? "/" : "", prefix, id ? id : "xcl_sock");
    for (unsigned ms = 0; ms < patience_ms; ms++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
        nanosleep(&wait, NULL);
    }
    return -1;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static bool write_registers(struct board *board, const struct rpc_message *m)
{
    bool good = true;
    for (size_t i = 0; good && i + 4 <= m->n_bytes[4]; i += 4) {
        uint32_t value;
        memcpy(&value, m->bytes[4] + i, sizeof value);
        good = board_write_register(board, m->number[2] + i, value);
    }
    return good;
}

static bool read_registers(struct board *board, const struct rpc_message *m, uint8_t *out)
{
    bool good = true;
    for (size_t i = 0; good && i + 4 <= m->number[3]; i += 4) {
        uint32_t value = 0;
        good = board_read_register(board, m->number[2] + i, &value);
        memcpy(out + i, &value, sizeof value);
    }
    return good;
}

/* Reads answer with a flag or a size, then the bytes. */
static bool answer_read(struct board *board, uint32_t call, const struct rpc_message *m,
                        struct rpc_out *out)
{
    const bool buffer = call == RPC_FROM_DEVICE;
    const uint64_t size = buffer ? m->number[5] : m->number[3];
    const uint64_t address = buffer ? m->number[4] + m->number[6] : m->number[2];
    if (size > MAX_MESSAGE)
        return false;
    rpc_put_number(out, 1, buffer ? size : 1);
    uint8_t *bytes = rpc_put_bytes(out, 2, size);
    if (!bytes)
        return false;
    memset(bytes, 0, size);
    if (call == RPC_READ_REG)
        return read_registers(board, m, bytes);
    board_read(board, address, bytes, size);
    return true;
}

/* False: the board cannot go on. */
static bool answer(struct board *board, uint32_t call, const struct rpc_message *m,
                   struct rpc_out *out)
{
    switch (call) {
    case RPC_TO_DEVICE:
        board_write(board, m->number[3] + m->number[6], m->bytes[4], m->n_bytes[4]);
        rpc_put_number(out, 1, m->n_bytes[4]);
        return true;
    case RPC_WRITE_RAM: board_write(board, m->number[2], m->bytes[4], m->n_bytes[4]); break;
    case RPC_WRITE_REG:
        if (!write_registers(board, m))
            return false;
        break;
    case RPC_FROM_DEVICE:
    case RPC_READ_RAM:
    case RPC_READ_REG: return answer_read(board, call, m, out);
    case RPC_ALLOC:
        if (!board_allocate(board, m->number[1], m->number[2]))
            complain("a buffer of %" PRIu64 " bytes at 0x%" PRIx64 " lies in no bank", m->number[2],
                     m->number[1]);
        break;
    case RPC_FREE: board_release(board, m->number[1]); break;
    case RPC_TIME: rpc_put_number(out, 1, board_nanoseconds(board)); return true;
    case RPC_PERF_COUNTERS:
    case RPC_TRACE_COUNT:
    case RPC_TRACE:
    case RPC_BUS_STATUS:
    case RPC_DEBUG_MESSAGES: return true; /* every field of these answers is optional */
    default: break;
    }
    rpc_put_number(out, 1, 1);
    return true;
}

/* True: the host closed. */
static bool serve(struct board *board, int fd)
{
    struct rpc_out out = {0}, answers = {0};
    struct rpc_in from = {.fd = fd};
    uint8_t header[RPC_HEADER], *in = NULL;
    uint64_t size, cap = 0;
    uint32_t call = 0;
    bool good = true;
    while (good && call != RPC_CLOSE && rpc_receive(&from, header, sizeof header)) {
        struct rpc_message m;
        good = rpc_parse_header(header, &size, &call) && size <= MAX_MESSAGE;
        if (good && size > cap) {
            free(in);
            in = malloc(cap = 2 * size);
            good = in;
        }
        out.size = 0;
        good = good && (size == 0 || rpc_receive(&from, in, size)) && rpc_parse(&m, in, size) &&
               answer(board, call, &m, &out);
        /* Together, where more calls are there already: nobody waits for the single one. */
        rpc_answer(&answers, &out);
        if (good && from.begin == from.end) {
            good = !answers.failed && rpc_send(fd, answers.data, answers.size);
            answers.size = 0;
        }
    }
    if (!good && board_message(board)[0])
        complain("the core broke the AXI protocol: %s", board_message(board));
    else if (!good)
        complain("call %u of %" PRIu64 " bytes cannot be answered", call, size);
    free(in);
    free(out.data);
    free(answers.data);
    return good && call == RPC_CLOSE;
}

/* The file that the host maps too, or NULL. */
static struct board_shown *map_shown(const char *path)
{
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = MAP_FAILED;
    if (fd >= 0) {
        map = mmap(NULL, sizeof(struct board_shown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return map == MAP_FAILED ? NULL : map;
}

int main(void)
{
    const char *life = getenv("SLUICE_BOARD_LIFE"), *options = getenv("SLUICE_BOARD");
    struct board_config config;
    struct board *board = NULL;
    char why[BOARD_TEXT];
    prctl(PR_SET_NAME, "sl_board");
    /* Never read or closed: its end is this process's end. */
    const int alive = life ? open(life, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (!board_read_config(&config, "board.cfg", why) ||
        !board_open(&board, &config, ".", options ? options : "", why)) {
        complain("%s", why);
        return 1;
    }
    board_show(board, map_shown(getenv("SLUICE_BOARD_SHOWN")));
    const int fd = dial("", PATIENCE_MS);
    const int host = fd < 0 ? -1 : dial("D2X_unix_sock_", PATIENCE_HOST_MS);
    if (fd < 0)
        complain("the host does not listen");
    const bool closed = fd >= 0 && serve(board, fd);
    if (host >= 0)
        rpc_send_close(host);
    board_close(board);
    (void)alive;
    return closed ? 0 : 1;
}
