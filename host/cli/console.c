/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- errors */

int sl_exit_code(int err)
{
    switch (err) {
    case SL_OK: return SL_EXIT_OK;
    case SL_ERR_USAGE: return SL_EXIT_USAGE;
    case SL_ERR_IO:
    case SL_ERR_FORMAT:
    case SL_ERR_SHAPE:
    case SL_ERR_UNSUPPORTED: return SL_EXIT_MODEL;
    case SL_ERR_ABI:
    case SL_ERR_DEVICE:
    case SL_ERR_TIMEOUT: return SL_EXIT_DEVICE;
    case SL_ERR_INTERRUPTED: return SL_EXIT_INTERRUPT;
    default: return SL_EXIT_FAILURE;
    }
}

static bool use_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(no && *no) && term && strcmp(term, "dumb");
}

static void print_error(int err, const char *message, const char *hint)
{
    char line[1024];
    bool colour = use_colour();
    snprintf(line, sizeof line, "%s %s%s%s", sl_err_name(err), message,
             hint && *hint ? "; hint: " : "", hint ? hint : "");
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fflush(stdout);
    fprintf(stderr, "%serror:%s %s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "", line);
}

int sl_cli_error(enum sl_err code, const char *hint, const char *fmt, ...)
{
    char message[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    print_error(code, message, hint);
    return sl_exit_code(code);
}

int sl_cli_library_error(int err)
{
    print_error(err, sl_error_message(), sl_error_hint());
    return sl_exit_code(err);
}

/* ---- Ctrl-C */

/* A signal handler can reach nothing else, so this is the program's one mutable global. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

void sl_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
}

void sl_interrupt_again(void)
{
    interrupted = 0;
    sl_interrupt_catch();
}

bool sl_interrupted(void)
{
    return interrupted != 0;
}

/* ---- progress */

struct sl_progress sl_progress_open(void)
{
    return (struct sl_progress){.tty = isatty(STDERR_FILENO)};
}

enum { BAR = 24, REDRAW_MS = 100 };

bool sl_progress_tick(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct sl_progress *p = user;
    uint64_t now = (uint64_t)(sl_seconds() * 1000);
    if (p->tty && (!p->drawn || now - p->last_ms >= REDRAW_MS)) {
        double share = total ? (double)done / (double)total : 0;
        int filled = (int)(share * BAR);
        fprintf(stderr, "\r\033[K[%.*s%*s] %3d %% %.40s", filled, "########################",
                BAR - filled, "", (int)(share * 100), what ? what : "");
        fflush(stderr);
        p->drawn = true;
        p->last_ms = now;
    }
    return !sl_interrupted();
}

void sl_progress_close(struct sl_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}

double sl_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int sl_stdout_finish(void)
{
    if (fflush(stdout) || ferror(stdout))
        return sl_cli_error(SL_ERR_IO, "is the disk full or the pipe closed?",
                            "standard output: %s", strerror(errno));
    return SL_EXIT_OK;
}
