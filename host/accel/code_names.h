/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the contract's codes (abi/codes.def), for messages; never NULL. */
#ifndef SL_ACCEL_CODE_NAMES_H
#define SL_ACCEL_CODE_NAMES_H

const char *sl_status_name(unsigned status); /* "BUS_ERROR" */
const char *sl_op_name(unsigned op);         /* "EXPERT" */

#endif
