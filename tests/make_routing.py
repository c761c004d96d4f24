#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/routing_vectors.h: a router's options as docs/numerics.md 5.4 (RECYCLE, NOISE, EXPERT_CHOICE) says them, in
plain Python.

    python3 tests/make_routing.py >tests/routing_vectors.h

Shares nothing with the code under test. The generator is held to the published words of Philox 2x32-10, the draws to
being even and the noise to its distribution, before anything is written.
"""
import math
import random
from fractions import Fraction

M32 = 2**32 - 1
KNOWN = [  # key, counter, words: kat_vectors of Random123
    (0, (0, 0), (0xFF1DAE59, 0x6CD10DF2)),
    (M32, (M32, M32), (0x2C3F628B, 0xAB4FD7AD)),
    (0x13198A2E, (0x243F6A88, 0x85A308D3), (0xDD7CE038, 0xF62A4C12)),
]


def philox(key, counter):
    a, b = counter
    for r in range(10):
        product = a * 0xD256D193
        a, b = (product >> 32) ^ ((key + r * 0x9E3779B9) & M32) ^ b, product & M32
    return a, b


def recycle(case, chosen):
    """Tokens' experts after the capacity, and how many choices found theirs full."""
    load, overflows, out = [0] * case["E"], 0, []
    for t, experts in enumerate(chosen):
        mine, got = set(experts), []
        for choice, e in enumerate(experts):
            if load[e] >= case["C"]:
                overflows += 1
                free = [x for x in range(case["E"]) if load[x] < case["C"] and x not in mine]
                word = philox(case["seed"], ((case["pos"] + t) & M32, case["layer"] << 16 | choice))[0]
                if free:
                    e = free[word * len(free) // 2**32]
                mine.add(e)
            load[e] += 1
            got.append(e)
        out.append(got)
    return out, overflows


def noise(seed, layer, pos, expert):
    """Normal, as a fraction: the sum of twelve 16-bit numbers around its mean."""
    halves = []
    for j in range(3):
        for word in philox(seed, (pos & M32, layer << 16 | (256 + 4 * expert + j))):
            halves += [word & 0xFFFF, word >> 16]
    assert len(halves) == 12
    return Fraction(sum(halves) - 6 * 65535, 65536)


def noisy(score, deviation, n):
    """A score in Q16 with n times the deviation (Q16) added; Python rounds halves to even."""
    return max(-2**31, min(2**31 - 1, score + round(n * deviation)))


def check_noise():
    got = sorted(float(noise(s, 1, 2, e)) for s in range(64) for e in range(64))
    assert abs(sum(got)) < 4 * math.sqrt(len(got))
    distance = max(abs((i + 0.5) / len(got) - (1 + math.erf(v / math.sqrt(2))) / 2) for i, v in enumerate(got))
    assert distance < 0.0024 + 1.63 / math.sqrt(len(got)), distance  # Kolmogorov-Smirnov, 1 %


def check():
    check_noise()
    for key, counter, words in KNOWN:
        assert philox(key, counter) == words
    # All tokens want expert 0 of 9, which takes one: the others get 64 each in the mean.
    hits = [0] * 9
    for seed in range(512):
        case = {"E": 9, "C": 1, "seed": seed, "layer": 3, "pos": 17}
        hits[recycle(case, [[0], [0]])[0][1][0]] += 1
    assert hits[0] == 0
    chi = sum((h - 64) ** 2 / 64 for h in hits[1:])
    assert chi < 24.3, chi  # 7 degrees of freedom, 0.1 %


def popular(rng, n_expert, k):
    """k experts, low numbers more often."""
    out = []
    while len(out) < k:
        e = min(int(rng.expovariate(4 / n_expert)), n_expert - 1)
        if e not in out:
            out.append(e)
    return out


def array(values):
    lines, line = [], "    "
    for v in values:
        item = "%d, " % v
        if len(line) + len(item) > 96:
            lines.append(line.rstrip())
            line = "    "
        line += item
    return "\n".join(lines + [line.rstrip(", ")])


def print_noise(rng):
    print("\nstatic const struct {\n    uint32_t n_expert, n_tokens, deviation, seed, layer, pos, first;\n} noised[] = {")
    before, after = [], []
    for n_expert, n_tok, deviation in [(8, 3, 65536), (5, 2, 1), (16, 2, 2 * 65536 + 77), (4, 3, M32), (3, 1, 0)]:
        seed, layer, pos = rng.getrandbits(32), rng.randrange(65536), rng.choice([7, M32 - 1])
        print("    {%d, %d, 0x%X, 0x%08X, %d, 0x%X, %d}," % (n_expert, n_tok, deviation, seed, layer, pos, len(before)))
        for t in range(n_tok):
            for e in range(n_expert):
                before.append(rng.randrange(-6 * 65536, 6 * 65536))
                after.append(noisy(before[-1], deviation, noise(seed, layer, pos + t, e)))
    print("};\n")
    print("/* Scores in Q16, [token][expert]. */")
    print("static const int64_t quiet[] = {\n%s\n};" % array(before))
    print("static const int64_t loud[] = {\n%s\n};" % array(after))


def print_choice(rng):
    print("\n/* Tokens that one expert takes: shares in 1/256, ties included; mask: bit t. */")
    print("static const struct {\n    uint32_t n_expert, top_k, n_tokens, factor;\n    uint64_t mask;\n    uint16_t share[40];\n} choices[] = {")
    for n_expert, k, n_tok, factor in [(8, 2, 12, 1000), (16, 1, 40, 1250), (4, 2, 7, 500), (6, 3, 5, 2000), (32, 1, 9, 1)]:
        share = [rng.randrange(12) * 16 for _ in range(n_tok)]
        c = math.ceil(Fraction(factor * k * n_tok, 1000 * n_expert))
        order = sorted(range(n_tok), key=lambda t: (-share[t], t))
        mask = sum(1 << t for t in order[:c])
        print("    {%d, %d, %d, %d, 0x%X, {\n%s}}," % (n_expert, k, n_tok, factor, mask, array(share)))
    print("};")


EXP2 = [round(2**30 * 2 ** (-i / 256)) for i in range(257)]


def exp_neg(d):
    """e^-d in Q30 of d in Q16."""
    t = (d * 1549082005) >> 22
    n, i, r = t >> 24, (t >> 16) & 255, t & 65535
    v = EXP2[i] - (((EXP2[i] - EXP2[i + 1]) * r + 32768) >> 16)
    return 0 if n > 31 else math.floor(Fraction(v, 2**n) + Fraction(1, 2))


def shares(scores):
    """Softmax over all experts, Q24."""
    p = [exp_neg(max(scores) - s) for s in scores]
    assert all(abs(a / 2**30 - math.exp((s - max(scores)) / 65536)) < 1e-6 for a, s in zip(p, scores))
    return [math.floor(Fraction(a << 24, sum(p)) + Fraction(1, 2)) for a in p]


def print_taken(rng):
    print("\n/* first_score: of [token][expert], Q16; first_pair: of the C pairs of each expert. */")
    print("static const struct {\n    uint32_t n_expert, n_tokens, capacity, first_score, first_pair;\n} taken_by[] = {")
    all_scores, pairs = [], []
    # One token each; some; all; ties everywhere; a single expert, whose shares are all 1; a list of whole beats.
    shapes = [(8, 12, 1, 0), (5, 9, 4, 0), (3, 6, 6, 0), (6, 10, 3, 1), (1, 5, 2, 0), (8, 7, 2, 0), (40, 3, 2, 2), (4, 64, 13, 1)]
    for n_expert, n_tok, c, kind in shapes:
        print("    {%d, %d, %d, %d, %d}," % (n_expert, n_tok, c, len(all_scores), len(pairs)))
        scores = [[rng.randrange(-6 * 65536, 6 * 65536) for _ in range(n_expert)] for _ in range(n_tok)]
        if kind == 1:  # tokens come in equal pairs and more
            scores = [scores[t // 2 % 3] for t in range(n_tok)]
        if kind == 2:  # both ends of s32: shares of 0 and 1
            scores[0] = [rng.choice([-2**31, 2**31 - 1]) for _ in range(n_expert)]
        share = [shares(row) for row in scores]
        for e in range(n_expert):
            order = sorted(range(n_tok), key=lambda t: (-share[t][e], t))
            pairs += [(t, share[t][e]) for t in sorted(order[:c])]
        all_scores += sum(scores, [])
    print("};\n")
    print("static const int64_t taken_score[] = {\n%s\n};" % array(all_scores))
    print("static const uint8_t taken_token[] = {\n%s\n};" % array([t for t, _ in pairs]))
    print("static const uint32_t taken_weight[] = {\n%s\n};" % array([w for _, w in pairs]))


def main():
    check()
    rng = random.Random(22)
    shapes = [  # E, k, T, C: room to spare; just enough; one token each; too little; everybody's own
        (8, 2, 16, 6), (8, 2, 16, 4), (16, 1, 64, 4), (64, 8, 24, 3), (16, 8, 2, 1),
        (8, 8, 5, 2), (9, 7, 9, 7), (12, 3, 20, 2), (256, 8, 12, 1), (1, 1, 4, 2),
        (32, 2, 64, 65535)]
    cases, chosen, given = [], [], []
    for n_expert, k, n_tok, capacity in shapes:
        case = {"E": n_expert, "k": k, "T": n_tok, "C": capacity, "seed": rng.getrandbits(32),
                "layer": rng.randrange(65536), "pos": rng.choice([0, 100, M32 - 5])}
        before = [popular(rng, n_expert, k) for _ in range(n_tok)]
        after, case["over"] = recycle(case, before)
        case["first"] = len(chosen)
        chosen += sum(before, [])
        given += sum(after, [])
        cases.append(case)
    assert any(c["over"] == 0 for c in cases) and any(a != b for a, b in zip(chosen, given))
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by tests/make_routing.py. */")
    print("/* clang-format off */")
    print("static const struct {\n    uint32_t key, counter[2], word[2];\n} philox_words[] = {")
    for key, c, w in KNOWN + [(s, (s * 7, s << 16 | 5), philox(s, (s * 7, s << 16 | 5))) for s in (1, 22, 4097)]:
        print("    {0x%08X, {0x%08X, 0x%08X}, {0x%08X, 0x%08X}}," % (key, *c, *w))
    print("};\n")
    print("/* first: of its T k entries in chosen[] and given[], by token and choice. */")
    print("static const struct {\n    uint32_t n_expert, top_k, n_tokens, capacity, seed, layer, pos, overflows, first;")
    print("} recycled[] = {")
    for c in cases:
        print("    {%(E)d, %(k)d, %(T)d, %(C)d, 0x%(seed)08X, %(layer)d, 0x%(pos)X, %(over)d, %(first)d}," % c)
    print("};\n")
    print("static const uint8_t chosen[] = {\n%s\n};\n" % array(chosen))
    print("static const uint8_t given[] = {\n%s\n};" % array(given))
    print_noise(rng)
    print_choice(rng)
    print_taken(rng)
    print("/* clang-format on */")


main()
