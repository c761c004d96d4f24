/* SPDX-License-Identifier: Apache-2.0 */
/* What the program says besides results: errors and progress on stderr, exit codes, Ctrl-C. */
#ifndef SL_CLI_CONSOLE_H
#define SL_CLI_CONSOLE_H

#include "sluice.h"

enum sl_exit {
    SL_EXIT_OK = 0,
    SL_EXIT_FAILURE = 1,
    SL_EXIT_USAGE = 2,
    SL_EXIT_MODEL = 3, /* model or file */
    SL_EXIT_DEVICE = 4,
    SL_EXIT_VERIFY = 5, /* results differ from what they are checked against */
    SL_EXIT_INTERRUPT = 130
};

/* Exit code that stands for an enum sl_err. */
int sl_exit_code(int err);

/* Prints `error: CODE what: why; hint: next step` as one line and returns the exit code. hint may
 * be NULL; control characters in the text are replaced, since file names can hold anything. */
int sl_cli_error(enum sl_err code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failure that the library reported. */
int sl_cli_library_error(int err);

/* From here on the first Ctrl-C only sets a flag, the second ends the program. */
void sl_interrupt_catch(void);
/* The same once more: a Ctrl-C that was heard is dealt with. */
void sl_interrupt_again(void);
bool sl_interrupted(void);

/* A bar on stderr when that is a terminal, with the time left of long work; elsewhere a line a
 * minute. */
struct sl_progress {
    bool tty, drawn;
    uint64_t last_ms;              /* when something was printed */
    uint64_t first_ms, first_done; /* at the first call: an earlier run may have done a part */
};
struct sl_progress sl_progress_open(void);
/* An sl_progress_fn; user is a struct sl_progress. False after Ctrl-C. */
bool sl_progress_tick(void *user, const char *what, uint64_t done, uint64_t total);
void sl_progress_close(struct sl_progress *p); /* wipes the bar */
enum { SL_DURATION_MAX = 24 };
/* "under 1 s", "45 s", "12 min", "3 h 20 min": rounded to what matters. */
void sl_duration(char out[SL_DURATION_MAX], double seconds);
enum { SL_SIZE_MAX = 24 };
/* "0.31 kB", "96.40 MB", "389.5 GB": powers of 1000. */
void sl_size(char out[SL_SIZE_MAX], uint64_t bytes);

double sl_seconds(void); /* monotonic clock */
/* Flushes stdout; a full disk or a closed pipe is an error. Returns an exit code. */
int sl_stdout_finish(void);

#endif
