/* SPDX-License-Identifier: Apache-2.0 */
/* Zip files, right and wrong, written by hand (APPNOTE.TXT 4.3): stored entries, zip64 where a
 * place needs it. Shares nothing with the reader. */
#ifndef SL_TEST_ZIP_RIG_H
#define SL_TEST_ZIP_RIG_H

#include <stdint.h>
#include <stdio.h>

enum { ZIP_RIG_MAX = 16, ZIP_RIG_NAME = 64 };

struct zip_rig_entry {
    char name[ZIP_RIG_NAME];
    uint64_t at, size;
    uint16_t method, flags;
};

struct zip_rig {
    FILE *f;
    struct zip_rig_entry entry[ZIP_RIG_MAX];
    unsigned n;
    uint16_t method, flags; /* of entries added from here on: what they say of themselves */
    uint64_t hole;          /* bytes left out in front of each further entry */
    uint64_t extra;         /* bytes added to the size that each further entry says */
    uint16_t padding;       /* bytes of extra field in front of each entry's data */
};

void zip_rig_open(struct zip_rig *z, const char *path);
void zip_rig_add(struct zip_rig *z, const char *name, const void *data, size_t n);
/* The same for n bytes of zeros that are not written. */
void zip_rig_add_zeros(struct zip_rig *z, const char *name, uint64_t n);
/* Writes the directory and closes the file. */
void zip_rig_close(struct zip_rig *z);

/* A file as torch.save makes it: x/data.pkl, x/data/0 with 64 bytes 0, 1, 2, ..., x/version. */
void torch_rig_put(const char *path, const void *pickle, size_t n);

/* ---- pieces of pickles ------------------------------------------------------------------- */

#define PKL_STORAGE(type, key, n)                                                                  \
    "(" PKL_SHORT7("storage") "c" type "\n" key PKL_SHORT3("cpu") n "tQ"
#define PKL_SHORT1(text) "X\1\0\0\0" text
#define PKL_SHORT3(text) "X\3\0\0\0" text
#define PKL_SHORT7(text) "X\7\0\0\0" text
#define PKL_NO_HOOKS "ccollections\nOrderedDict\n)R"
#define PKL_TENSOR(storage, offset, sizes, strides)                                                \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset sizes strides "\211" PKL_NO_HOOKS "tR"
#define PKL_FLOATS PKL_STORAGE("torch\nFloatStorage", PKL_SHORT1("0"), "K\20")
/* {"w": value} */
#define PKL_DICT(value) "\200\2}" PKL_SHORT1("w") value "s."

#endif
