/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/tlm_weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/slab.h"

int sl_tlm_weights_open(struct sl_tlm_weights *w, unsigned n_port, uint32_t n_beats)
{
    *w = (struct sl_tlm_weights){.n_port = n_port, .n_beats = n_beats};
    w->at = sl_alloc(n_beats, sizeof *w->at);
    for (unsigned p = 0; p < n_port && w->at; p++)
        if (!(w->port[p] = sl_alloc(n_beats, SL_BEAT_BYTES)))
            return SL_ERR_NOMEM;
    return w->at ? 0 : SL_ERR_NOMEM;
}

void sl_tlm_weights_close(struct sl_tlm_weights *w)
{
    for (uint32_t i = 0; i < w->n_joined; i++)
        free(w->joined[i].slab);
    for (unsigned p = 0; p < SL_MAX_PORTS; p++)
        free(w->port[p]);
    free(w->joined);
    free(w->at);
    *w = (struct sl_tlm_weights){0};
}

/* What was put together from beats that are written now is no longer true. */
static void forget(struct sl_tlm_weights *w, uint32_t off, uint32_t n_beats)
{
    for (uint32_t i = 0; i < w->n_joined;) {
        struct sl_tlm_joined *j = &w->joined[i];
        if (j->off >= off + n_beats || off >= j->off + j->n_beats) {
            i++;
            continue;
        }
        w->at[j->off] = NULL;
        free(j->slab);
        *j = w->joined[--w->n_joined];
    }
}

void sl_tlm_weights_write(struct sl_tlm_weights *w, unsigned port, uint32_t off, const void *src,
                          uint32_t n_beats)
{
    forget(w, off, n_beats);
    memcpy(w->port[port] + (size_t)off * SL_BEAT_BYTES, src, (size_t)n_beats * SL_BEAT_BYTES);
}

void sl_tlm_weights_bind(struct sl_tlm_weights *w, uint32_t off, const struct sl_slab *slab)
{
    forget(w, off, 1);
    w->at[off] = slab;
}

/* The inverse of sl_slab_port_image. */
static void join(const struct sl_tlm_weights *w, uint32_t off, struct sl_slab *slab)
{
    const size_t base = (size_t)off * SL_BEAT_BYTES;
    const struct sl_slab_shape s = sl_slab_get_shape((const void *)(w->port[0] + base));
    uint8_t *dst = (uint8_t *)slab;
    size_t at = s.head_beats * SL_BEAT_BYTES;
    memcpy(dst, w->port[0] + base, at);
    dst += at;
    for (unsigned r = 0; r < s.n_region; r++) {
        const size_t bytes = s.unit_beats[r] * SL_BEAT_BYTES;
        for (uint64_t j = 0; j < s.units[r]; j++, dst += bytes)
            memcpy(dst, w->port[j % w->n_port] + base + at + j / w->n_port * bytes, bytes);
        at += (s.units[r] + w->n_port - 1) / w->n_port * bytes;
    }
    memset(dst, 0, SL_SLACK_BEATS * SL_BEAT_BYTES);
}

static int add_joined(struct sl_tlm_weights *w, uint32_t off, uint32_t n_beats)
{
    if (w->n_joined == w->cap_joined) {
        const uint32_t cap = w->cap_joined ? 2 * w->cap_joined : 64;
        struct sl_tlm_joined *more = realloc(w->joined, cap * sizeof *more);
        if (!more)
            return sl_fail(SL_ERR_NOMEM, NULL, "no memory for the list of slabs");
        w->joined = more;
        w->cap_joined = cap;
    }
    const struct sl_slab *head = (const void *)(w->port[0] + (size_t)off * SL_BEAT_BYTES);
    struct sl_slab *slab = sl_alloc_aligned(
        SL_BEAT_BYTES, (size_t)(sl_slab_beats(head) + SL_SLACK_BEATS) * SL_BEAT_BYTES);
    if (!slab)
        return SL_ERR_NOMEM;
    join(w, off, slab);
    w->joined[w->n_joined++] = (struct sl_tlm_joined){slab, off, n_beats};
    w->at[off] = slab;
    return 0;
}

/* Whether the header gives the slab a size; what else a core looks at is the job's business. */
static bool has_size(const struct sl_slab *h)
{
    return h->magic == SL_SLAB_MAGIC && h->kind <= SL_KIND_ROUTER && h->format <= SL_FORMAT_MXFP4 &&
           h->k > 0 && h->k <= SL_MAX_K && h->rows > 0 && h->rows <= SL_MAX_ROWS;
}

int sl_tlm_weights_get(struct sl_tlm_weights *w, uint32_t off, const struct sl_slab **out)
{
    int err = 0;
    *out = NULL;
    if (off >= w->n_beats)
        return 0;
    struct sl_slab head;
    memcpy(&head, w->port[0] + (size_t)off * SL_BEAT_BYTES, sizeof head);
    if (!w->at[off] && has_size(&head)) {
        const uint64_t n = sl_slab_port_beats(&head, w->n_port);
        if (off + n <= w->n_beats)
            err = add_joined(w, off, (uint32_t)n);
    }
    *out = w->at[off];
    return err;
}
