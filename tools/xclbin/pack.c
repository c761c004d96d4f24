/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include <zip.h>

#include "board/monitor.h"
#include "card/xclbin.h"

enum { MAX_SECTION = 12, ALIGN = 8, IP_INTERRUPT = 1 };
/* Debug IPs as XRT numbers them. */
enum { AXI_MONITOR = 3, CORE_MONITOR = 7, COUNT_64 = 8, STALLS = 4 };

struct section {
    uint32_t kind;
    const char *name;
    char *data; /* owned */
    size_t size;
};

struct container {
    struct section section[MAX_SECTION];
    unsigned n;
    bool failed;
};

static void put(char *at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (char)(v >> 8 * i);
}

static bool say(const char *what, const char *path)
{
    fprintf(stderr, "error: %s %s\n", what, path);
    return false;
}

/* Takes ownership of data. */
static void add(struct container *c, uint32_t kind, const char *name, char *data, size_t size)
{
    c->failed = c->failed || !data || c->n == MAX_SECTION;
    if (c->failed)
        free(data);
    else
        c->section[c->n++] = (struct section){kind, name, data, size};
}

/* ---- sections ------------------------------------------------------------------------------- */

static void add_memories(struct container *c, const struct target *t)
{
    const size_t size = SL_XCLBIN_LIST + (size_t)t->n_master * SL_XCLBIN_MEMORY_ENTRY;
    char *data = calloc(1, size);
    if (data)
        put(data, t->n_master, 4);
    for (unsigned m = 0; data && m < t->n_master; m++) {
        char *e = data + SL_XCLBIN_LIST + (size_t)m * SL_XCLBIN_MEMORY_ENTRY;
        const struct master *master = &t->master[m];
        const uint64_t mib = t->card->hbm_mib;
        put(e, SL_XCLBIN_MEM_HBM, 1);
        put(e + 1, 1, 1);
        put(e + 8, master->count * mib * 1024, 8); /* KiB */
        put(e + 16, master->first * mib << 20, 8);
        snprintf(e + 24, 16, "HBM[%u]", master->first);
    }
    add(c, SL_XCLBIN_MEMORY, "mem_topology", data, size);
}

static void add_ip(struct container *c)
{
    const size_t size = SL_XCLBIN_LIST + SL_XCLBIN_IP_ENTRY;
    char *data = calloc(1, size);
    if (data) {
        char *e = data + SL_XCLBIN_LIST;
        put(data, 1, 4);
        put(e, SL_XCLBIN_IP_KERNEL, 4);
        put(e + 4, IP_INTERRUPT, 4); /* control protocol 0: ap_ctrl_hs */
        put(e + 8, CONTROL_BASE, 8);
        strcpy(e + 16, "sl_core:sl_core_1");
    }
    add(c, SL_XCLBIN_IP, "ip_layout", data, size);
}

static void add_connections(struct container *c, const struct target *t)
{
    const size_t size = 4 + (size_t)t->n_master * SL_XCLBIN_CONNECTION_ENTRY;
    char *data = calloc(1, size);
    unsigned n = 0;
    for (unsigned i = 0; data && i < t->n_arg; i++)
        if (t->arg[i].pointer) {
            char *e = data + 4 + (size_t)n++ * SL_XCLBIN_CONNECTION_ENTRY;
            put(e, i, 4);
            put(e + 8, t->arg[i].master, 4);
        }
    if (data)
        put(data, n, 4);
    add(c, SL_XCLBIN_CONNECTIVITY, "connectivity", data, size);
}

static void put_monitor(char *e, unsigned type, unsigned index, unsigned properties, unsigned at)
{
    put(e, type, 1);
    put(e + 1, index & 0xFF, 1);
    put(e + 2, properties, 1);
    put(e + 3, 1, 1); /* version 1.1 */
    put(e + 4, 1, 1);
    put(e + 5, index >> 8, 1);
    put(e + 8, MONITOR_BASE + (uint64_t)at * MONITOR_STRIDE, 8);
}

/* A monitor at each memory port, then the core's (sim/board/monitor.h). */
static void add_monitors(struct container *c, const struct target *t)
{
    enum { ENTRY = 144, NAME = 128, CORE_INDEX = 64 };
    const size_t size = SL_XCLBIN_LIST + (size_t)(t->n_master + 1) * ENTRY;
    char *data = calloc(1, size);
    if (data) {
        put(data, t->n_master + 1, 2);
        for (unsigned m = 0; m < t->n_master; m++) {
            char *e = data + SL_XCLBIN_LIST + (size_t)m * ENTRY;
            put_monitor(e, AXI_MONITOR, 2 * m, COUNT_64, m);
            snprintf(e + 16, NAME, "sl_core_1/%s-HBM[%u]", t->master[m].name, t->master[m].first);
        }
        char *e = data + SL_XCLBIN_LIST + (size_t)t->n_master * ENTRY;
        put_monitor(e, CORE_MONITOR, CORE_INDEX, COUNT_64 | STALLS, t->n_master);
        strcpy(e + 16, "sl_core_1");
    }
    add(c, SL_XCLBIN_DEBUG_IP, "debug_ip_layout", data, size);
}

static void add_clock(struct container *c)
{
    enum { SIZE = 138, DATA_CLOCK = 1 };
    char *data = calloc(1, SIZE);
    if (data) {
        put(data, 1, 2);
        put(data + 2, SL_SIM_CLOCK_HZ / 1000000, 2);
        put(data + 4, DATA_CLOCK, 1);
        strcpy(data + 10, "DATA_CLK");
    }
    add(c, SL_XCLBIN_CLOCKS, "clock_freq", data, SIZE);
}

static void add_text(struct container *c, uint32_t kind, const char *name, const struct target *t,
                     void (*print)(FILE *, const struct target *))
{
    char *data = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&data, &size);
    if (out) {
        print(out, t);
        fclose(out);
    }
    add(c, kind, name, data, size);
}

/* XRT profiles designs of a tool from 2019.2 on, and goes by this version. */
static void print_build(FILE *out, const struct target *t)
{
    fprintf(
        out,
        "{\"build_metadata\": {\"xclbin\": {\"generated_by\": {\"name\": \"slxclbin\", "
        "\"version\": \"2022.1\", \"options\": \"%s, %u ports, %u columns, %s\", \"time_stamp\": "
        "\"\"}}}}",
        t->card->name, t->n_port, t->n_column, t->hls ? "hls" : "rtl");
}

/* ---- the folder that XRT unpacks ------------------------------------------------------------ */

static bool zip_bytes(zip_t *zip, const char *name, const void *data, size_t size, unsigned mode)
{
    enum { DAY = 315619200 }; /* 1980-01-02: the same bytes every time */
    zip_source_t *source = zip_source_buffer(zip, data, size, 0);
    zip_int64_t i = source ? zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (i < 0) {
        zip_source_free(source);
        return false;
    }
    return zip_set_file_compression(zip, (zip_uint64_t)i, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_mtime(zip, (zip_uint64_t)i, DAY, 0) == 0 &&
           zip_file_set_external_attributes(zip, (zip_uint64_t)i, 0, ZIP_OPSYS_UNIX,
                                            (zip_uint32_t)(S_IFREG | mode) << 16) == 0;
}

static char *read_whole(const char *path, size_t *size)
{
    enum { MAX_FILE = 256 << 20 };
    struct sl_mapping map;
    if (sl_mapping_open(&map, path))
        return NULL;
    char *data = map.size && map.size < MAX_FILE ? malloc(map.size) : NULL;
    if (data)
        memcpy(data, map.data, map.size);
    *size = map.size;
    sl_mapping_close(&map);
    return data;
}

/* What stands in the container. XRT looks for behav_waveform/xsim and starts simulate.sh in it. */
struct folder {
    char *board, *core, *config;
    size_t board_size, core_size, config_size;
};

static bool zip_folder(zip_t *zip, const struct folder *f, const char *core_name)
{
    static const char script[] = "#!/bin/sh\nexec ./sl_board 2>>simulate.log\n";
    char path[300];
    snprintf(path, sizeof path, "behav_waveform/xsim/%s", core_name);
    return zip_bytes(zip, "behav_waveform/xsim/simulate.sh", script, sizeof script - 1, 0755) &&
           zip_bytes(zip, "behav_waveform/xsim/sl_board", f->board, f->board_size, 0755) &&
           zip_bytes(zip, path, f->core, f->core_size, 0755) &&
           zip_bytes(zip, "behav_waveform/xsim/board.cfg", f->config, f->config_size, 0644);
}

static char *zip_to_memory(const struct folder *f, const char *core_name, size_t *size)
{
    zip_error_t error;
    zip_stat_t stat;
    char *data = NULL;
    zip_error_init(&error);
    zip_source_t *out = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *zip = out ? zip_open_from_source(out, ZIP_TRUNCATE, &error) : NULL;
    if (!zip)
        return NULL;
    zip_source_keep(out);
    if (!zip_folder(zip, f, core_name) || zip_close(zip)) {
        zip_discard(zip);
        zip_source_free(out);
        return NULL;
    }
    if (zip_source_stat(out, &stat) == 0 && stat.valid & ZIP_STAT_SIZE &&
        zip_source_open(out) == 0) {
        data = malloc(stat.size);
        if (data && zip_source_read(out, data, stat.size) != (zip_int64_t)stat.size) {
            free(data);
            data = NULL;
        }
        zip_source_close(out);
        *size = stat.size;
    }
    zip_source_free(out);
    return data;
}

static bool add_folder(struct container *c, const struct target *t, const char *board,
                       const char *core)
{
    struct folder f = {0};
    const char *slash = strrchr(core, '/'), *core_name = slash ? slash + 1 : core;
    size_t size = 0;
    FILE *config = open_memstream(&f.config, &f.config_size);
    if (config) {
        print_board_cfg(config, t, core_name);
        fclose(config);
    }
    f.board = read_whole(board, &f.board_size);
    f.core = read_whole(core, &f.core_size);
    const bool good = f.board && f.core && f.config;
    char *zip = good ? zip_to_memory(&f, core_name, &size) : NULL;
    if (good)
        add(c, SL_XCLBIN_BITSTREAM, "simulation", zip, size);
    else
        say("cannot read", f.board ? core : board);
    free(f.board);
    free(f.core);
    free(f.config);
    return good;
}

/* ---- file ----------------------------------------------------------------------------------- */

static size_t padded(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static void put_header(char *d, size_t size, const struct container *c, const struct target *t)
{
    memcpy(d, "xclbin2", 8);
    put(d + SL_XCLBIN_AT_SIGNATURE, UINT64_MAX, 4); /* unsigned, and a key of ones */
    memset(d + SL_XCLBIN_AT_KEY, 0xFF, SL_XCLBIN_AT_ID - SL_XCLBIN_AT_KEY);
    put(d + SL_XCLBIN_AT_LENGTH, size, 8);
    put(d + SL_XCLBIN_AT_PATCH, 466, 2); /* of XRT, whose format this is */
    put(d + SL_XCLBIN_AT_MAJOR, 2, 1);
    put(d + SL_XCLBIN_AT_MINOR, 13, 1);
    put(d + SL_XCLBIN_AT_MODE, SL_XCLBIN_MODE_HW_EMU, 2);
    snprintf(d + SL_XCLBIN_AT_VBNV, SL_XCLBIN_VBNV, "%s", t->card->platform);
    put(d + SL_XCLBIN_AT_N_SECTION, c->n, 4);
}

static char *assemble(const struct container *c, const struct target *t, size_t *size)
{
    size_t at = padded(SL_XCLBIN_HEADER + (size_t)c->n * SL_XCLBIN_SECTION);
    *size = at;
    for (unsigned i = 0; i < c->n; i++)
        *size += padded(c->section[i].size);
    char *d = calloc(1, *size);
    if (!d)
        return NULL;
    put_header(d, *size, c, t);
    for (unsigned i = 0; i < c->n; i++) {
        const struct section *s = &c->section[i];
        char *e = d + SL_XCLBIN_HEADER + (size_t)i * SL_XCLBIN_SECTION;
        put(e, s->kind, 4);
        snprintf(e + 4, 16, "%s", s->name);
        put(e + 24, at, 8);
        put(e + 32, s->size, 8);
        memcpy(d + at, s->data, s->size);
        at += padded(s->size);
    }
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(d, *size));
    memcpy(d + SL_XCLBIN_AT_UUID, hash.digest, sizeof hash.digest);
    return d;
}

static bool write_file(const char *path, const char *data, size_t size)
{
    char part[4096];
    if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
        return say("the name is too long:", path);
    FILE *out = fopen(part, "wb");
    bool good = out && fwrite(data, 1, size, out) == size;
    good = out && fclose(out) == 0 && good;
    if (good && rename(part, path) == 0)
        return true;
    remove(part);
    return say("cannot write", path);
}

bool pack(const char *path, const struct target *t, const char *board, const char *core)
{
    struct container c = {0};
    bool good = add_folder(&c, t, board, core);
    size_t size = 0;
    add_memories(&c, t);
    add_ip(&c);
    add_connections(&c, t);
    add_monitors(&c, t);
    add_clock(&c);
    add_text(&c, SL_XCLBIN_METADATA, "metadata", t, print_metadata);
    add_text(&c, SL_XCLBIN_BUILD, "build", t, print_build);
    char *data = good && !c.failed ? assemble(&c, t, &size) : NULL;
    if (good && !data)
        say("no memory for", path);
    good = data && write_file(path, data, size);
    free(data);
    for (unsigned i = 0; i < c.n; i++)
        free(c.section[i].data);
    return good;
}
