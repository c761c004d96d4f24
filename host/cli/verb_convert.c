/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"
#include "verbs.h"

static int print_report(const struct sl_options *o, const struct sl_convert_report *r,
                        double seconds)
{
    double ratio = r->bytes_out ? (double)r->bytes_in / (double)r->bytes_out : 0;
    if (o->json)
        return sl_json_print(
            json_pack("{s:I, s:I, s:f, s:I, s:I, s:i, s:f}", "bytes_in", (json_int_t)r->bytes_in,
                      "bytes_out", (json_int_t)r->bytes_out, "ratio", ratio, "groups",
                      (json_int_t)r->n_group, "groups_raised", (json_int_t)r->n_group_raised,
                      "layers_resumed", (int)r->n_layer_resumed, "seconds", seconds));
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
    int err = sl_convert(&params, &report);
    sl_progress_close(&progress);
    return err ? sl_cli_library_error(err) : print_report(o, &report, sl_seconds() - start);
}
