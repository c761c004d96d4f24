/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an xclbin for XRT's hardware emulation. */
#ifndef SL_XCLBIN_PACK_H
#define SL_XCLBIN_PACK_H

#include "target.h"

/*
 * board: the device process (sim/board); core: the shared object of the simulated core. Both become
 * part of the container. The same inputs give the same bytes: its UUID is a hash of the rest. The
 * file appears under its name when it is complete. False: one line on stderr.
 */
bool pack(const char *path, const struct target *t, const char *board, const char *core);

/* A listing of the container on stdout; or, with `section` (a number), its bytes into `out`. */
bool show(const char *path, bool json);
bool extract(const char *path, unsigned section, const char *out);

#endif
