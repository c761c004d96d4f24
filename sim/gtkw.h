/* SPDX-License-Identifier: Apache-2.0 */
/* Save files of GTKWave: which signals of a waveform to show first. */
#ifndef SL_SIM_GTKW_H
#define SL_SIM_GTKW_H

#include <stdbool.h>
#include <stdint.h>

/* Writes `wave`.gtkw for that FST file. Times in picoseconds. False: the file cannot be written. */
bool sl_gtkw_write(const char *wave, unsigned n_port, uint64_t from, uint64_t to);

#endif
