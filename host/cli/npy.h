/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a float32 array [rows, cols] as a NumPy .npy file (format 1.0) while its rows arrive. The
 * file appears under its name only when it is complete. Failures are printed; the functions return
 * exit codes. */
#ifndef SL_CLI_NPY_H
#define SL_CLI_NPY_H

#include <stdint.h>
#include <stdio.h>

struct sl_npy {
    FILE *f;
    char *path, *temp; /* the final and the temporary name */
    uint64_t n_row, n_col;
};

/* Refuses a path that names something else than a regular file. */
int sl_npy_open(struct sl_npy *npy, const char *path, uint64_t n_col);
int sl_npy_append(struct sl_npy *npy, const float *rows, uint64_t n_row);
/* Writes the header and gives the file its name. */
int sl_npy_commit(struct sl_npy *npy);
/* Frees; removes the temporary file unless it was committed. Accepts a zeroed object. */
void sl_npy_close(struct sl_npy *npy);

#endif
