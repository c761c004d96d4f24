/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_num.h"

unsigned tb_exp_neg_want(unsigned d);

unsigned tb_exp_neg_want(unsigned d)
{
    return ref_exp_neg(d);
}
