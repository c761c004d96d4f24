/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"
#include "verbs.h"

static int run_verb(const struct sl_options *o)
{
    switch (o->verb) {
    case SL_VERB_RUN: return sl_verb_run(o);
    case SL_VERB_CHAT: return sl_verb_chat(o);
    case SL_VERB_CONVERT: return sl_verb_convert(o);
    case SL_VERB_INFO: return sl_verb_info(o);
    case SL_VERB_TOKENIZE: return sl_verb_tokenize(o);
    case SL_VERB_LOGITS: return sl_verb_logits(o);
    case SL_VERB_PERPLEXITY: return sl_verb_perplexity(o);
    case SL_VERB_DEVICES: return sl_verb_devices(o);
    case SL_VERB_VALIDATE: return sl_verb_validate(o);
    case SL_VERB_CACHE: return sl_verb_cache(o);
    case SL_VERB_BENCH: return sl_verb_bench(o);
    case SL_VERB_PLAN: return sl_verb_plan(o);
    case SL_VERB_VERSION: return sl_verb_version(o);
    default: sl_options_help(stdout, SL_VERB_HELP); return sl_stdout_finish();
    }
}

int main(int argc, char **argv)
{
    struct sl_options options;
    struct sl_complaint why;
    if (!sl_options_parse(&options, argc, argv, &why))
        return sl_cli_error(SL_ERR_USAGE, why.hint, "%s", why.what);
    if (options.help) {
        sl_options_help(stdout, options.verb);
        return sl_stdout_finish();
    }
    return run_verb(&options);
}
