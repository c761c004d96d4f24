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

enum { BAR = 24, REDRAW_MS = 100, LINE_MS = 60000, SETTLED_MS = 2000 };

void sl_duration(char out[SL_DURATION_MAX], double seconds)
{
    const double minutes = seconds / 60;
    if (seconds < 1)
        snprintf(out, SL_DURATION_MAX, "under 1 s");
    else if (minutes < 1.5)
        snprintf(out, SL_DURATION_MAX, "%.0f s", seconds);
    else if (minutes < 90)
        snprintf(out, SL_DURATION_MAX, "%.0f min", minutes);
    else if (minutes < 1e6)
        snprintf(out, SL_DURATION_MAX, "%d h %02d min", (int)minutes / 60, (int)minutes % 60);
    else
        snprintf(out, SL_DURATION_MAX, "a long time");
}

void sl_size(char out[SL_SIZE_MAX], uint64_t bytes)
{
    static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double size = (double)bytes / 1e3;
    size_t i = 0;
    for (; size >= 999.95 && i + 1 < sizeof unit / sizeof unit[0]; i++)
        size /= 1e3;
    snprintf(out, SL_SIZE_MAX, "%.*f %s", size < 100 ? 2 : 1, size, unit[i]);
}

/* ", 3 h 20 min left" once a rate is known; else "". */
static void time_left(const struct sl_progress *p, uint64_t now, uint64_t done, uint64_t total,
                      char out[SL_DURATION_MAX + 8])
{
    char text[SL_DURATION_MAX];
    out[0] = 0;
    if (now - p->first_ms < SETTLED_MS || done <= p->first_done || done >= total)
        return;
    const double rate = (double)(done - p->first_done) / (double)(now - p->first_ms);
    sl_duration(text, (double)(total - done) / rate / 1000);
    snprintf(out, SL_DURATION_MAX + 8, ", %s left", text);
}

static void draw(struct sl_progress *p, const char *what, double share, const char *left)
{
    const int filled = (int)(share * BAR), percent = (int)(share * 100);
    if (p->tty)
        fprintf(stderr, "\r\033[K[%.*s%*s] %3d %% %.40s%s", filled, "########################",
                BAR - filled, "", percent, what, left);
    else
        fprintf(stderr, "%3d %% %.40s%s\n", percent, what, left);
    fflush(stderr);
    p->drawn = true;
}

bool sl_progress_tick(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct sl_progress *p = user;
    const uint64_t now = (uint64_t)(sl_seconds() * 1000);
    if (!p->first_ms) {
        p->first_ms = now;
        p->first_done = done;
        p->last_ms = p->tty ? 0 : now;
    }
    if (now - p->last_ms >= (p->tty ? REDRAW_MS : LINE_MS)) {
        char left[SL_DURATION_MAX + 8];
        time_left(p, now, done, total, left);
        draw(p, what ? what : "", total ? (double)done / (double)total : 0, left);
        p->last_ms = now;
    }
    return !sl_interrupted();
}

void sl_progress_close(struct sl_progress *p)
{
    if (p->drawn && p->tty)
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
