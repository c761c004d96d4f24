/* SPDX-License-Identifier: Apache-2.0 */
#include "zip_rig.h"

#include <CUnit/CUnit.h>
#include <string.h>

#define LIMIT UINT32_MAX /* what needs the wide form */

static void put(struct zip_rig *z, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        fputc((int)(value >> 8 * i & 255), z->f);
}

static uint32_t narrow(uint64_t value)
{
    return value < LIMIT ? (uint32_t)value : LIMIT;
}

void zip_rig_open(struct zip_rig *z, const char *path)
{
    remove(path); /* some file systems wait for the disk when a file is written over */
    *z = (struct zip_rig){.f = fopen(path, "wb")};
    CU_ASSERT_PTR_NOT_NULL_FATAL(z->f);
}

/* What a local header and a line of the directory have in common. */
static void put_facts(struct zip_rig *z, const struct zip_rig_entry *e, unsigned extra)
{
    put(z, 2, 45);
    put(z, 2, e->flags);
    put(z, 2, e->method);
    put(z, 8, 0); /* time, date, checksum */
    put(z, 4, narrow(e->size));
    put(z, 4, narrow(e->size));
    put(z, 2, strlen(e->name));
    put(z, 2, extra);
}

static struct zip_rig_entry *add(struct zip_rig *z, const char *name, uint64_t n)
{
    struct zip_rig_entry *e = &z->entry[z->n++];
    CU_ASSERT_FATAL(z->n <= ZIP_RIG_MAX);
    fseeko(z->f, (off_t)z->hole, SEEK_CUR);
    *e = (struct zip_rig_entry){
        .at = (uint64_t)ftello(z->f), .size = n + z->extra, .method = z->method, .flags = z->flags};
    snprintf(e->name, sizeof e->name, "%s", name);
    put(z, 4, 0x04034B50);
    put_facts(z, e, z->padding);
    fputs(e->name, z->f);
    for (unsigned i = 0; i < z->padding; i++)
        fputc(i < 4 ? "FB\0\0"[i] + (i == 2 ? z->padding - 4 : 0) : 'Z', z->f);
    return e;
}

void zip_rig_add(struct zip_rig *z, const char *name, const void *data, size_t n)
{
    add(z, name, n);
    CU_ASSERT_EQUAL(fwrite(data, 1, n, z->f), n);
}

void zip_rig_add_zeros(struct zip_rig *z, const char *name, uint64_t n)
{
    add(z, name, n);
    fseeko(z->f, (off_t)n, SEEK_CUR);
}

/* Sizes and places past 32 bits stand in an extra field. */
static void put_line(struct zip_rig *z, const struct zip_rig_entry *e)
{
    const unsigned wide = (e->size >= LIMIT ? 16 : 0) + (e->at >= LIMIT ? 8 : 0);
    put(z, 4, 0x02014B50);
    put(z, 2, 45);
    put_facts(z, e, wide ? wide + 4 : 0);
    put(z, 2, 0); /* comment */
    put(z, 8, 0); /* disk, attributes */
    put(z, 4, narrow(e->at));
    fputs(e->name, z->f);
    if (wide) {
        put(z, 2, 1);
        put(z, 2, wide);
    }
    if (e->size >= LIMIT) {
        put(z, 8, e->size);
        put(z, 8, e->size);
    }
    if (e->at >= LIMIT)
        put(z, 8, e->at);
}

static void put_wide_end(struct zip_rig *z, uint64_t begin, uint64_t end)
{
    put(z, 4, 0x06064B50);
    put(z, 8, 44);
    put(z, 4, 45 | 45 << 16);
    put(z, 8, 0); /* disks */
    put(z, 8, z->n);
    put(z, 8, z->n);
    put(z, 8, end - begin);
    put(z, 8, begin);
    put(z, 4, 0x07064B50);
    put(z, 4, 0);
    put(z, 8, end);
    put(z, 4, 1);
}

void zip_rig_close(struct zip_rig *z)
{
    const uint64_t begin = (uint64_t)ftello(z->f);
    for (unsigned i = 0; i < z->n; i++)
        put_line(z, &z->entry[i]);
    const uint64_t end = (uint64_t)ftello(z->f);
    if (end >= LIMIT)
        put_wide_end(z, begin, end);
    put(z, 4, 0x06054B50);
    put(z, 4, 0); /* disks */
    put(z, 2, z->n);
    put(z, 2, z->n);
    put(z, 4, narrow(end - begin));
    put(z, 4, narrow(begin));
    put(z, 2, 0);
    CU_ASSERT_EQUAL(fclose(z->f), 0);
}

void torch_rig_put(const char *path, const void *pickle, size_t n)
{
    struct zip_rig z;
    uint8_t data[64];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    zip_rig_open(&z, path);
    z.padding = 20;
    zip_rig_add(&z, "x/data.pkl", pickle, n);
    zip_rig_add(&z, "x/data/0", data, sizeof data);
    zip_rig_add(&z, "x/version", "3\n", 2);
    zip_rig_close(&z);
}
