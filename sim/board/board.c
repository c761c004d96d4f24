/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "accel/args.h"
#include "accel/sim_options.h"
#include "base/err.h"
#include "monitor.h"

enum {
    MAX_BUFFER = 64, /* as many arenas as the simulation takes */
    POLL_CYCLES = 20000,
    CONTROL_BYTES = 0x1000,
    DEAD_EXIT = 9 /* how a board asked to die ends */
};

struct board {
    struct board_config config;
    struct sl_sim_config options;
    uint64_t hang, die;      /* launches, counted from 1; 0: never */
    uint64_t launch, cycles; /* launches begun, their cycles up to the last that ended */
    bool busy;               /* between start and the first poll that sees the end */
    void *library;
    const struct sl_sim_api *api;
    struct sl_sim *core; /* owned */
    struct sl_sim_arena buffer[MAX_BUFFER];
    uint32_t n_buffer;
    bool moved; /* buffers changed and the simulation does not know it yet */
    struct monitors monitors;
    struct board_shown *shown; /* not owned; NULL: nobody looks */
};

/* ---- memory --------------------------------------------------------------------------------- */

static struct board_bank *bank_of(struct board *b, uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < b->config.n_bank; i++) {
        struct board_bank *bank = &b->config.bank[i];
        if (address >= bank->base && address - bank->base < bank->bytes &&
            bytes <= bank->bytes - (address - bank->base))
            return bank;
    }
    return NULL;
}

bool board_write(struct board *b, uint64_t address, const uint8_t *data, size_t n)
{
    const struct board_bank *bank = bank_of(b, address, n);
    if (bank && n)
        memcpy(bank->host + (address - bank->base), data, n);
    return bank;
}

bool board_read(struct board *b, uint64_t address, uint8_t *out, size_t n)
{
    const struct board_bank *bank = bank_of(b, address, n);
    if (bank && n)
        memcpy(out, bank->host + (address - bank->base), n);
    else if (n)
        memset(out, 0, n);
    return bank;
}

bool board_allocate(struct board *b, uint64_t address, uint64_t bytes)
{
    const struct board_bank *bank = bank_of(b, address, bytes);
    if (!bank || address % 64 || b->n_buffer == MAX_BUFFER)
        return false;
    const uint64_t left = bank->bytes - (address - bank->base);
    const uint64_t whole = (bytes + 63) / 64 * 64;
    b->buffer[b->n_buffer++] =
        (struct sl_sim_arena){address, whole < left ? whole : left / 64 * 64,
                              bank->host + (address - bank->base), bank->ports};
    b->moved = true;
    return true;
}

void board_release(struct board *b, uint64_t address)
{
    for (uint32_t i = 0; i < b->n_buffer; i++)
        if (b->buffer[i].base == address) {
            b->buffer[i] = b->buffer[--b->n_buffer];
            b->moved = true;
            return;
        }
}

static bool map_banks(struct board *b, char *why)
{
    for (uint32_t i = 0; i < b->config.n_bank; i++) {
        struct board_bank *bank = &b->config.bank[i];
        void *host = mmap(NULL, bank->bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (host == MAP_FAILED) {
            snprintf(why, BOARD_TEXT, "no address space for a bank of %llu bytes",
                     (unsigned long long)bank->bytes);
            return false;
        }
        bank->host = host;
    }
    return true;
}

/* ---- core ----------------------------------------------------------------------------------- */

static bool load(struct board *b, const char *folder, char *why)
{
    char path[4096 + 80];
    const struct sl_sim_api *(*entry)(void) = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, b->config.core);
    b->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (b->library)
        *(void **)&entry = dlsym(b->library, SL_SIM_ENTRY);
    b->api = entry ? entry() : NULL;
    if (!b->api || b->api->version != SL_SIM_VERSION) {
        snprintf(why, BOARD_TEXT, "%s is no core of this version: %.150s", b->config.core,
                 b->library ? "" : dlerror());
        return false;
    }
    if (b->api->open(&b->core, &b->options.core) != SL_SIM_OK ||
        b->api->write_reg(b->core, SL_REG_GIE, SL_BIT_DONE) != SL_SIM_OK ||
        b->api->write_reg(b->core, SL_REG_IER, SL_BIT_DONE) != SL_SIM_OK) {
        snprintf(why, BOARD_TEXT, "the core does not start: %.150s",
                 b->core ? b->api->message(b->core) : "no memory");
        return false;
    }
    b->monitors.n_port = b->api->n_port + 1;
    return true;
}

/* "hang=N" "die=N" are the board's own; the rest is that of --device sim. */
static bool read_options(struct board *b, const char *options, char *why)
{
    char rest[1024] = "", item[256];
    size_t n = 0;
    for (const char *at = options; *at; at += strcspn(at, ","), at += *at == ',') {
        unsigned long long launch;
        char end;
        snprintf(item, sizeof item, "%.*s", (int)strcspn(at, ","), at);
        if (sscanf(item, "hang=%llu%c", &launch, &end) == 1)
            b->hang = launch;
        else if (sscanf(item, "die=%llu%c", &launch, &end) == 1)
            b->die = launch;
        else if (n + strlen(item) + 2 < sizeof rest)
            n += (size_t)snprintf(rest + n, sizeof rest - n, "%s%s", n ? "," : "", item);
    }
    if (sl_sim_config_parse(&b->options, n ? rest : NULL) == 0)
        return true;
    snprintf(why, BOARD_TEXT, "%.200s", sl_error_message());
    return false;
}

bool board_open(struct board **out, const struct board_config *config, const char *folder,
                const char *options, char *why)
{
    struct board *b = calloc(1, sizeof *b);
    if (!b) {
        snprintf(why, BOARD_TEXT, "no memory");
        return false;
    }
    b->config = *config;
    if (!read_options(b, options, why) || !map_banks(b, why) || !load(b, folder, why)) {
        board_close(b);
        return false;
    }
    *out = b;
    return true;
}

void board_close(struct board *b)
{
    if (!b)
        return;
    if (b->core)
        b->api->close(b->core);
    for (uint32_t i = 0; i < b->config.n_bank; i++)
        if (b->config.bank[i].host)
            munmap(b->config.bank[i].host, b->config.bank[i].bytes);
    free(b);
}

const char *board_message(const struct board *b)
{
    return b->api->message(b->core);
}

void board_show(struct board *b, struct board_shown *out)
{
    b->shown = out;
}

uint64_t board_nanoseconds(const struct board *b)
{
    struct sl_sim_counters c;
    b->api->counters(b->core, &c);
    return (uint64_t)((double)c.total_cycles * 1e9 / SL_SIM_CLOCK_HZ);
}

/* ---- registers ------------------------------------------------------------------------------ */

static bool start(struct board *b)
{
    if (b->moved && b->api->map(b->core, b->buffer, b->n_buffer) != SL_SIM_OK)
        return false;
    b->moved = false;
    b->launch++;
    if (b->launch == b->die)
        _exit(DEAD_EXIT);
    if (b->launch == b->hang) /* it has begun and nothing more is heard of it */
        return b->busy = true;
    b->busy = true;
    return b->api->write_reg(b->core, SL_REG_CTRL, SL_BIT_START) == SL_SIM_OK;
}

/* The interrupt is the board's own: XRT's emulation polls. */
static bool finish(struct board *b)
{
    struct sl_sim_counters c;
    uint32_t status;
    b->busy = false;
    b->api->counters(b->core, &c);
    monitor_launch(&b->monitors, c.cycles - b->cycles);
    b->cycles = c.cycles;
    if (b->shown) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        b->shown->counters = c;
        b->shown->end_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        __atomic_add_fetch(&b->shown->n_end, 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &b->shown->n_end, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    return b->api->read_reg(b->core, SL_REG_ISR, &status) == SL_SIM_OK &&
           b->api->write_reg(b->core, SL_REG_ISR, status) == SL_SIM_OK;
}

static bool read_control(struct board *b, uint32_t *value)
{
    *value = 0;
    if (b->busy && b->launch == b->hang)
        return true;
    if (b->busy) {
        const int status = b->api->run(b->core, POLL_CYCLES);
        if (status < 0 || (status == SL_SIM_INTERRUPT && !finish(b)))
            return false;
        if (b->busy)
            return true;
    }
    return b->api->read_reg(b->core, SL_REG_CTRL, value) == SL_SIM_OK;
}

bool board_write_register(struct board *b, uint64_t address, uint32_t value)
{
    struct sl_sim_counters c;
    const uint64_t offset = address - b->config.control;
    if (offset < CONTROL_BYTES) {
        if (offset == SL_REG_CTRL && value & SL_BIT_START)
            return start(b);
        if (offset == SL_REG_GIE || offset == SL_REG_IER || offset == SL_REG_ISR)
            return true;
        return b->api->write_reg(b->core, (uint32_t)offset, value) == SL_SIM_OK;
    }
    b->api->counters(b->core, &c);
    monitor_write(&b->monitors, address - b->config.monitors, value, &c);
    return true;
}

bool board_read_register(struct board *b, uint64_t address, uint32_t *value)
{
    struct sl_sim_counters c;
    const uint64_t offset = address - b->config.control;
    if (offset == SL_REG_CTRL)
        return read_control(b, value);
    if (offset < CONTROL_BYTES)
        return b->api->read_reg(b->core, (uint32_t)offset, value) == SL_SIM_OK;
    b->api->counters(b->core, &c);
    *value = monitor_read(&b->monitors, address - b->config.monitors, &c);
    return true;
}
