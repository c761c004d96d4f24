/* SPDX-License-Identifier: Apache-2.0 */
/* The program beside the tests, started and listened to. */
#ifndef SL_CLI_RIG_H
#define SL_CLI_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "test_main.h"

enum { CLI_MAX_OUTPUT = 1 << 16 };

struct cli_result {
    pid_t pid; /* that it had */
    int code;  /* exit code, or 1000 + signal */
    char out[CLI_MAX_OUTPUT], err[CLI_MAX_OUTPUT];
};

/* Starts the program on a line that is split at single blanks ('_' in --prompt= stands for one).
 * in: the file on its standard input, or NULL; out, err: files that it writes. */
pid_t cli_start(const char *line, const char *in, const char *out, const char *err);
/* Waits for its end: exit code, or 1000 + signal. */
int cli_finish(pid_t pid);
/* From start to end. */
void cli_run(struct cli_result *r, const char *line);
void cli_run_with_input(struct cli_result *r, const char *line, const char *in);
/* A demonstration model in a format; options beside. */
struct cli_model {
    const char *dir, *format, *options;
};
/* `run` for 24 tokens after a prompt, which must succeed. converted: from a store, which is made
 * once for all tests of the process; else the checkpoint is quantised as it opens. */
void cli_run_model(struct cli_result *r, const struct cli_model *model, bool converted,
                   const char *how);
/* A whole file of at most CLI_MAX_OUTPUT - 1 bytes. */
void cli_read(const char *path, char *out);

#endif
