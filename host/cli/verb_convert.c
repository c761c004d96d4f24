/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "console.h"
#include "verbs.h"

static json_t *estimate_object(const struct sl_convert_estimate *e)
{
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:f, s:f, s:f}", "files",
                     (int)e->n_file, "tensors", (int)e->n_tensor, "bytes_in",
                     (json_int_t)e->bytes_in, "bytes_out", (json_int_t)e->bytes_out, "bytes_todo",
                     (json_int_t)e->bytes_todo, "bytes_free", (json_int_t)e->bytes_free, "fits",
                     (int)e->fits, "read_bytes_per_s", e->read_rate, "expert_weights_per_s",
                     e->expert_rate, "dense_weights_per_s", e->dense_rate, "seconds", e->seconds,
                     "open_seconds", e->open_s);
}

static void print_estimate(const struct sl_convert_estimate *e)
{
    char time[SL_DURATION_MAX], in[SL_SIZE_MAX], out[SL_SIZE_MAX], todo[SL_SIZE_MAX];
    char available[SL_SIZE_MAX];
    sl_duration(time, e->seconds);
    sl_size(in, e->bytes_in);
    sl_size(out, e->bytes_out);
    sl_size(todo, e->bytes_todo);
    sl_size(available, e->bytes_free);
    printf("%u tensors in %u file%s, %s; the result takes %s", e->n_tensor, e->n_file,
           e->n_file == 1 ? "" : "s", in, out);
    if (e->bytes_todo < e->bytes_out)
        printf(", %s of it to do", todo);
    printf("; %s are free\n", available);
    printf("estimate: %s (reads %.0f MB/s, packs %.1f million weights/s of experts, %.1f of dense "
           "matrices, by samples)\n",
           time, e->read_rate / 1e6, e->expert_rate / 1e6, e->dense_rate / 1e6);
    fflush(stdout);
}

static int report_dry_run(const struct sl_options *o, const struct sl_convert_estimate *e)
{
    int code = SL_EXIT_OK;
    if (o->json)
        code = sl_json_print(estimate_object(e));
    else
        print_estimate(e);
    if (code)
        return code;
    if (!e->fits) {
        char missing[SL_SIZE_MAX];
        sl_size(missing, e->bytes_todo - e->bytes_free);
        return sl_cli_error(SL_ERR_IO, "free some space or choose another disk",
                            "%s: %s are missing", o->arg[1], missing);
    }
    return sl_stdout_finish();
}

static int print_report(const struct sl_options *o, const struct sl_convert_report *r,
                        const struct sl_convert_estimate *e, double seconds)
{
    double ratio = r->bytes_out ? (double)r->bytes_in / (double)r->bytes_out : 0;
    if (o->json)
        return sl_json_print(json_pack(
            "{s:I, s:I, s:f, s:I, s:I, s:i, s:f, s:o}", "bytes_in", (json_int_t)r->bytes_in,
            "bytes_out", (json_int_t)r->bytes_out, "ratio", ratio, "groups", (json_int_t)r->n_group,
            "groups_raised", (json_int_t)r->n_group_raised, "layers_resumed",
            (int)r->n_layer_resumed, "seconds", seconds, "estimate", estimate_object(e)));
    printf("%llu bytes in, %llu bytes out, %.2f : 1; ", (unsigned long long)r->bytes_in,
           (unsigned long long)r->bytes_out, ratio);
    printf("%llu of %llu groups raised; ", (unsigned long long)r->n_group_raised,
           (unsigned long long)r->n_group);
    if (r->n_layer_resumed)
        printf("%u layers were there already; ", r->n_layer_resumed);
    printf("%.1f s\n", seconds);
    return sl_stdout_finish();
}

int sl_verb_convert(const struct sl_options *o)
{
    struct sl_progress progress = sl_progress_open();
    struct sl_convert_report report = {0};
    struct sl_convert_estimate estimate;
    struct sl_convert_params params = {
        .in_dir = o->arg[0],
        .out_dir = o->arg[1],
        .format = o->format,
        .format_dense = o->format_dense,
        .force = o->force,
        .n_threads = (unsigned)o->threads,
        .progress = sl_progress_tick,
        .progress_user = &progress,
    };
    double start = sl_seconds();
    sl_interrupt_catch();
    int err = sl_convert_estimate(&params, &estimate);
    if (!err && o->dry_run)
        return report_dry_run(o, &estimate);
    if (!err && !o->json)
        print_estimate(&estimate);
    err = err ? err : sl_convert(&params, &report);
    sl_progress_close(&progress);
    return err ? sl_cli_library_error(err)
               : print_report(o, &report, &estimate, sl_seconds() - start);
}
