/* SPDX-License-Identifier: Apache-2.0 */
#include "store_rig.h"

#include <dirent.h>
#include <jansson.h>
#include <liburing.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slab_read.h"
#include "test_main.h"

const char *rig_join(const char *dir, const char *name)
{
    static char buffer[8][RIG_PATH];
    static unsigned next;
    char *out = buffer[next++ % 8];
    snprintf(out, RIG_PATH, "%s/%s", dir, name);
    return out;
}

bool rig_exists(const char *dir, const char *name)
{
    return access(rig_join(dir, name), F_OK) == 0;
}

const char *const *rig_models(void)
{
    static const char *const golden[] = {"hunyuan-large-cla2", "hunyuan-large-fp8-dequant",
                                         "hunyuan-v1-moe-a13b", "yuan2-m32-base"};
    static const char *const demo[] = {"models/demo-hunyuan", "models/demo-yuan"};
    static char path[6][RIG_PATH];
    static const char *list[7];
    if (list[0])
        return list;
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        snprintf(path[n], RIG_PATH, "%s/%s", sl_golden_dir(), golden[i]);
        list[n] = path[n];
        n++;
    }
    for (size_t i = 0; i < 2; i++)
        if (rig_exists(demo[i], "model.safetensors"))
            list[n++] = demo[i];
    return list;
}

uint8_t *rig_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        return NULL;
    uint8_t *data = calloc((size_t)st.st_size + 1, 1);
    *n = fread(data, 1, (size_t)st.st_size, f);
    fclose(f);
    return data;
}

void rig_write(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(data, 1, n, f), n);
    fclose(f);
}

void rig_copy_dir(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        size_t n;
        uint8_t *data = rig_read(rig_join(from, e->d_name), &n);
        if (data)
            rig_write(rig_join(to, e->d_name), data, n);
        free(data);
    }
    closedir(dir);
}

void rig_fresh(char out[RIG_PATH], const char *from)
{
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(out, RIG_PATH), 0);
    if (from)
        rig_copy_dir(from, out);
}

unsigned rig_count(const char *dir, const char *suffix)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name), tail = strlen(suffix);
        n += e->d_name[0] != '.' && len >= tail && !strcmp(e->d_name + len - tail, suffix);
    }
    if (d)
        closedir(d);
    return n;
}

int rig_descriptor(const char *path)
{
    for (int i = 3; i < 256; i++) {
        char link[64], name[RIG_PATH];
        snprintf(link, sizeof link, "/proc/self/fd/%d", i);
        const ssize_t n = readlink(link, name, sizeof name);
        if (n > 0 && (size_t)n == strlen(path) && !memcmp(name, path, (size_t)n))
            return i;
    }
    return -1;
}

bool rig_has_uring(void)
{
    struct io_uring ring;
    const bool has = !io_uring_queue_init(4, &ring, 0);
    if (has)
        io_uring_queue_exit(&ring);
    return has;
}

bool rig_mount_small(const char *dir, const char *options)
{
    return !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
           !mount("sluice", dir, "tmpfs", 0, options);
}

static bool same_file(const char *a, const char *b)
{
    size_t na = 0, nb = 0;
    uint8_t *x = rig_read(a, &na), *y = rig_read(b, &nb);
    bool same = x && y && na == nb && !memcmp(x, y, na);
    if (!same)
        printf("[%s and %s differ] ", a, b);
    free(x);
    free(y);
    return same;
}

bool rig_same_dirs(const char *a, const char *b)
{
    bool same = rig_count(a, "") == rig_count(b, "") && rig_count(a, "") > 0;
    DIR *d = opendir(a);
    for (struct dirent *e; same && d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            same = same_file(rig_join(a, e->d_name), rig_join(b, e->d_name));
    if (d)
        closedir(d);
    return same;
}

void rig_flip(const char *path, size_t at, uint8_t mask)
{
    FILE *f = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fseek(f, (long)at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, (long)at, SEEK_SET);
    CU_ASSERT_NOT_EQUAL(fputc(c ^ mask, f), EOF);
    fclose(f);
}

bool rig_find(const char *path, const char *name, struct rig_tensor *out)
{
    size_t n;
    uint8_t *data = rig_read(path, &n);
    uint64_t len = 0;
    if (!data || n < 8)
        return false;
    memcpy(&len, data, 8);
    json_t *root = json_loadb((const char *)data + 8, len, 0, NULL),
           *e = json_object_get(root, name);
    free(data);
    bool found = e != NULL;
    if (found) {
        json_t *shape = json_object_get(e, "shape"), *at = json_object_get(e, "data_offsets");
        snprintf(out->dtype, sizeof out->dtype, "%s",
                 json_string_value(json_object_get(e, "dtype")));
        out->n_dim = json_array_size(shape);
        for (size_t i = 0; i < out->n_dim; i++)
            out->dim[i] = (uint64_t)json_integer_value(json_array_get(shape, i));
        out->offset = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 0));
        out->bytes = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 1)) - out->offset;
    }
    json_decref(root);
    return found;
}

static float read_scale(const char *path, const char *name)
{
    char scale_name[256];
    struct rig_tensor t;
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    CU_ASSERT_FATAL(rig_find(path, scale_name, &t));
    size_t n;
    uint8_t *data = rig_read(path, &n);
    float s;
    memcpy(&s, data + t.offset, sizeof s);
    free(data);
    return s;
}

float *rig_values(const char *path, const char *name, struct rig_tensor *info)
{
    size_t n_file, n = 1;
    if (!rig_find(path, name, info))
        return NULL;
    uint8_t *data = rig_read(path, &n_file), *p = data + info->offset;
    for (uint64_t i = 0; i < info->n_dim; i++)
        n *= info->dim[i];
    float *out = malloc(n * sizeof *out);
    float scale = strcmp(info->dtype, "F8_E4M3") ? 1 : read_scale(path, name);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(info->dtype, "F32")) {
            memcpy(out + i, p + 4 * i, 4);
        } else if (!strcmp(info->dtype, "BF16")) {
            uint32_t bits = (uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16;
            memcpy(out + i, &bits, 4);
        } else {
            out[i] = (float)sl_test_e4m3(p[i]) * scale;
        }
    }
    free(data);
    return out;
}

struct rig_entry *rig_load(const char *path, size_t *n)
{
    size_t n_file;
    uint8_t *data = rig_read(path, &n_file);
    uint64_t len;
    memcpy(&len, data, 8);
    json_t *root = json_loadb((const char *)data + 8, len, 0, NULL), *value;
    free(data);
    struct rig_entry *e = calloc(json_object_size(root), sizeof *e);
    const char *key;
    *n = 0;
    json_object_foreach(root, key, value)
    {
        struct rig_tensor t;
        if (!strcmp(key, "__metadata__"))
            continue;
        struct rig_entry *x = &e[(*n)++];
        snprintf(x->name, sizeof x->name, "%s", key);
        x->data = rig_values(path, key, &t);
        x->rows = t.dim[0];
        x->cols = t.n_dim > 1 ? t.dim[1] : 0;
    }
    json_decref(root);
    return e;
}

void rig_free(struct rig_entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(e[i].data);
    free(e);
}

void rig_save(const char *path, const struct rig_entry *e, size_t n)
{
    json_t *root = json_object();
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = e[i].rows * (e[i].cols ? e[i].cols : 1) * 4;
        json_t *shape = json_pack("[I]", (json_int_t)e[i].rows);
        if (e[i].cols)
            json_array_append_new(shape, json_integer((json_int_t)e[i].cols));
        json_object_set_new(root, e[i].name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + bytes)));
        at += bytes;
    }
    char *text = json_dumps(root, JSON_COMPACT);
    uint64_t len = strlen(text);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(&len, 8, 1, f);
    fwrite(text, 1, len, f);
    for (size_t i = 0; i < n; i++)
        fwrite(e[i].data, 4, e[i].rows * (e[i].cols ? e[i].cols : 1), f);
    fclose(f);
    free(text);
    json_decref(root);
}
