/* SPDX-License-Identifier: Apache-2.0 */
/* What the tools that write models without weights share: random bytes, a config cut to some
 * layers, a safetensors header. */
#ifndef SL_TOOLS_SYNTHETIC_H
#define SL_TOOLS_SYNTHETIC_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/config.h"

/* A step of splitmix64's output function: any 64 bits to 64 that look random. */
uint64_t synthetic_mix(uint64_t x);
/* n bytes, a multiple of 8, that follow from `start` (splitmix64). */
void synthetic_fill(uint8_t *dst, uint64_t n, uint64_t start);

/* Reads a config.json; layers > 0 replaces its number of layers. *json: the text for the new
 * config.json, which the caller frees. SL_ERR_IO, SL_ERR_FORMAT, and what the config's checks say.
 */
int synthetic_config(struct sl_config *out, char **json, const char *path, long layers);

/* Adds an entry that begins at *at; moves *at behind its `bytes`. */
void synthetic_entry(json_t *header, const char *name, const char *dtype, const uint64_t *dim,
                     unsigned n_dim, uint64_t bytes, uint64_t *at);
/* The length word and the header's text, padded with blanks to a multiple of 64 bytes; the caller
 * frees. NULL: out of memory. */
char *synthetic_header(json_t *header, size_t *n);

#endif
