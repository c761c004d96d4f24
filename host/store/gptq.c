/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gptq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { WORD_BITS = 32, PART_NAME = 512 };

static const char packed[] = ".qweight";

static uint32_t word_at(const struct sl_tensor *t, uint64_t i)
{
    uint32_t w;
    memcpy(&w, t->data + i * sizeof w, sizeof w);
    return w;
}

/* ---- open ----------------------------------------------------------------------------------- */

/* Length of the linear's name when the tensor is a packed weight, else 0. */
static size_t stem_length(const struct sl_tensor *t)
{
    size_t n = strlen(t->name), tail = sizeof packed - 1;
    return n > tail && !strcmp(t->name + n - tail, packed) ? n - tail : 0;
}

static int bad_type(const struct sl_tensor *t, const char *expected)
{
    return sl_fail(SL_ERR_FORMAT, "copy the release again", "tensor '%.200s' is %s, expected %s",
                   t->name, sl_dtype_name(t->dtype), expected);
}

/* <linear>.<part> of the same linear; NULL where there is none. */
static const struct sl_tensor *find_part(const struct sl_checkpoint *c, const struct sl_tensor *q,
                                         const char *part, char name[PART_NAME])
{
    snprintf(name, PART_NAME, "%.*s.%s", (int)stem_length(q), q->name, part);
    return sl_checkpoint_find(c, name);
}

/* Column i must be in group i / size: otherwise the columns were reordered by their activations. */
static int check_order(const struct sl_tensor *g, uint64_t columns, uint32_t group)
{
    if (g->dtype != SL_DTYPE_I32)
        return bad_type(g, "I32");
    for (uint64_t i = 0; i < columns; i++)
        if (word_at(g, i) != i / group)
            return sl_fail(SL_ERR_UNSUPPORTED, "quantise the model with desc_act false",
                           "tensor '%.200s': column %" PRIu64 " is in group %" PRId32
                           " (desc_act), expected %" PRIu64,
                           g->name, i, (int32_t)word_at(g, i), i / group);
    return 0;
}

/* Every zero point is 2^(bits - 1), so every word is the same. */
static int check_zeros(const struct sl_gptq *l)
{
    uint32_t mask = (1u << l->bits) - 1, zero = ((1u << (l->bits - 1)) - l->zero_add) & mask;
    uint32_t want = zero * (UINT32_MAX / mask);
    for (uint64_t i = 0; i < l->qzeros->n_elem; i++)
        if (word_at(l->qzeros, i) != want)
            return sl_fail(SL_ERR_FORMAT, "quantization_config says sym true: is it this file's?",
                           "tensor '%.200s': word %" PRIu64 " is %08" PRIx32
                           ", expected %08" PRIx32,
                           l->qzeros->name, i, word_at(l->qzeros, i), want);
    return 0;
}

/* The other tensors of a linear of `columns` columns. */
static int open_parts(struct sl_gptq *l, const struct sl_checkpoint *c, uint64_t columns,
                      bool symmetric)
{
    char name[PART_NAME];
    uint64_t rows = l->qweight->dim[1], pack = WORD_BITS / l->bits;
    uint64_t groups = (columns + l->group - 1) / l->group;
    find_part(c, l->qweight, "qzeros", name);
    int err = sl_checkpoint_need_part(c, &l->qzeros, name, 2, (uint64_t[]){groups, rows / pack});
    if (err)
        return err;
    if (l->qzeros->dtype != SL_DTYPE_I32)
        return bad_type(l->qzeros, "I32");
    find_part(c, l->qweight, "scales", name);
    err = sl_checkpoint_need_part(c, &l->scales, name, 2, (uint64_t[]){groups, rows});
    if (err)
        return err;
    if (l->scales->dtype == SL_DTYPE_I32 || l->scales->dtype == SL_DTYPE_F8_E4M3)
        return bad_type(l->scales, "F16");
    const struct sl_tensor *g = find_part(c, l->qweight, "g_idx", name);
    err = g ? sl_checkpoint_need_part(c, &g, name, 1, &columns) : 0;
    err = err || !g ? err : check_order(g, columns, l->group);
    return err || !symmetric ? err : check_zeros(l);
}

static int open_linear(struct sl_gptq *l, struct sl_tensor *t, const struct sl_checkpoint *c,
                       const struct sl_quant_config *q)
{
    const struct sl_tensor *w = l->qweight;
    uint64_t pack = WORD_BITS / q->bits, columns = w->dim[0] * pack;
    if (w->dtype != SL_DTYPE_I32)
        return bad_type(w, "I32");
    if (w->n_dim != 2 || w->n_elem == 0 || w->dim[1] % pack || columns > UINT32_MAX)
        return sl_fail(SL_ERR_SHAPE, "copy the release again",
                       "tensor '%.200s': not a packed matrix of %u bits", w->name, q->bits);
    *t = (struct sl_tensor){.name = t->name,
                            .dtype = SL_DTYPE_I32,
                            .n_dim = 2,
                            .dim = {w->dim[1], columns},
                            .n_elem = w->dim[1] * columns,
                            .n_bytes = w->n_bytes,
                            .data = w->data,
                            .scale = 1,
                            .at = w->at,
                            .gptq = l};
    l->bits = q->bits;
    l->zero_add = q->zero_add;
    l->group = q->group_size ? q->group_size : (uint32_t)columns;
    if (sl_checkpoint_find(c, t->name))
        return sl_fail(SL_ERR_FORMAT, "keep one of the two",
                       "tensor '%.200s' is there, and '%.200s' too", t->name, w->name);
    return open_parts(l, c, columns, q->symmetric);
}

/* Names and pointers of all packed weights. */
static int collect(struct sl_gptq_set *set, const struct sl_checkpoint *c)
{
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < sl_checkpoint_count(c); i++) {
        size_t stem = stem_length(sl_checkpoint_at(c, i));
        n += stem > 0;
        bytes += stem ? stem + sizeof packed : 0;
    }
    if (!n)
        return 0;
    set->linear = sl_alloc(n, sizeof *set->linear);
    set->tensor = sl_alloc(n, sizeof *set->tensor);
    set->names = sl_alloc(bytes, 1);
    if (!set->linear || !set->tensor || !set->names)
        return SL_ERR_NOMEM;
    char *at = set->names;
    for (size_t i = 0; i < sl_checkpoint_count(c); i++) {
        const struct sl_tensor *t = sl_checkpoint_at(c, i);
        size_t stem = stem_length(t);
        if (!stem)
            continue;
        set->linear[set->n].qweight = t;
        set->tensor[set->n++].name = at;
        at += sprintf(at, "%.*s.weight", (int)stem, t->name) + 1;
    }
    return 0;
}

int sl_gptq_open(struct sl_gptq_set *out, const struct sl_checkpoint *c,
                 const struct sl_quant_config *q)
{
    struct sl_gptq_set set = {0};
    int err = collect(&set, c);
    if (!err && (q->method == SL_QUANT_GPTQ) != (set.n > 0))
        err = set.n ? sl_fail(SL_ERR_FORMAT, "put the release's quantize_config.json beside it",
                              "tensor '%.200s' is GPTQ's, but no quantization_config describes it",
                              set.linear[0].qweight->name)
                    : sl_fail(SL_ERR_FORMAT, "the configuration is of another export",
                              "quantization_config says gptq, but no tensor is named *%s", packed);
    for (size_t i = 0; !err && i < set.n; i++)
        err = open_linear(&set.linear[i], &set.tensor[i], c, q);
    if (err)
        sl_gptq_close(&set);
    else
        *out = set;
    return err;
}

void sl_gptq_close(struct sl_gptq_set *set)
{
    free(set->linear);
    free(set->tensor);
    free(set->names);
    *set = (struct sl_gptq_set){0};
}

/* ---- rows ----------------------------------------------------------------------------------- */

enum { WORDS = 8 }; /* packed rows that are unpacked together */

static int zero_of(const struct sl_gptq *l, uint64_t group, uint64_t row)
{
    uint32_t pack = WORD_BITS / l->bits, mask = (1u << l->bits) - 1;
    uint32_t word = word_at(l->qzeros, group * (l->scales->dim[1] / pack) + row / pack);
    return (int)(((word >> row % pack * l->bits) + l->zero_add) & mask);
}

static float scale_of(const struct sl_gptq *l, uint64_t group, uint64_t row)
{
    float s;
    sl_tensor_read(l->scales, group * l->scales->dim[1] + row, 1, &s);
    return s;
}

/* n words of one row, which lie `step` words apart, to n * 32 / bits values. */
static void unpack4(const uint32_t *word, unsigned n, int zero, float scale, float *dst)
{
    float value[16];
    for (int i = 0; i < 16; i++)
        value[i] = (float)(i - zero) * scale;
    for (unsigned i = 0; i < n; i++, dst += 8)
        for (unsigned k = 0; k < 8; k++)
            dst[k] = value[word[i * SL_GPTQ_ROWS] >> 4 * k & 15];
}

static void unpack8(const uint32_t *word, unsigned n, int zero, float scale, float *dst)
{
    for (unsigned i = 0; i < n; i++, dst += 4)
        for (unsigned k = 0; k < 4; k++)
            dst[k] = (float)((int)(word[i * SL_GPTQ_ROWS] >> 8 * k & 255) - zero) * scale;
}

/* One group of at most SL_GPTQ_ROWS rows: columns [c0, c1). */
struct tile {
    const struct sl_gptq *l;
    uint64_t first;
    uint32_t n;
    float *dst;
    size_t stride;
};

static void read_group(const struct tile *t, uint64_t c0, uint64_t c1)
{
    const struct sl_gptq *l = t->l;
    uint32_t word[WORDS][SL_GPTQ_ROWS], pack = WORD_BITS / l->bits;
    int zero[SL_GPTQ_ROWS];
    float scale[SL_GPTQ_ROWS];
    uint64_t rows = l->qweight->dim[1];
    for (uint32_t r = 0; r < t->n; r++) {
        zero[r] = zero_of(l, c0 / l->group, t->first + r);
        scale[r] = scale_of(l, c0 / l->group, t->first + r);
    }
    for (uint64_t i = c0 / pack, end = c1 / pack; i < end; i += WORDS) {
        unsigned n = end - i < WORDS ? (unsigned)(end - i) : WORDS;
        for (unsigned k = 0; k < n; k++)
            memcpy(word[k], l->qweight->data + ((i + k) * rows + t->first) * sizeof word[0][0],
                   t->n * sizeof word[0][0]);
        for (uint32_t r = 0; r < t->n; r++) {
            float *dst = t->dst + r * t->stride + i * pack;
            if (l->bits == 4)
                unpack4(&word[0][r], n, zero[r], scale[r], dst);
            else
                unpack8(&word[0][r], n, zero[r], scale[r], dst);
        }
    }
}

void sl_gptq_read_rows(const struct sl_tensor *t, uint64_t first, uint32_t n, float *dst,
                       size_t stride)
{
    uint64_t columns = t->dim[1], group = t->gptq->group;
    for (uint32_t done = 0; done < n;) {
        uint32_t some = SL_GPTQ_ROWS - (uint32_t)((first + done) % SL_GPTQ_ROWS);
        some = some < n - done ? some : n - done;
        struct tile tile = {t->gptq, first + done, some, dst + done * stride, stride};
        for (uint64_t c = 0; c < columns; c += group)
            read_group(&tile, c, columns - c < group ? columns : c + group);
        done += some;
    }
}

float sl_gptq_scale(const struct sl_tensor *t, uint64_t row, uint64_t column)
{
    return scale_of(t->gptq, column / t->gptq->group, row);
}
