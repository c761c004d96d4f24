/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a release says that it is quantised: "quantization_config" of its config.json, or AutoGPTQ's
 * own quantize_config.json beside it. The one place that knows these keys.
 */
#ifndef SL_STORE_QUANT_CONFIG_H
#define SL_STORE_QUANT_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum sl_quant_method { SL_QUANT_NONE, SL_QUANT_FP8, SL_QUANT_GPTQ };

struct sl_quant_config {
    enum sl_quant_method method;
    json_t
        *ignored;  /* FP8: array of the linears' names that are not quantised. Owned; may be NULL */
    unsigned bits; /* GPTQ: 4 or 8 */
    uint32_t group_size; /* GPTQ: columns that share a scale, a multiple of 32; 0: all of a row */
    unsigned zero_add;   /* GPTQ: what the stored zero points lack: 1; "gptq_v2": 0 */
    bool symmetric;      /* GPTQ: every zero point is 2^(bits - 1) */
};

/* section: the value of "quantization_config"; NULL or null: method NONE. SL_ERR_FORMAT and
 * SL_ERR_UNSUPPORTED name the key. */
int sl_quant_parse(struct sl_quant_config *out, const json_t *section);
/* From the files of a directory. A config.json that is missing or no JSON is left to its own
 * reader to refuse. */
int sl_quant_load(struct sl_quant_config *out, const char *dir);
void sl_quant_close(struct sl_quant_config *q);

/* The experts' format: the one named, or with NULL what suits the files at path (a config.json or
 * its directory): int4 for GPTQ of 4 bits, whose codes it keeps, otherwise q8. */
int sl_quant_choose_format(int *out, const char *format, const char *path);

/* True when "ignored_layers" names the linear, or a module that holds it. */
bool sl_quant_ignores(const struct sl_quant_config *q, const char *linear);

#endif
