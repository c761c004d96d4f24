/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the weight formats, as options and manifests spell them. */
#ifndef SL_STORE_FORMAT_H
#define SL_STORE_FORMAT_H

/* "nf4" -> SL_FORMAT_NF4; SL_ERR_USAGE with the list of formats. */
int sl_format_parse(int *out, const char *name);
const char *sl_format_name(int format);

#endif
