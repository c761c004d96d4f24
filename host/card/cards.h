/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alveo cards as Linux shows them: PCI functions bound to XRT's driver xocl, and their hwmon
 * sensors. Only files below sysfs are read, so that no runtime is needed. No card has been read
 * yet; the tests read a folder that looks like one.
 */
#ifndef SL_CARD_CARDS_H
#define SL_CARD_CARDS_H

#include <stdbool.h>
#include <stddef.h>

struct sl_card {
    char bdf[16]; /* "0000:3b:00.1" */
};

/* sysfs: "/sys". Fills at most cap entries, by address; returns how many exist. */
size_t sl_cards_list(const char *sysfs, struct sl_card *out, size_t cap);
/* "42.0 C FPGA, 23.5 W power1" of one card. False: it shows none. */
bool sl_card_sensors(const char *sysfs, const char *bdf, char *out, size_t cap);

/* Where the loader would take a library from: LD_LIBRARY_PATH, its cache, its usual folders. False:
 * nowhere. The library is not opened. */
bool sl_library_find(const char *name, char *path, size_t cap);
/* What a card's process would lack, with what to do: "" when it would start and find the library,
 * the Debian package of which is named. */
void sl_card_missing(const char *library, const char *package, char *out, size_t cap);

#endif
