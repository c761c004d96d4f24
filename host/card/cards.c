/* SPDX-License-Identifier: Apache-2.0 */
#include "card/cards.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static bool is_bdf(const char *name)
{
    unsigned domain, bus, device, function;
    char end;
    return strlen(name) < sizeof((struct sl_card *)0)->bdf &&
           sscanf(name, "%4x:%2x:%2x.%1x%c", &domain, &bus, &device, &function, &end) == 4;
}

static int by_address(const void *a, const void *b)
{
    return strcmp(((const struct sl_card *)a)->bdf, ((const struct sl_card *)b)->bdf);
}

size_t sl_cards_list(const char *sysfs, struct sl_card *out, size_t cap)
{
    char path[PATH_MAX];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/bus/pci/drivers/xocl", sysfs);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (is_bdf(e->d_name)) {
            if (n < cap)
                snprintf(out[n].bdf, sizeof out[n].bdf, "%.15s", e->d_name);
            n++;
        }
    if (dir)
        closedir(dir);
    qsort(out, n < cap ? n : cap, sizeof out[0], by_address);
    return n;
}

/* ---- sensors -------------------------------------------------------------------------------- */

static bool read_line(const char *path, char *out, int cap)
{
    FILE *file = fopen(path, "r");
    const bool got = file && fgets(out, cap, file);
    if (file)
        fclose(file);
    if (got)
        out[strcspn(out, "\n")] = 0;
    return got;
}

/* Appends the value of <dir>/<item>_input (or _average) with its label. */
static size_t add_sensor(const char *dir, const char *file, char *out, size_t cap)
{
    char path[2 * PATH_MAX], text[64], label[64], item[32];
    const size_t len = strcspn(file, "_");
    const bool heat = !strncmp(file, "temp", 4), power = !strncmp(file, "power", 5);
    if ((!heat && !power) || len >= sizeof item ||
        (strcmp(file + len, "_input") && strcmp(file + len, "_average")))
        return 0;
    snprintf(item, sizeof item, "%.*s", (int)len, file);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (!read_line(path, text, sizeof text))
        return 0;
    snprintf(path, sizeof path, "%s/%s_label", dir, item);
    if (!read_line(path, label, sizeof label))
        snprintf(label, sizeof label, "%s", item);
    const int n = snprintf(out, cap, "%.1f %s %s, ", strtod(text, NULL) / (heat ? 1e3 : 1e6),
                           heat ? "C" : "W", label);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

bool sl_card_sensors(const char *sysfs, const char *bdf, char *out, size_t cap)
{
    char root[PATH_MAX - 300], path[PATH_MAX];
    size_t n = 0;
    snprintf(root, sizeof root, "%s/bus/pci/devices/%s/hwmon", sysfs, bdf);
    DIR *dir = opendir(root);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strncmp(e->d_name, "hwmon", 5))
            continue;
        snprintf(path, sizeof path, "%s/%s", root, e->d_name);
        struct dirent **file = NULL;
        const int n_file = scandir(path, &file, NULL, alphasort);
        for (int i = 0; i < n_file; i++) {
            n += add_sensor(path, file[i]->d_name, out + n, cap - n);
            free(file[i]);
        }
        free(file);
    }
    if (dir)
        closedir(dir);
    out[n > 2 ? n - 2 : 0] = 0; /* the last separator */
    return n > 2;
}

/* ---- libraries ------------------------------------------------------------------------------ */

static bool in_folder(const char *folder, size_t len, const char *name, char *path, size_t cap)
{
    const int n = snprintf(path, cap, "%.*s/%s", (int)len, folder, name);
    return len && n > 0 && (size_t)n < cap && !access(path, R_OK);
}

static bool in_list(const char *list, const char *name, char *path, size_t cap)
{
    for (; list && *list; list += strcspn(list, ":;") + (list[strcspn(list, ":;")] != 0))
        if (in_folder(list, strcspn(list, ":;"), name, path, cap))
            return true;
    return false;
}

/* The cache ends with the names and paths that it lists, each with its NUL. */
static bool in_cache(const char *name, char *path, size_t cap)
{
    struct sl_mapping map;
    char word[256];
    bool found = false;
    const int len = snprintf(word, sizeof word, "/%s", name);
    if (len < 0 || (size_t)len >= sizeof word || sl_mapping_open(&map, "/etc/ld.so.cache"))
        return false;
    const uint8_t *at = map.data, *end = map.data + map.size;
    while (!found && at && (at = memmem(at, (size_t)(end - at), word, (size_t)len + 1))) {
        const uint8_t *begin = at++;
        while (begin > map.data && begin[-1])
            begin--;
        found = (size_t)snprintf(path, cap, "%s", (const char *)begin) < cap && !access(path, R_OK);
    }
    sl_mapping_close(&map);
    return found;
}

bool sl_library_find(const char *name, char *path, size_t cap)
{
    static const char usual[] = "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:"
                                "/lib:/usr/lib:/usr/local/lib";
    return in_list(getenv("LD_LIBRARY_PATH"), name, path, cap) || in_cache(name, path, cap) ||
           in_list(usual, name, path, cap);
}

void sl_card_missing(const char *library, const char *package, char *out, size_t cap)
{
    char folder[PATH_MAX], path[PATH_MAX + 32];
    sl_program_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/sl_device_host", folder);
    out[0] = 0;
    if (access(path, X_OK))
        snprintf(out, cap, "sl_device_host is not built: make");
    else if (strchr(library, '/') ? access(library, R_OK)
                                  : !sl_library_find(library, path, sizeof path))
        snprintf(out, cap, "%.64s is not there: install %s", library, package);
}
