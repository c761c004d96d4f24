/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint with the logits of an independent float64 pass (make_variants.py) beside it. */
#ifndef SL_TEST_VARIANT_RIG_H
#define SL_TEST_VARIANT_RIG_H

#include "golden_read.h"
#include "sluice.h"

struct variant_rig {
    char path[400];
    struct golden g;
    const int32_t *ids;
    size_t n;
    uint32_t n_vocab;
};

/* dir below sl_golden_dir(): "variants/NAME". Assertion failures are fatal. */
void variant_open(struct variant_rig *r, const char *dir);
void variant_close(struct variant_rig *r);

/* All logits [n][n_vocab], malloc()ed; fed in two calls, so that the second starts in the middle of
 * things. */
float *variant_run(const struct variant_rig *r, const struct sl_model_params *mp,
                   const struct sl_session_params *sp, size_t first);

/* The exact path is within the tolerance of tests/golden/README.md, however it is fed. */
void variant_check_exact(const char *dir);
/* On the fabric: finite, and the same bits however it is fed and wherever K and V are packed. */
void variant_check_fabric(const char *dir, const char *format);

#endif
