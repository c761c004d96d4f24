/* SPDX-License-Identifier: Apache-2.0 */
#include "test_main.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUITE(name) extern const struct sl_suite suite_##name;
#include "suites.def"
#undef SUITE

static const struct sl_suite *const suites[] = {
#define SUITE(name) &suite_##name,
#include "suites.def"
#undef SUITE
};

static char temp_root[256];
static unsigned asserts_before, n_empty;
static struct timespec started; /* the test that runs */

const char *sl_golden_dir(void)
{
    const char *env = getenv("SL_GOLDEN");
    return env ? env : "tests/golden";
}

int sl_temp_dir(char *out, size_t cap)
{
    static unsigned count;
    if (!temp_root[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(temp_root, sizeof temp_root, "%s/sluice-test-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(temp_root)) {
            temp_root[0] = 0;
            return -1;
        }
    }
    snprintf(out, cap, "%s/%u-XXXXXX", temp_root, count++);
    return mkdtemp(out) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void before_test(const CU_pTest test, const CU_pSuite suite)
{
    (void)test, (void)suite;
    asserts_before = CU_get_number_of_asserts();
    clock_gettime(CLOCK_MONOTONIC, &started);
}

/* CUnit counts a test without an assertion as passed: such a test proves nothing and fails here. */
static void after_test(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
    (void)suite;
    bool empty = CU_get_number_of_asserts() == asserts_before;
    n_empty += empty;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double s =
        (double)(now.tv_sec - started.tv_sec) + 1e-9 * (double)(now.tv_nsec - started.tv_nsec);
    printf("%s %s", failure || empty ? "FAIL" : "ok  ", test->pName);
    if (s >= 1)
        printf(" (%.1f s)", s);
    printf("\n");
    for (CU_pFailureRecord f = failure; f; f = f->pNext)
        printf("     %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    if (empty)
        printf("     no assertion was made\n");
    fflush(stdout);
}

static int add_suites(const char *only)
{
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        if (only && strcmp(only, suites[i]->name))
            continue;
        CU_pSuite s = CU_add_suite(suites[i]->name, NULL, NULL);
        for (const struct sl_case *c = suites[i]->cases; s && c->name; c++)
            if (!CU_add_test(s, c->name, c->run))
                s = NULL;
        if (!s) {
            fprintf(stderr, "%s\n", CU_get_error_msg());
            return -1;
        }
    }
    return 0;
}

/* unit_tests [SUITE]: all suites, or one. */
int main(int argc, char **argv)
{
    if (CU_initialize_registry() != CUE_SUCCESS || add_suites(argc > 1 ? argv[1] : NULL))
        return 2;
    CU_set_test_start_handler(before_test);
    CU_set_test_complete_handler(after_test);
    CU_run_all_tests();
    unsigned run = CU_get_number_of_tests_run();
    unsigned failed = CU_get_number_of_tests_failed() + n_empty;
    CU_cleanup_registry();
    if (temp_root[0])
        nftw(temp_root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("%u passed, %u failed\n", run - failed, failed);
    return failed != 0 || run == 0;
}
