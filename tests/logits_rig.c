/* SPDX-License-Identifier: Apache-2.0 */
#include "logits_rig.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_rig.h"

float *logits_new(void)
{
    float *out = calloc(1, LOGITS_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    return out;
}

int logits_eval(struct sl_session *session, uint32_t n_vocab, float *out)
{
    int32_t ids[LOGITS_PROMPT + LOGITS_DECODE];
    for (uint32_t i = 0; i < LOGITS_PROMPT + LOGITS_DECODE; i++)
        ids[i] = (int32_t)(i * 2654435761u % n_vocab);
    int err = sl_session_eval(session, ids, LOGITS_PROMPT, false, out);
    for (int i = 1; !err && i <= LOGITS_DECODE; i++)
        err = sl_session_eval(session, ids + LOGITS_PROMPT + i - 1, 1, false,
                              out + (size_t)i * n_vocab);
    return err;
}

void logits_open(const struct sl_model_params *params, struct sl_model **model,
                 struct sl_session **session, uint32_t *n_vocab)
{
    const struct sl_session_params sp = {.n_ctx = 256, .n_batch = 150};
    struct sl_model_info info;
    int err = sl_model_open(model, params);
    if (err)
        printf("\n  %s: %s\n", params->device, sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    sl_model_get_info(*model, &info);
    CU_ASSERT_FATAL(info.n_vocab <= LOGITS_MAX_VOCAB);
    *n_vocab = info.n_vocab;
    CU_ASSERT_EQUAL_FATAL(sl_session_open(session, *model, &sp), 0);
}

void logits_of(const struct sl_model_params *params, float *out, struct sl_session_stats *stats)
{
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    uint32_t n_vocab;
    memset(out, 0, LOGITS_BYTES);
    logits_open(params, &model, &session, &n_vocab);
    const int err = logits_eval(session, n_vocab, out);
    if (err)
        printf("\n  %s: %s\n", params->device, sl_error_message());
    CU_ASSERT_EQUAL(err, 0);
    if (stats)
        sl_session_get_stats(session, stats);
    sl_session_close(&session);
    sl_model_close(&model);
}

void logits_convert(char *dir, const char *from, const char *format)
{
    rig_fresh(dir, NULL);
    const struct sl_convert_params p = {
        .in_dir = from, .out_dir = dir, .format = format, .format_dense = "q8"};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
}

uint64_t logits_memory(const struct sl_model_params *params, uint64_t n_slot)
{
    struct sl_model_params all = *params;
    struct sl_memory m;
    all.host_memory = 0;
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &all), 0);
    return m.total - (m.n_expert - n_slot) * m.expert_bytes;
}
