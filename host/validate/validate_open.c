/* SPDX-License-Identifier: Apache-2.0 */
/* What a device says of itself, whether it comes back, and what its sensors tell. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "card/cards.h"
#include "store/format.h"
#include "validate/validate.h"

/* Behind a runtime only a simulated board counts what it does; other platforms than XRT's have no
 * card of its driver. */
static enum sl_validate_kind kind_of(struct sl_device *dev)
{
    const size_t len = strcspn(dev->name, ":,");
    struct sl_device_counters counters;
    struct sl_card card;
    if (len == 4 && !strncmp(dev->name, "csim", len))
        return SL_VALIDATE_NATIVE;
    if (len == 3 && !strncmp(dev->name, "sim", len))
        return SL_VALIDATE_SIM;
    if (len == 5 && !strncmp(dev->name, "model", len))
        return SL_VALIDATE_MODEL;
    if (dev->ops->counters && !dev->ops->counters(dev, &counters))
        return SL_VALIDATE_EMULATED;
    return sl_cards_list("/sys", &card, 1) ? SL_VALIDATE_CARD : SL_VALIDATE_PLATFORM;
}

int sl_validate_start(struct sl_validate *v)
{
    int err = v->open(&v->dev, v->params->device);
    err = err ? err : sl_device_alloc(v->dev, SL_VALIDATE_CTL_BEATS, SL_VALIDATE_W_BEATS);
    err = err ? err : sl_device_query(v->dev, &v->caps);
    if (err)
        sl_device_close(&v->dev);
    else
        v->kind = kind_of(v->dev);
    return err;
}

/* Names of the bits of caps.formats or caps.ops that the contract knows. */
static void list_formats(uint32_t bits, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i <= SL_FORMAT_MXFP4 && n < cap; i++)
        if (bits >> i & 1)
            n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? " " : "", sl_format_name(i));
}

/* The field of caps that is less than the contract promises; NULL: none. */
static const char *lacks(const struct sl_caps *c)
{
    const uint32_t formats = (2u << SL_FORMAT_MXFP4) - 1;
    const uint32_t ops = (2u << SL_OP_KV_UNPACK) - (1u << SL_OP_QUERY);
    if ((c->formats & formats) != formats)
        return "a format";
    if ((c->ops & ops) != ops)
        return "an operation";
    if (c->max_rows < SL_MAX_ROWS || c->max_k < SL_MAX_K || c->max_tokens < SL_MAX_TOKENS)
        return "the size of a matrix";
    if (c->max_expert < SL_MAX_N_EXPERT || c->max_topk < SL_MAX_TOPK)
        return "the size of a router";
    if (c->max_head_dim < SL_MAX_HEAD_DIM || c->max_jobs < SL_MAX_JOBS)
        return "the size of a head or of a job list";
    return NULL;
}

int sl_validate_open(struct sl_validate *v)
{
    char formats[64];
    const struct sl_caps *c = &v->caps;
    const double begin = sl_validate_seconds();
    int err = sl_validate_start(v);
    if (err) {
        v->open_err = err;
        return err;
    }
    const double ms = (sl_validate_seconds() - begin) * 1e3;
    list_formats(c->formats, formats, sizeof formats);
    if (lacks(c))
        return sl_validate_wrong(v, "the core lacks %s that contract %08x has", lacks(c),
                                 SL_ABI_VERSION);
    snprintf(v->test.detail, sizeof v->test.detail,
             "core of %s, %u weight port%s, %u token column%s, contract %08x; formats %s; matrices "
             "up to %u x %u, %u tokens, %u experts, %u jobs; opened in %.1f ms (wall time)",
             c->core == SL_CORE_RTL ? "rtl/" : "hls/", c->n_port, c->n_port == 1 ? "" : "s",
             c->n_column, c->n_column == 1 ? "" : "s", c->abi_version, formats, c->max_rows,
             c->max_k, c->max_tokens, c->max_expert, c->max_jobs, ms);
    return 0;
}

int sl_validate_reopen(struct sl_validate *v)
{
    enum { BEATS = 64 };
    uint8_t sent[BEATS * SL_BEAT_BYTES], got[BEATS * SL_BEAT_BYTES];
    const struct sl_caps before = v->caps;
    const double begin = sl_validate_seconds();
    sl_device_close(&v->dev);
    const double closed = sl_validate_seconds();
    int err = sl_validate_start(v);
    const double opened = sl_validate_seconds();
    for (size_t i = 0; i < sizeof sent; i += 8) {
        const uint64_t word = sl_validate_random(v);
        memcpy(sent + i, &word, sizeof word);
    }
    err = err ? err : sl_device_write(v->dev, SL_ARENA_CTL, 0, sent, BEATS);
    err = err ? err : sl_device_read(v->dev, SL_ARENA_CTL, 0, got, BEATS);
    if (err)
        return err;
    if (memcmp(&before, &v->caps, sizeof before))
        return sl_validate_wrong(v, "it answers the query differently");
    if (memcmp(sent, got, sizeof sent))
        return sl_validate_wrong(v, "memory does not hold what is written");
    snprintf(v->test.detail, sizeof v->test.detail,
             "closed in %.1f ms, opened in %.1f ms (wall time)%s", (closed - begin) * 1e3,
             (opened - closed) * 1e3, v->lost ? "; the device works again" : "");
    return 0;
}

int sl_validate_sensors(struct sl_validate *v)
{
    enum { MAX_CARD = 16 };
    struct sl_card card[MAX_CARD];
    if (v->kind == SL_VALIDATE_NATIVE || v->kind == SL_VALIDATE_SIM ||
        v->kind == SL_VALIDATE_EMULATED)
        return sl_validate_skip(v, "the device is simulated; on a card `xrt-smi examine --report "
                                   "thermal electrical` tells temperature and power");
    if (v->kind == SL_VALIDATE_MODEL)
        return sl_validate_skip(v, "the device is modelled");
    const size_t n = sl_cards_list("/sys", card, MAX_CARD);
    if (v->kind != SL_VALIDATE_CARD || n == 0)
        return sl_validate_skip(v, "no card of XRT's driver (xocl) stands behind this device");
    if (n > 1)
        return sl_validate_skip(v,
                                "%zu cards are there; `xrt-smi examine --device BDF --report "
                                "thermal electrical` tells of one",
                                n);
    if (!sl_card_sensors("/sys", card[0].bdf, v->test.detail, sizeof v->test.detail))
        return sl_validate_skip(v,
                                "card %s shows no sensors to this user; `xrt-smi examine "
                                "--report thermal electrical` may",
                                card[0].bdf);
    return 0;
}
