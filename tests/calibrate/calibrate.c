/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibrate [-j] [DEVICE...]: a table of launches, cycles of the RTL and of its transaction model.
 * Without devices: five cores (group sums in C: the same cycles) with three memories. -j: a line
 * for each job too. Ends with 1 when a launch differs by more than 2 %.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/sim_options.h"
#include "tlm_rig.h"

enum {
    CTL_BEATS = 1 << 17,
    W_BEATS = 1 << 21, /* of all ports */
    MORE = 1 << 14,
    MAX_PERCENT = 2
};

static const char *const kinds[] = {
    [TLM_DECODE] = "decode", [TLM_ROUTE] = "route + shared", [TLM_RECYCLE] = "recycle + shared",
    [TLM_LISTS] = "lists",   [TLM_LINEAR] = "linear",        [TLM_SLICE] = "slices + reduce",
    [TLM_KV] = "kv",         [TLM_QUERY] = "query",          [TLM_MIX] = "all kinds"};

enum { FP8 = SL_FORMAT_FP8, Q8 = SL_FORMAT_Q8, NF4 = SL_FORMAT_NF4 };

static const struct tlm_case cases[] = {
    {TLM_QUERY, 0, 0, 0, 1, 0, 0, 0},
    {TLM_DECODE, NF4, 256, 512, 1, 16, 1, SL_MODE_SOFTMAX},
    {TLM_DECODE, Q8, 256, 512, 1, 16, 2, SL_MODE_SOFTMAX},
    {TLM_DECODE, FP8, 256, 512, 1, 32, 2, SL_MODE_ATTENTION},
    {TLM_DECODE, NF4, 1024, 1024, 1, 64, 8, SL_MODE_SOFTMAX},
    {TLM_DECODE, Q8, 1024, 2048, 1, 32, 2, SL_MODE_ATTENTION},
    {TLM_DECODE, NF4, 2048, 8192, 1, 32, 2, SL_MODE_ATTENTION},
    {TLM_DECODE, FP8, 2048, 4096, 1, 16, 1, SL_MODE_SIGMOID},
    {TLM_LINEAR, Q8, 256, 2048, 1, 0, 0, 0},
    {TLM_LINEAR, Q8, 2048, 8192, 1, 0, 0, 0},
    {TLM_LINEAR, NF4, 1024, 4096, 1, 0, 0, 0},
    {TLM_LINEAR, FP8, 2048, 4096, 16, 0, 0, 0},
    {TLM_LINEAR, Q8, 1024, 4096, 64, 0, 0, 0},
    {TLM_ROUTE, NF4, 256, 512, 5, 16, 1, SL_MODE_SOFTMAX},
    {TLM_ROUTE, Q8, 1024, 1024, 64, 32, 2, SL_MODE_ATTENTION},
    {TLM_ROUTE, FP8, 1024, 1024, 130, 16, 1, SL_MODE_SOFTMAX},
    {TLM_RECYCLE, FP8, 128, 128, 64, 16, 1, SL_MODE_SOFTMAX},
    {TLM_LISTS, NF4, 256, 512, 2, 0, 8, 0},
    {TLM_LISTS, Q8, 256, 512, 5, 0, 8, 0},
    {TLM_LISTS, FP8, 1024, 1024, 3, 0, 6, 0},
    {TLM_LISTS, NF4, 1024, 2048, 8, 0, 4, 0},
    {TLM_LISTS, Q8, 1024, 1024, 17, 0, 4, 0},
    {TLM_LISTS, NF4, 2048, 4096, 2, 0, 3, 0},
    {TLM_LISTS, FP8, 1024, 1024, 64, 0, 3, 0},
    {TLM_LISTS, NF4, 512, 1024, 64, 0, 3, 0},
    {TLM_SLICE, NF4, 512, 1024, 3, 0, 0, 0},
    {TLM_SLICE, Q8, 1024, 1088, 1, 0, 0, 0},
    {TLM_MIX, NF4, 256, 512, 5, 16, 2, SL_MODE_SOFTMAX},
    {TLM_MIX, Q8, 512, 512, 20, 32, 4, SL_MODE_ATTENTION},
    {TLM_KV, SL_KVREC_INT8, 128, 0, 8, 0, 16, 0},
    {TLM_KV, SL_KVREC_INT4, 80, 0, 4, 0, 8, 0},
};
enum { N_CASE = sizeof cases / sizeof cases[0] };

static const char *const devices[] = {
    "sim:1x1,dpi,mem=hbm",    "sim:1x1,dpi,mem=ddr",  "sim:1x1,dpi,mem=ideal",
    "sim:4x1,dpi,mem=hbm",    "sim:4x1,dpi,mem=ddr",  "sim:4x1,dpi,mem=ideal",
    "sim:4x4,dpi,mem=hbm",    "sim:4x4,dpi,mem=ddr",  "sim:4x4,dpi,mem=ideal",
    "sim:16x1,dpi,mem=hbm",   "sim:16x1,dpi,mem=ddr", "sim:16x1,dpi,mem=ideal",
    "sim:28x1,dpi,mem=hbm",   "sim:28x1,dpi,mem=ddr", "sim:28x1,dpi,mem=ideal",
    "sim:4x1,dpi,latency=150"};
enum { N_DEVICE = sizeof devices / sizeof devices[0] };

static uint32_t ports_of(const char *device)
{
    struct sl_sim_config c;
    const char *colon = strchr(device, ':');
    return colon && !sl_sim_config_parse(&c, colon + 1) ? c.n_port : 1;
}

static double percent(uint64_t sim, uint64_t model)
{
    return sim ? 100.0 * ((double)model - (double)sim) / (double)sim : 0;
}

static void print_jobs(const struct tlm_answer *a)
{
    for (uint32_t i = 0; i < a->n_job; i++) {
        const struct sl_record *r = &a->record[i];
        const struct sl_tlm_time *t = &a->time[i];
        printf("    job %u status %u: cycles %llu %llu, beats %u %llu, read %u %u, ctl %u %u, "
               "core %u %u\n",
               i, r->status, (unsigned long long)r->cycles, (unsigned long long)t->cycles, r->beats,
               (unsigned long long)t->beats, r->stall_read, t->stall_read, r->stall_ctl,
               t->stall_ctl, r->stall_core, t->stall_core);
    }
    printf("    beats: ctl read %llu %llu, written %llu %llu, weights %llu %llu\n",
           (unsigned long long)a->ctl_read, (unsigned long long)a->traffic.ctl_read,
           (unsigned long long)a->ctl_write, (unsigned long long)a->traffic.ctl_write,
           (unsigned long long)a->w_read, (unsigned long long)a->traffic.w_read);
}

/* The error in per cent; NAN: it could not run. */
static double run_case(struct tlm_rig *rig, const struct tlm_case *c, bool jobs)
{
    static const char *const formats[] = {"fp8", "q8", "nf4", "int4", "mxfp4"};
    struct tlm_answer a;
    if (tlm_rig_run(rig, c, &a)) {
        printf("| %s | %u x %u | does not run: %s |\n", kinds[c->kind], c->d_model, c->d_ff,
               sl_error_message());
        return NAN;
    }
    const double e = percent(a.sim, a.model);
    printf("| %s | %s | %s | %u x %u | %u | %u | %llu | %llu | %+.2f %% |\n", rig->dev->name,
           kinds[c->kind], c->kind == TLM_KV ? (c->format ? "int4" : "int8") : formats[c->format],
           c->d_model, c->d_ff, c->n_tokens, a.n_job, (unsigned long long)a.sim,
           (unsigned long long)a.model, e);
    if (jobs)
        print_jobs(&a);
    return e;
}

int main(int argc, char **argv)
{
    const bool jobs = argc > 1 && !strcmp(argv[1], "-j");
    const int first = 1 + jobs, n = argc > first ? argc - first : N_DEVICE;
    const char *const *name = argc > first ? (const char *const *)argv + first : devices;
    double worst = 0;
    unsigned n_run = 0, n_bad = 0;
    puts("Cycles from start to interrupt.\n\n| device | launch | format | shape | tokens | jobs | "
         "RTL | model | error |\n|---|---|---|---|---|---|---|---|---|");
    for (int d = 0; d < n; d++) {
        struct tlm_rig rig;
        if (tlm_rig_open(&rig, name[d], CTL_BEATS, W_BEATS / ports_of(name[d]) + MORE))
            fprintf(stderr, "%s: %s\n", name[d], sl_error_message());
        for (unsigned i = 0; rig.noise && i < N_CASE; i++) {
            const double e = run_case(&rig, &cases[i], jobs);
            n_run++;
            n_bad += !(fabs(e) <= MAX_PERCENT);
            worst = fabs(e) > worst ? fabs(e) : worst;
        }
        fflush(stdout);
        tlm_rig_close(&rig);
    }
    printf("\n%u launches, %u beyond %d %%, largest error %.2f %%\n", n_run, n_bad, MAX_PERCENT,
           worst);
    return n_bad || !n_run;
}
