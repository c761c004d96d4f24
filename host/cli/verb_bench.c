/* SPDX-License-Identifier: Apache-2.0 */
/* bench: memory and the CPU device beside it, a row as each is measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "verbs.h"

struct bench {
    const struct sl_options *o;
    struct sl_progress progress;
    json_t *rows, *ops, *machine; /* NULL: text */
    const char *op;               /* of the table that is being printed */
    char format[8];               /* of the last row with one token, */
    double one;                   /* and its tokens per second */
};

/* ---- text ----------------------------------------------------------------------------------- */

static void print_number(int width, int digits, double v)
{
    if (isnan(v))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, v);
}

static void print_machine(const struct sl_bench_machine *m)
{
    if (m->clock > 0)
        printf("clock %.2f GHz; ", m->clock * 1e-9);
    if (m->peak > 0)
        printf("VNNI peak %.0f G mac/s a core; ", m->peak * 1e-9);
    printf("%u thread%s\n\n", m->n_thread, m->n_thread == 1 ? "" : "s");
    printf("memory read, GB/s   plain loop  prefetching\n");
    printf("one thread          %10.1f  %11.1f\n", m->read_one[0] * 1e-9, m->read_one[1] * 1e-9);
    printf("all threads         %10.1f  %11.1f\n", m->read_all[0] * 1e-9, m->read_all[1] * 1e-9);
    fflush(stdout);
}

static void print_head(const struct sl_bench_row *r)
{
    if (!strcmp(r->op, "expert"))
        printf("\nexperts, d_model %u, d_ff %u; %s\n", r->d_model, r->d_ff, r->impl);
    else
        printf("\nplain matrices, %u rows of %u; %s\n", r->d_ff, r->d_model, r->impl);
    printf("%-6s %6s | %9s %6s %6s | %8s %7s | %9s %6s | %9s %7s\n", "format", "tokens",
           "read GB/s", "GB/s", "share", "G mac/s", "of peak", "tokens/s", "x one", "L2: B/cyc",
           "of peak");
}

static void print_row(const struct bench *b, const struct sl_bench_row *r)
{
    printf("%-6s %6u |", r->format, r->n_tok);
    print_number(9, 1, r->read * 1e-9);
    print_number(6, 1, r->rate * 1e-9);
    print_number(6, 3, r->share);
    printf(" |");
    print_number(8, 1, r->macs * 1e-9);
    print_number(7, 3, r->of_peak);
    printf(" |");
    print_number(9, 0, r->tokens);
    print_number(6, 2, strcmp(b->format, r->format) ? NAN : r->tokens / b->one);
    printf(" |");
    print_number(9, 2, r->n_tok == 1 ? r->l2_per_cycle : NAN);
    print_number(7, 3, r->n_tok > 1 ? r->l2_of_peak : NAN);
    putchar('\n');
    fflush(stdout);
}

/* ---- reports -------------------------------------------------------------------------------- */

static json_t *json_pair(const double v[2])
{
    return json_pack("{s:f, s:f}", "plain", v[0], "prefetching", v[1]);
}

static void report_machine(void *user, const struct sl_bench_machine *m)
{
    struct bench *b = user;
    sl_progress_close(&b->progress);
    if (!b->rows) {
        print_machine(m);
        return;
    }
    b->machine = json_pack("{s:i, s:f, s:f, s:o, s:o}", "threads", (int)m->n_thread, "clock_hz",
                           m->clock, "vnni_macs_per_s_core", m->peak, "read_bytes_per_s_one",
                           json_pair(m->read_one), "read_bytes_per_s_all", json_pair(m->read_all));
}

static json_t *json_row(const struct sl_bench_row *r)
{
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "op",
        r->op, "format", r->format, "device", r->impl, "d_model", (int)r->d_model, "d_ff",
        (int)r->d_ff, "tokens", (int)r->n_tok, "read_bytes_per_s", sl_json_number(r->read),
        "bytes_per_s", sl_json_number(r->rate), "share_of_read", sl_json_number(r->share),
        "macs_per_s", sl_json_number(r->macs), "share_of_peak", sl_json_number(r->of_peak),
        "tokens_per_s", sl_json_number(r->tokens), "l2_bytes_per_s", sl_json_number(r->l2_rate),
        "l2_bytes_per_cycle", sl_json_number(r->l2_per_cycle), "l2_macs_per_s",
        sl_json_number(r->l2_macs), "l2_share_of_peak", sl_json_number(r->l2_of_peak));
}

static void report_row(void *user, const struct sl_bench_row *r)
{
    struct bench *b = user;
    sl_progress_close(&b->progress);
    if (b->rows) {
        json_array_append_new(b->rows, json_row(r));
        return;
    }
    if (!b->op || strcmp(b->op, r->op)) {
        print_head(r);
        b->op = r->op;
        b->format[0] = 0;
    }
    if (r->n_tok == 1) {
        snprintf(b->format, sizeof b->format, "%s", r->format);
        b->one = r->tokens;
    }
    print_row(b, r);
}

static void report_op(void *user, const struct sl_bench_op *op)
{
    struct bench *b = user;
    sl_progress_close(&b->progress);
    if (b->ops) {
        json_array_append_new(b->ops, json_pack("{s:s, s:i, s:f}", "what", op->what, "tokens",
                                                (int)op->n_tok, "seconds", op->seconds));
        return;
    }
    if (b->op) {
        printf("\none launch of one job, data in caches\n%-32s %6s %9s\n", "", "tokens", "us");
        b->op = NULL;
    }
    printf("%-32s %6u %9.1f\n", op->what, op->n_tok, op->seconds * 1e6);
    fflush(stdout);
}

/* ---- what is asked for ---------------------------------------------------------------------- */

static bool parse_shape(const char *text, struct sl_bench_params *p)
{
    char end;
    return sscanf(text, "%6ux%6u%c", &p->d_model, &p->d_ff, &end) == 2;
}

static bool parse_batches(const char *text, struct sl_bench_params *p)
{
    for (p->n_batch = 0; p->n_batch < SL_BENCH_MAX_BATCH; text++) {
        const size_t digits = strspn(text, "0123456789");
        const unsigned long n = digits && digits < 6 ? strtoul(text, NULL, 10) : 0;
        if (n < 1 || n > SL_BENCH_MAX_TOKENS)
            return false;
        p->n_tok[p->n_batch++] = (uint32_t)n;
        text += digits;
        if (*text != ',')
            return *text == 0;
    }
    return false;
}

static int run(struct bench *b, const struct sl_bench_params *p)
{
    sl_interrupt_catch();
    const int err = sl_bench(p);
    sl_progress_close(&b->progress);
    if (err) {
        json_decref(b->rows);
        json_decref(b->ops);
        json_decref(b->machine);
        return sl_cli_library_error(err);
    }
    if (!b->rows)
        return sl_stdout_finish();
    return sl_json_print(
        json_pack("{s:o, s:o, s:o}", "machine", b->machine, "rows", b->rows, "launches", b->ops));
}

int sl_verb_bench(const struct sl_options *o)
{
    struct bench b = {.o = o, .progress = sl_progress_open()};
    struct sl_bench_params p = {.device = o->device,
                                .format = o->format,
                                .d_model = 2048,
                                .d_ff = 8192,
                                .n_tok = {1, 16, 64, 512},
                                .n_batch = 4,
                                .turns = (unsigned)o->turns,
                                .n_thread = (unsigned)o->threads,
                                .machine_only = o->membw,
                                .machine = report_machine,
                                .row = report_row,
                                .op = report_op,
                                .user = &b,
                                .progress = sl_progress_tick,
                                .progress_user = &b.progress};
    if (o->shape && !parse_shape(o->shape, &p))
        return sl_cli_error(SL_ERR_USAGE, "give d_model x d_ff: --shape 2048x8192",
                            "--shape %.40s: not two numbers", o->shape);
    if (o->batches && !parse_batches(o->batches, &p))
        return sl_cli_error(SL_ERR_USAGE, "at most 8 numbers from 1 to 4096: --batches 1,16,512",
                            "--batches %.40s: not such numbers", o->batches);
    b.rows = o->json ? json_array() : NULL;
    b.ops = o->json ? json_array() : NULL;
    return run(&b, &p);
}
