/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.json from hostile text: it is refused, or every slab has its place and hash. An even
 * first byte: the rest is the text. An odd one: the rest edits a good manifest, three bytes each:
 * place (two), new byte. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/manifest.h"
#include "store/outfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_json[] =
    "{\"architectures\":[\"HunYuanForCausalLM\"],\"model_type\":\"hunyuan\",\"vocab_size\":64,"
    "\"hidden_size\":32,\"intermediate_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"hidden_act\":\"silu\",\"max_position_embeddings\":64,"
    "\"rms_norm_eps\":1e-05,\"tie_word_embeddings\":true,\"rope_theta\":10000.0,\"rope_scaling\":"
    "null,"
    "\"attention_bias\":false,\"use_qk_norm\":true,\"use_cla\":true,\"cla_share_factor\":2,"
    "\"num_experts\":2,\"use_mixed_mlp_moe\":true,\"num_shared_expert\":1,\"moe_topk\":1}";

/* A good manifest; the process keeps it. */
static char *make_good(size_t *n)
{
    char dir[] = "/tmp/fuzz-manifest-XXXXXX", path[PATH_MAX], *text;
    struct sl_manifest m = {.identity = 1, .tensors_bytes = 2, .tensors_hash = 3};
    struct sl_config config;
    if (!mkdtemp(dir) || sl_config_parse(&config, config_json, strlen(config_json)) ||
        sl_layout_open(&m.layout, &config, SL_FORMAT_NF4, SL_FORMAT_Q8))
        abort();
    m.hash = sl_alloc(m.layout.n_item, sizeof *m.hash);
    if (!m.hash || sl_manifest_write(&m, dir, config_json) ||
        sl_path_join(path, dir, SL_MANIFEST_NAME) || sl_file_read(&text, n, path, 1 << 20))
        abort();
    unlink(path);
    rmdir(dir);
    sl_manifest_close(&m);
    return text;
}

static uint64_t sum_hashes(const struct sl_manifest *m)
{
    const struct sl_layout *l = &m->layout;
    uint64_t sum = 0;
    for (uint32_t p = 0; p < l->n_part; p++)
        for (size_t i = l->part_first[p]; i < l->part_first[p + 1]; i++) {
            const struct sl_slab_item *item = &l->item[i];
            uint64_t end = item->offset + (item->n_beats + SL_SLACK_BEATS) * SL_BEAT_BYTES;
            if (item->offset % SL_SLAB_ALIGN || end > l->part_bytes[p])
                abort();
            sum += m->hash[i];
        }
    return sum;
}

static void try_text(const char *text, size_t n)
{
    struct sl_manifest m;
    memset(&m, 0xA5, sizeof m);
    if (sl_manifest_parse(&m, text, n)) {
        if (!sl_error_message()[0])
            abort();
        return;
    }
    static volatile uint64_t sink; /* so that the reads happen */
    sink = sum_hashes(&m);
    (void)sink;
    sl_manifest_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *good;
    static size_t n_good;
    if (!good)
        good = make_good(&n_good);
    if (size == 0 || data[0] % 2 == 0) {
        try_text((const char *)data + (size > 0), size - (size > 0));
        return 0;
    }
    char *text = malloc(n_good);
    if (!text)
        return 0;
    memcpy(text, good, n_good);
    for (size_t i = 1; i + 3 <= size; i += 3)
        text[(size_t)(data[i] | data[i + 1] << 8) % n_good] = (char)data[i + 2];
    try_text(text, n_good);
    free(text);
    return 0;
}
