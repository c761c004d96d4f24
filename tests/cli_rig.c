/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARG = 32 };

static void program_path(char *out, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 16);
    CU_ASSERT_FATAL(n > 0);
    out[n] = 0;
    strcpy(strrchr(out, '/') + 1, "sluice");
}

void cli_read(const char *path, char *out)
{
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    out[fread(out, 1, CLI_MAX_OUTPUT - 1, f)] = 0;
    fclose(f);
}

pid_t cli_start(const char *line, const char *in, const char *out, const char *err)
{
    char text[2048], path[512], *argv[MAX_ARG] = {path};
    size_t argc = 1;
    program_path(path, sizeof path);
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && argc < MAX_ARG - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    for (size_t i = 1; i < argc; i++)
        for (char *c = strncmp(argv[i], "--prompt=", 9) ? NULL : argv[i]; c && *c; c++)
            *c = *c == '_' ? ' ' : *c;
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(open(in ? in : "/dev/null", O_RDONLY), 0) < 0 ||
            dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1) < 0 ||
            dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2) < 0)
            _exit(126);
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

int cli_finish(pid_t pid)
{
    int status = 0;
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void cli_run_with_input(struct cli_result *r, const char *line, const char *in)
{
    char dir[256], out[300], err[300];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(err, sizeof err, "%s/err", dir);
    r->pid = cli_start(line, in, out, err);
    r->code = cli_finish(r->pid);
    cli_read(out, r->out);
    cli_read(err, r->err);
    if (r->code >= 126 && r->code != 130)
        printf("\n  %s -> %d\n%s", line, r->code, r->err);
}

void cli_run(struct cli_result *r, const char *line)
{
    cli_run_with_input(r, line, NULL);
}

/* Directory of the converted model. */
static const char *store_of(const char *model, const char *format)
{
    enum { MAX_STORE = 8 };
    static struct {
        char model[64], format[16], dir[300];
    } stores[MAX_STORE];
    static struct cli_result r;
    unsigned i = 0;
    for (; i < MAX_STORE && stores[i].dir[0]; i++)
        if (!strcmp(stores[i].model, model) && !strcmp(stores[i].format, format))
            return stores[i].dir;
    CU_ASSERT_FATAL(i < MAX_STORE);
    char dir[256], line[700];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(stores[i].model, sizeof stores[i].model, "%s", model);
    snprintf(stores[i].format, sizeof stores[i].format, "%s", format);
    snprintf(stores[i].dir, sizeof stores[i].dir, "%s/store", dir);
    snprintf(line, sizeof line, "convert %s %s --format %s", model, stores[i].dir, format);
    cli_run(&r, line);
    CU_ASSERT_EQUAL_FATAL(r.code, 0);
    return stores[i].dir;
}

void cli_run_model(struct cli_result *r, const struct cli_model *model, bool converted,
                   const char *how)
{
    char line[800], source[400];
    if (converted)
        snprintf(source, sizeof source, "%s", store_of(model->dir, model->format));
    else
        snprintf(source, sizeof source, "%s --format %s", model->dir, model->format);
    snprintf(line, sizeof line, "run -m %s --prompt=In_the_beginning -n 24 %s %s", source,
             model->options, how);
    cli_run(r, line);
    CU_ASSERT_EQUAL(r->code, 0);
}
