/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an xclbin, the container in which XRT takes a card's design (format "xclbin2", XRT
 * 2.13). Opening checks every section against the file; what a section holds is decoded on demand,
 * entry by entry. Any bytes give a container or SL_ERR_FORMAT.
 */
#ifndef SL_CARD_XCLBIN_H
#define SL_CARD_XCLBIN_H

#include <stdbool.h>

#include "base/file.h"
#include "sluice.h"

/* The design that is taken when none is named, in xclbin/ beside the program (make xclbin). */
#define SL_XCLBIN_USUAL "sl_core_u50_p1t1_rtl_hw_emu.xclbin"

/* Numbers of the format that are used here: sections, header.mode, memories, IPs. */
enum sl_xclbin_kind {
    SL_XCLBIN_BITSTREAM = 0,
    SL_XCLBIN_METADATA = 2, /* XML */
    SL_XCLBIN_MEMORY = 6,
    SL_XCLBIN_CONNECTIVITY = 7,
    SL_XCLBIN_IP = 8,
    SL_XCLBIN_DEBUG_IP = 9,
    SL_XCLBIN_CLOCKS = 11,
    SL_XCLBIN_BUILD = 14 /* JSON */
};
enum { SL_XCLBIN_MODE_HW_EMU = 4, SL_XCLBIN_IP_KERNEL = 1 };
enum { SL_XCLBIN_MEM_DDR = 1, SL_XCLBIN_MEM_HBM = 6 };

/* Sizes and places in the file, in bytes. Numbers are little endian. */
enum sl_xclbin_layout {
    SL_XCLBIN_HEADER = 456, /* the section table follows */
    SL_XCLBIN_AT_SIGNATURE = 8,
    SL_XCLBIN_AT_KEY = 12, /* up to AT_ID */
    SL_XCLBIN_AT_ID = 296,
    SL_XCLBIN_AT_LENGTH = 304,
    SL_XCLBIN_AT_TIME = 312,
    SL_XCLBIN_AT_PATCH = 328,
    SL_XCLBIN_AT_MAJOR = 330,
    SL_XCLBIN_AT_MINOR = 331,
    SL_XCLBIN_AT_MODE = 332,
    SL_XCLBIN_AT_VBNV = 352,
    SL_XCLBIN_VBNV = 64,
    SL_XCLBIN_AT_UUID = 416,
    SL_XCLBIN_AT_N_SECTION = 448,
    SL_XCLBIN_SECTION = 40, /* u32 kind, 16 characters, u64 offset at 24, u64 size at 32 */
    SL_XCLBIN_MEMORY_ENTRY = 40,
    SL_XCLBIN_IP_ENTRY = 80,
    SL_XCLBIN_CONNECTION_ENTRY = 12,
    SL_XCLBIN_LIST = 8, /* entries of memories and IPs begin there, those of connections at 4 */
    SL_XCLBIN_MAX_SECTION = 64
};

struct sl_xclbin {
    struct sl_mapping map; /* owned */
    unsigned mode;
    uint8_t uuid[16];
    char vbnv[SL_XCLBIN_VBNV + 1]; /* the platform's name */
    uint32_t n_section;
};

struct sl_xclbin_section {
    uint32_t kind;
    char name[17];
    const uint8_t *data;
    size_t size;
};
struct sl_xclbin_memory {
    unsigned type;
    bool used;
    uint64_t bytes, base;
    char tag[17];
};
struct sl_xclbin_ip {
    uint32_t type, properties;
    uint64_t base;
    char name[65]; /* "kernel:instance" */
};
struct sl_xclbin_connection {
    uint32_t arg, ip, memory;
};

/* SL_ERR_IO, SL_ERR_FORMAT: the reason names the path. */
int sl_xclbin_open(struct sl_xclbin *out, const char *path);
void sl_xclbin_close(struct sl_xclbin *x);

/* False: there are not so many. */
bool sl_xclbin_section_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_section *out);
bool sl_xclbin_find(const struct sl_xclbin *x, uint32_t kind, struct sl_xclbin_section *out);
bool sl_xclbin_memory_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_memory *out);
bool sl_xclbin_ip_at(const struct sl_xclbin *x, uint32_t i, struct sl_xclbin_ip *out);
bool sl_xclbin_connection_at(const struct sl_xclbin *x, uint32_t i,
                             struct sl_xclbin_connection *out);

/* The core in it: kernel and weight ports, from IPs and connections. */
struct sl_xclbin_core {
    char kernel[65]; /* "sl_core" */
    unsigned n_port;
};
/* SL_ERR_FORMAT: no core, or not one that this program knows. */
int sl_xclbin_core(const struct sl_xclbin *x, const char *path, struct sl_xclbin_core *out);

#endif
