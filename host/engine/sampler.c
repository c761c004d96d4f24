/* SPDX-License-Identifier: Apache-2.0 */
/* Order of the Hugging Face generation code, which the released settings were chosen for:
 * repetition penalty, temperature, top-k, top-p, softmax, draw. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/profile.h"

struct candidate {
    double logit;
    int32_t id;
};

struct sl_sampler {
    struct sl_sampler_params params;
    size_t n_vocab;
    uint64_t rng[4];
    uint8_t *seen;          /* [n_vocab] 1: id is in the prompt or the output */
    struct candidate *cand; /* [n_vocab] */
    double *weight;         /* [n_vocab] */
};

/* splitmix64 (Steele, Lea and Flood 2014) spreads the seed over the state. */
static uint64_t next_seed(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* xoshiro256** (Blackman and Vigna 2018). */
static uint64_t rng_next(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static double rng_uniform(uint64_t s[4])
{
    return (double)(rng_next(s) >> 11) * 0x1p-53;
}

static int check_params(const struct sl_sampler_params *p, size_t n_vocab)
{
    if (!isfinite(p->temp))
        return sl_fail(SL_ERR_USAGE, "0 is greedy, 1 leaves the model's distribution",
                       "temperature: not a number");
    if (isnan(p->top_p) || p->top_p < 0)
        return sl_fail(SL_ERR_USAGE, "give a share from 0 to 1", "top-p: below 0 or not a number");
    if (!isfinite(p->repeat_penalty) || p->repeat_penalty <= 0)
        return sl_fail(SL_ERR_USAGE, "1 is no penalty",
                       "repetition penalty: not a positive number");
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return sl_fail(SL_ERR_SHAPE, NULL, "sampler: a vocabulary of %zu tokens", n_vocab);
    return 0;
}

int sl_sampler_open(struct sl_sampler **out, const struct sl_sampler_params *params, size_t n_vocab)
{
    int err = check_params(params, n_vocab);
    if (err)
        return err;
    struct sl_sampler *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    s->params = *params;
    s->n_vocab = n_vocab;
    uint64_t state = params->seed;
    for (unsigned i = 0; i < 4; i++)
        s->rng[i] = next_seed(&state);
    s->seen = sl_alloc(n_vocab, 1);
    s->cand = sl_alloc(n_vocab, sizeof *s->cand);
    s->weight = sl_alloc(n_vocab, sizeof *s->weight);
    if (!s->seen || !s->cand || !s->weight) {
        sl_sampler_close(&s);
        return SL_ERR_NOMEM;
    }
    *out = s;
    return 0;
}

void sl_sampler_close(struct sl_sampler **sampler)
{
    if (!sampler || !*sampler)
        return;
    free((*sampler)->seen);
    free((*sampler)->cand);
    free((*sampler)->weight);
    free(*sampler);
    *sampler = NULL;
}

void sl_sampler_accept(struct sl_sampler *sampler, int32_t id)
{
    if (id >= 0 && (size_t)id < sampler->n_vocab)
        sampler->seen[id] = 1;
}

void sl_sampler_forget(struct sl_sampler *sampler)
{
    memset(sampler->seen, 0, sampler->n_vocab);
}

/* All logits but NaN, with the penalty, in the order of their ids. */
static size_t collect(struct sl_sampler *s, const float *logits)
{
    double r = s->params.repeat_penalty;
    size_t n = 0;
    for (size_t i = 0; i < s->n_vocab; i++) {
        double x = logits[i];
        if (isnan(x))
            continue;
        if (s->seen[i])
            x = x > 0 ? x / r : x * r;
        s->cand[n++] = (struct candidate){x, (int32_t)i};
    }
    return n;
}

/* Larger logit first; the lower id among equals. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sift_down(struct candidate *heap, size_t n, size_t i)
{
    struct candidate moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static void heapify(struct candidate *heap, size_t n)
{
    for (size_t i = n / 2; i--;)
        sift_down(heap, n, i);
}

/* Moves the best of heap[n] to heap[n - 1]; the heap then has n - 1 entries. */
static void pop_to_end(struct candidate *heap, size_t n)
{
    struct candidate best = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = best;
    sift_down(heap, n - 1, 0);
}

/* e^x for x <= 0, relative error below 1e-15: libm's differs between processors in the last bit,
 * and a seed must give the same text everywhere. */
static double exp_neg(double x)
{
    if (!(x > -700))
        return 0;
    double k = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - k * 0x1.62e42feep-1) -
               k * 0x1.a39ef35793c76p-33; /* ln 2 in two parts: k * the first is exact */
    double sum = 1;
    for (int i = 13; i > 0; i--)
        sum = 1 + sum * r / i;
    return ldexp(sum, (int)k);
}

/* Unnormalised probability against the best logit; equal infinities count as equal. */
static double weigh(const struct sl_sampler *s, double logit, double best)
{
    return logit == best ? 1 : exp_neg((logit - best) / (double)s->params.temp);
}

/* Sum of the weights of cand[n] and the weights themselves, in the order of cand. */
static double weigh_all(struct sl_sampler *s, const struct candidate *cand, size_t n, double best)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += s->weight[i] = weigh(s, cand[i].logit, best);
    return sum;
}

/* cand[n] with weights in the same order: the first whose cumulative weight exceeds a random share
 * of the sum. */
static int32_t draw(struct sl_sampler *s, const struct candidate *cand, size_t n, double sum)
{
    double target = rng_uniform(s->rng) * sum, below = 0;
    size_t chosen = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->weight[i] > 0)
            chosen = i;
        below += s->weight[i];
        if (below > target)
            break;
    }
    return cand[chosen].id;
}

static int32_t greedy(const struct candidate *cand, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (cand[i].logit > cand[best].logit)
            best = i;
    return cand[best].id;
}

/* Top-k, then the smallest set of the rest that reaches top-p of its sum. The chosen ones end up,
 * best last, at the end of cand. Returns how many. */
static size_t keep_best(struct sl_sampler *s, size_t n, size_t k, double best)
{
    double sum = 0, reached = 0;
    size_t kept = 0;
    if (k == n)
        sum = weigh_all(s, s->cand, n, best);
    heapify(s->cand, n);
    if (k < n) {
        for (size_t i = 0; i < k; i++)
            pop_to_end(s->cand, n - i);
        for (size_t i = 0; i < k; i++)
            sum += weigh(s, s->cand[n - 1 - i].logit, best);
    }
    double p = s->params.top_p;
    if (p >= 1)
        return k;
    while (kept < k) {
        if (k == n)
            pop_to_end(s->cand, n - kept);
        reached += weigh(s, s->cand[n - 1 - kept++].logit, best);
        if (reached >= p * sum)
            break;
    }
    return kept;
}

static int32_t choose(struct sl_sampler *s, const float *logits)
{
    size_t n = collect(s, logits);
    if (n == 0)
        return 0;
    int32_t first = greedy(s->cand, n);
    if (!(s->params.temp > 0))
        return first;
    double best = -INFINITY;
    for (size_t i = 0; i < n; i++)
        best = s->cand[i].logit > best ? s->cand[i].logit : best;
    size_t k = s->params.top_k && s->params.top_k < n ? s->params.top_k : n, kept = n;
    if (k < n || s->params.top_p < 1)
        kept = keep_best(s, n, k, best);
    struct candidate *cand = s->cand + (n - kept);
    double sum = weigh_all(s, cand, kept, best);
    return draw(s, cand, kept, sum);
}

int32_t sl_sampler_sample(struct sl_sampler *sampler, const float *logits)
{
    struct sl_span span;
    sl_span_begin(sampler->params.profile, &span, SL_SPAN_SAMPLING, 0);
    int32_t id = choose(sampler, logits);
    sl_span_end(sampler->params.profile, &span);
    return id;
}
