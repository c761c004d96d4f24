/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of the core, numbered and placed by the contract (abi/regs.def). */
#ifndef SL_ACCEL_ARGS_H
#define SL_ACCEL_ARGS_H

#include "accel/device.h"
#include "sl_abi.h"

/* Numbers of pointers: the control buffer, then the weight ports, of which there are P. Scalars are
 * numbered as if P were 1. */
enum sl_arg {
#define REG(name, offset, doc)
#define ARG_PTR(name, doc) SL_ARG_##name,
#define ARG_PORTS(doc) SL_ARG_W,
#define ARG_U32(name, doc) SL_ARG_##name,
#include "regs.def"
#undef REG
#undef ARG_PTR
#undef ARG_PORTS
#undef ARG_U32
    SL_N_ARG
};
enum { SL_ARG_SCALAR = SL_ARG_W + 1, SL_N_SCALAR = SL_N_ARG - SL_ARG_SCALAR };

/* Control words of ap_ctrl_hs. */
enum sl_reg {
#define REG(name, offset, doc) SL_REG_##name = offset,
#define ARG_PTR(name, doc)
#define ARG_PORTS(doc)
#define ARG_U32(name, doc)
#include "regs.def"
#undef REG
#undef ARG_PTR
#undef ARG_PORTS
#undef ARG_U32
    SL_BIT_START = 1,
    SL_BIT_DONE = 1
};

/* Default of the TIMEOUT argument: cycles without a beat, 4 ms at 225 MHz. */
enum { SL_CORE_TIMEOUT = 1000000 };

/* Offset as Vitis HLS assigns it: pointers take two words and a reserved one, scalars one and a
 * reserved one. */
static inline uint32_t sl_arg_offset(enum sl_arg arg, unsigned n_port)
{
    enum { PTR = 12, U32 = 8, FIRST = 0x10 };
    if (arg <= SL_ARG_W)
        return FIRST + (uint32_t)arg * PTR;
    return FIRST + PTR * (SL_ARG_W + n_port) + U32 * (uint32_t)(arg - SL_ARG_SCALAR);
}

/* The scalars of a launch, as the contract numbers them: out[arg - SL_ARG_SCALAR]. */
static inline void sl_arg_scalars(uint32_t out[SL_N_SCALAR], const struct sl_device *dev,
                                  uint32_t job_off, uint32_t n_job, uint32_t timeout)
{
    out[SL_ARG_JOB_OFF - SL_ARG_SCALAR] = job_off;
    out[SL_ARG_JOB_COUNT - SL_ARG_SCALAR] = n_job;
    out[SL_ARG_CTL_LIMIT - SL_ARG_SCALAR] = dev->ctl_beats;
    out[SL_ARG_W_LIMIT - SL_ARG_SCALAR] = dev->w_beats;
    out[SL_ARG_TIMEOUT - SL_ARG_SCALAR] = timeout;
}

#endif
