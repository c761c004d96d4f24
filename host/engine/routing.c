/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/number.h"

static const char hint[] =
    "capacity:C[,seed=N], noisy[:D][,seed=N] or expert-choice:C, C and D from "
    "0.001 to 1000 with at most three decimals";

/* ---- the text ------------------------------------------------------------------------------- */

/* Digits at *text, at most max; moves behind them. */
static bool take_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *p = *text;
    for (*out = 0; *p >= '0' && *p <= '9'; p++) {
        *out = *out * 10 + (uint64_t)(*p - '0');
        if (*out > max)
            return false;
    }
    bool any = p != *text;
    *text = p;
    return any;
}

/* A decimal of up to three places, in thousandths. */
static bool take_thousandths(const char **text, uint32_t *out)
{
    uint64_t whole, part = 0;
    if (!take_number(text, 1000, &whole))
        return false;
    if (**text == '.') {
        const char *digits = ++*text;
        if (!take_number(text, 999, &part) || *text - digits > 3)
            return false;
        for (ptrdiff_t n = *text - digits; n < 3; n++)
            part *= 10;
    }
    *out = (uint32_t)(whole * 1000 + part);
    return *out >= 1 && *out <= 1000000;
}

static bool take_word(const char **text, const char *word)
{
    const size_t n = strlen(word);
    const bool is = !strncmp(*text, word, n);
    *text += is ? n : 0;
    return is;
}

static bool take_kind(const char **text, struct sl_routing *out)
{
    out->factor = 1000;
    if (take_word(text, "capacity:")) {
        out->kind = SL_ROUTING_CAPACITY;
        return take_thousandths(text, &out->factor);
    }
    if (take_word(text, "expert-choice:")) {
        out->kind = SL_ROUTING_EXPERTS;
        return take_thousandths(text, &out->factor);
    }
    out->kind = SL_ROUTING_NOISY;
    if (!take_word(text, "noisy"))
        return false;
    return !take_word(text, ":") || take_thousandths(text, &out->factor);
}

int sl_routing_parse(struct sl_routing *out, const char *text)
{
    uint64_t seed = 0;
    *out = (struct sl_routing){SL_ROUTING_TOP_K, 0, 0};
    if (!text)
        return 0;
    const char *p = text;
    bool ok = take_kind(&p, out);
    if (ok && out->kind != SL_ROUTING_EXPERTS && take_word(&p, ",seed="))
        ok = take_number(&p, UINT32_MAX, &seed);
    if (!ok || *p)
        return sl_fail(SL_ERR_USAGE, hint, "routing: cannot use '%.60s'", text);
    out->seed = (uint32_t)seed;
    return 0;
}

/* ---- capacity ------------------------------------------------------------------------------- */

uint32_t sl_routing_max_chunk(const struct sl_routing *routing)
{
    const bool together =
        routing->kind == SL_ROUTING_CAPACITY || routing->kind == SL_ROUTING_EXPERTS;
    return together ? SL_ROUTING_MAX_CHUNK : 0;
}

uint32_t sl_routing_capacity(const struct sl_routing *routing, const struct sl_config *config,
                             uint32_t n_tok)
{
    const uint32_t per = 1000 * config->n_expert;
    const uint64_t wanted = (uint64_t)routing->factor * config->n_expert_used * n_tok;
    const uint32_t c = sl_ceil_div(wanted, per);
    return c < UINT16_MAX ? c : UINT16_MAX;
}

/* Philox 2x32-10 (Salmon et al. 2011): both words, the first below. */
static uint64_t draw(uint32_t key, uint32_t a, uint32_t b)
{
    for (int round = 0; round < 10; round++, key += 0x9E3779B9u) {
        const uint64_t p = a * (uint64_t)0xD256D193u;
        a = (uint32_t)(p >> 32) ^ key ^ b;
        b = (uint32_t)p;
    }
    return (uint64_t)b << 32 | a;
}

/* What experts have taken of a chunk, and what is the token's own. */
struct filling {
    const struct sl_config *config;
    uint32_t capacity, taken[SL_MAX_EXPERT];
    bool own[SL_MAX_EXPERT];
};

static bool is_open(const struct filling *f, uint32_t e)
{
    return f->taken[e] < f->capacity && !f->own[e];
}

/* The open expert that a random word names; `full` where none is open. */
static uint32_t choose_open(const struct filling *f, uint32_t random, uint32_t full)
{
    uint32_t n = 0;
    for (uint32_t e = 0; e < f->config->n_expert; e++)
        n += is_open(f, e);
    uint32_t left = (uint32_t)((uint64_t)random * n >> 32);
    for (uint32_t e = 0; e < f->config->n_expert; e++)
        if (is_open(f, e) && !left--)
            return e;
    return full;
}

void sl_routing_recycle(const struct sl_routing_chunk *chunk, struct sl_route *route)
{
    const uint32_t k = chunk->config->n_expert_used;
    struct filling f = {.config = chunk->config};
    f.capacity = sl_routing_capacity(chunk->routing, chunk->config, chunk->n_tok);
    for (uint32_t t = 0; t < chunk->n_tok; t++) {
        uint16_t *expert = route[t].expert;
        memset(f.own, 0, sizeof f.own);
        for (uint32_t i = 0; i < k; i++)
            f.own[expert[i]] = true;
        for (uint32_t i = 0; i < k; i++) {
            if (f.taken[expert[i]] >= f.capacity) {
                const uint32_t r =
                    (uint32_t)draw(chunk->routing->seed, chunk->pos + t, chunk->layer << 16 | i);
                expert[i] = (uint16_t)choose_open(&f, r, expert[i]);
                f.own[expert[i]] = true;
            }
            f.taken[expert[i]]++;
        }
    }
}

size_t sl_routing_choose_tokens(const struct sl_routing_chunk *chunk, const float *share,
                                size_t stride, uint32_t *token)
{
    const uint32_t c = sl_routing_capacity(chunk->routing, chunk->config, chunk->n_tok);
    size_t n = 0;
    for (uint32_t t = 0; t < chunk->n_tok; t++) {
        uint32_t ahead = 0;
        for (uint32_t other = 0; other < chunk->n_tok; other++)
            ahead += share[other * stride] > share[t * stride] ||
                     (other < t && share[other * stride] == share[t * stride]);
        if (ahead < c)
            token[n++] = t;
    }
    return n;
}

/* ---- noise ---------------------------------------------------------------------------------- */

uint32_t sl_routing_deviation(const struct sl_routing *routing)
{
    return (uint32_t)(((uint64_t)routing->factor * 65536 + 500) / 1000);
}

void sl_routing_add_noise(const struct sl_routing_chunk *chunk, uint32_t t, float *scores)
{
    const float deviation = (float)sl_routing_deviation(chunk->routing) * 0x1p-16f;
    for (uint32_t e = 0; e < chunk->config->n_expert; e++) {
        int32_t n = -12 * 65535 / 2; /* the sum of twelve u16, centred */
        for (uint32_t j = 0; j < 3; j++) {
            const uint64_t words =
                draw(chunk->routing->seed, chunk->pos + t, chunk->layer << 16 | (256 + 4 * e + j));
            for (int i = 0; i < 64; i += 16)
                n += (int32_t)(words >> i & 0xFFFF);
        }
        scores[e] = scores[e] + (float)n * 0x1p-16f * deviation;
    }
}
