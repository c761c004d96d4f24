/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by all test files: the suite table's form and helpers that every subject needs. */
#ifndef SL_TEST_MAIN_H
#define SL_TEST_MAIN_H

#include <CUnit/CUnit.h>
#include <stddef.h>
#include <stdint.h>

/* Each tests/test_<subject>.c defines `const struct sl_suite suite_<subject>`; test_main.c lists
 * them and `make check` compares that list with the files. */
struct sl_case {
    const char *name; /* a sentence: safetensors_rejects_overlapping_tensors */
    void (*run)(void);
};
struct sl_suite {
    const char *name;
    const struct sl_case *cases; /* ends with a NULL name */
};

/* The step through a long list of like cases: n in sanitized builds, which are several times slower
 * and judge memory, not values; else 1. */
#ifdef __SANITIZE_ADDRESS__
#define SL_THIN(n) (n)
#else
#define SL_THIN(n) 1
#endif

/* xorshift generator with a printed seed (SL_SEED overrides), for randomised tests. */
struct sl_rng {
    uint64_t state;
};
struct sl_rng sl_rng_open(const char *test, uint64_t default_seed);
uint64_t sl_rng_next(struct sl_rng *rng);
int64_t sl_rng_range(struct sl_rng *rng, int64_t lo, int64_t hi); /* inclusive */
double sl_rng_normal(struct sl_rng *rng);

/* Directory of the repository's golden files (tests/golden, or SL_GOLDEN). */
const char *sl_golden_dir(void);
/* A fresh empty directory below $TMPDIR; removed by test_main at exit. The string is static per
 * call slot: copy it. */
int sl_temp_dir(char *out, size_t cap);

#endif
