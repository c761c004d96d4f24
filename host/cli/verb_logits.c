/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "console.h"
#include "input.h"
#include "npy.h"
#include "verbs.h"

static int write_logits(struct sl_session *session, const struct sl_input *in, struct sl_npy *npy,
                        size_t part)
{
    struct sl_progress progress = sl_progress_open();
    int code = SL_EXIT_OK;
    float *logits = calloc(part * npy->n_col, sizeof *logits);
    if (!logits)
        return sl_cli_error(SL_ERR_NOMEM, "choose a smaller --batch-size", "out of memory");
    for (size_t i = 0; i < in->n && !code; i += part) {
        size_t n = in->n - i < part ? in->n - i : part;
        if (!sl_progress_tick(&progress, "logits", i, in->n)) {
            sl_progress_close(&progress);
            code = sl_cli_error(SL_ERR_INTERRUPTED, NULL,
                                "logits: stopped by Ctrl-C, nothing was written");
            break;
        }
        int err = sl_session_eval(session, in->ids + i, n, true, logits);
        sl_progress_close(&progress);
        code = err ? sl_cli_library_error(err) : sl_npy_append(npy, logits, n);
    }
    free(logits);
    return code;
}

int sl_verb_logits(const struct sl_options *o)
{
    struct sl_input in = {0};
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    struct sl_npy npy = {0};
    struct sl_model_info info = {0};
    sl_interrupt_catch();
    int code = sl_input_load(&in, o, true);
    if (!code)
        code = sl_input_open_model(&model, o, NULL);
    if (!code) {
        sl_model_get_info(model, &info);
        code = sl_input_check(&in, info.n_vocab);
    }
    if (!code && o->ctx_size && in.n > (size_t)o->ctx_size)
        code = sl_cli_error(SL_ERR_USAGE, "shorten the text or raise --ctx-size",
                            "text: %zu tokens do not fit a context of %lld", in.n,
                            (long long)o->ctx_size);
    if (!code)
        code = sl_input_open_session(&session, model, o,
                                     (uint32_t)(o->ctx_size ? o->ctx_size : (int64_t)in.n));
    if (!code)
        code = sl_npy_open(&npy, o->output, info.n_vocab);
    if (!code)
        code = write_logits(session, &in, &npy, sl_input_rows_at_once(o, info.n_vocab));
    if (!code)
        code = sl_npy_commit(&npy);
    if (!code)
        fprintf(stderr, "%s: float32 [%zu, %u]\n", o->output, in.n, info.n_vocab);
    sl_npy_close(&npy);
    sl_session_close(&session);
    sl_model_close(&model);
    sl_input_free(&in);
    return code;
}
