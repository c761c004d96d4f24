/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kept.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "engine/tensor_map.h"
#include "store/names.h"
#include "store/outfile.h"

_Static_assert(SL_ROLE_O_BIAS - SL_ROLE_Q_BIAS == (int)SL_MATRIX_O, "roles follow enum sl_matrix");

enum { WRITE_CHUNK = 8 << 20 };

/* Biases of Q, K and V may be one fused tensor: every tensor is kept once. */
static void add_once(struct sl_kept *k, const struct sl_tensor *t)
{
    for (size_t i = k->n; i > 0 && i + SL_N_ROLE > k->n; i--)
        if (k->tensor[i - 1] == t)
            return;
    k->tensor[k->n++] = t;
    k->bytes += t->n_bytes;
}

static int add_kept(struct sl_kept *k, const struct sl_checkpoint *ckpt, const struct sl_config *c,
                    struct sl_tensor_id id)
{
    if (!sl_role_is_kept(id.role) || !sl_tensor_exists(c, id))
        return 0;
    const struct sl_tensor *t;
    int err;
    if (id.role >= SL_ROLE_Q_BIAS && id.role <= SL_ROLE_O_BIAS) {
        struct sl_rows r;
        err = sl_map_bias(&r, ckpt, c, (enum sl_matrix)(id.role - SL_ROLE_Q_BIAS), id.layer);
        t = r.tensor;
    } else {
        err = sl_tensor_need(&t, ckpt, c, id);
    }
    if (!err && t && t->gptq)
        return sl_fail(SL_ERR_UNSUPPORTED, "only linears may be quantised",
                       "tensor '%.200s' comes from a qweight", t->name);
    if (!err && t)
        add_once(k, t);
    return err;
}

int sl_kept_open(struct sl_kept *out, const struct sl_checkpoint *ckpt,
                 const struct sl_config *config)
{
    struct sl_kept k = {0};
    int err = 0;
    k.tensor = sl_alloc(((size_t)config->n_layer + 1) * SL_N_ROLE, sizeof *k.tensor);
    if (!k.tensor)
        return SL_ERR_NOMEM;
    for (int role = 0; role < SL_N_ROLE && !err; role++)
        if (sl_role_level((enum sl_role)role) == SL_LEVEL_MODEL)
            err = add_kept(&k, ckpt, config, (struct sl_tensor_id){(enum sl_role)role, 0, 0});
    for (uint32_t layer = 0; layer < config->n_layer && !err; layer++)
        for (int role = 0; role < SL_N_ROLE && !err; role++)
            if (sl_role_level((enum sl_role)role) == SL_LEVEL_LAYER)
                err =
                    add_kept(&k, ckpt, config, (struct sl_tensor_id){(enum sl_role)role, layer, 0});
    if (err)
        sl_kept_close(&k);
    else
        *out = k;
    return err;
}

void sl_kept_close(struct sl_kept *kept)
{
    free(kept->tensor);
    *kept = (struct sl_kept){0};
}

uint64_t sl_kept_hash(const struct sl_kept *kept)
{
    uint64_t h = 0;
    for (size_t i = 0; i < kept->n; i++) {
        const struct sl_tensor *t = kept->tensor[i];
        h = XXH3_64bits_withSeed(t->data, t->n_bytes, h);
        h = XXH3_64bits_withSeed(&t->scale, sizeof t->scale, h);
        sl_tensor_release(t);
    }
    return h;
}

/* Adds one entry of the header and moves *offset on. */
static int add_entry(json_t *header, const char *name, const char *dtype, json_t *shape,
                     uint64_t bytes, uint64_t *offset)
{
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape,
                              "data_offsets", (json_int_t)*offset, (json_int_t)(*offset + bytes));
    *offset += bytes;
    return entry && !json_object_set_new(header, name, entry) ? 0 : SL_ERR_NOMEM;
}

/* An F8 tensor is followed by its scale: 4 bytes under <name>_scale. */
static bool has_scale(const struct sl_tensor *t)
{
    return t->dtype == SL_DTYPE_F8_E4M3;
}

static int add_tensor(json_t *header, const struct sl_tensor *t, uint64_t *offset)
{
    json_t *shape = json_array();
    for (unsigned d = 0; d < t->n_dim && shape; d++)
        json_array_append_new(shape, json_integer((json_int_t)t->dim[d]));
    int err = add_entry(header, t->name, sl_dtype_name(t->dtype), shape, t->n_bytes, offset);
    if (!err && has_scale(t)) {
        char name[SL_NAME_MAX + 8];
        snprintf(name, sizeof name, "%s_scale", t->name);
        err = add_entry(header, name, "F32", json_pack("[i]", 1), sizeof t->scale, offset);
    }
    return err;
}

/* The length word and the JSON header, padded so that data begin at a multiple of 64; the caller
 * frees. */
static int make_header(const struct sl_kept *kept, char **out, size_t *n_out, uint64_t *data_bytes)
{
    json_t *header = json_object();
    int err = header ? 0 : SL_ERR_NOMEM;
    *data_bytes = 0;
    for (size_t i = 0; i < kept->n && !err; i++)
        err = add_tensor(header, kept->tensor[i], data_bytes);
    char *text = err ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for a safetensors header");
    size_t len = strlen(text), total = (8 + len + 63) / 64 * 64;
    char *buf = sl_alloc(1, total);
    if (buf) {
        uint64_t word = total - 8;
        for (unsigned i = 0; i < 8; i++)
            buf[i] = (char)(word >> 8 * i & 255);
        memset(buf + 8, ' ', total - 8);
        memcpy(buf + 8, text, len);
        *out = buf;
        *n_out = total;
    }
    free(text);
    return buf ? 0 : SL_ERR_NOMEM;
}

int sl_kept_file_bytes(const struct sl_kept *kept, uint64_t *out)
{
    char *header;
    size_t n;
    uint64_t data;
    int err = make_header(kept, &header, &n, &data);
    if (err)
        return err;
    free(header);
    *out = n + data;
    return 0;
}

static int write_tensor(struct sl_outfile *f, const struct sl_tensor *t)
{
    int err = 0;
    for (uint64_t done = 0; done < t->n_bytes && !err; done += WRITE_CHUNK) {
        uint64_t n = t->n_bytes - done < WRITE_CHUNK ? t->n_bytes - done : WRITE_CHUNK;
        err = sl_outfile_write(f, t->data + done, (size_t)n);
    }
    if (!err && has_scale(t))
        err = sl_outfile_write(f, &t->scale, sizeof t->scale);
    sl_tensor_release(t);
    return err;
}

int sl_kept_write(const struct sl_kept *kept, const char *dir, const char *name)
{
    char *header;
    size_t n;
    uint64_t data;
    int err = make_header(kept, &header, &n, &data);
    if (err)
        return err;
    struct sl_outfile f;
    err = sl_outfile_open(&f, dir, name);
    if (!err)
        err = sl_outfile_write(&f, header, n);
    for (size_t i = 0; i < kept->n && !err; i++)
        err = write_tensor(&f, kept->tensor[i]);
    if (!err)
        err = sl_outfile_commit(&f);
    sl_outfile_abort(&f);
    free(header);
    return err;
}
