/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024, DEEPEST = 64 };

/* "key 123" or "key: 123 kB" in a file of such lines, in the file's own unit. */
static int read_key(const char *path, const char *key, uint64_t *out)
{
    char line[LINE_MAX_BYTES];
    const size_t len = strlen(key);
    FILE *f = fopen(path, "re");
    int found = 0;
    while (f && !found && fgets(line, sizeof line, f)) {
        const char end = line[len < sizeof line ? len : 0];
        found = !strncmp(line, key, len) && (end == ':' || end == ' ') &&
                sscanf(line + len + 1, "%" SCNu64, out) == 1;
    }
    if (f)
        fclose(f);
    return found;
}

/* A file that holds one number; "max" is none. */
static int read_number(const char *path, uint64_t *out)
{
    FILE *f = fopen(path, "re");
    const int found = f && fscanf(f, "%" SCNu64, out) == 1;
    if (f)
        fclose(f);
    return found;
}

/* The names that a version of control groups gives to the same things. */
struct version {
    const char *mount, *limit, *usage, *cache;
};
static const struct version v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                  "memory.usage_in_bytes", "total_inactive_file"};
static const struct version v2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                  "inactive_file"};

static void lower_to_group(const char *root, const struct version *v, const char *group,
                           uint64_t *least, const char **limit_by)
{
    char path[3 * LINE_MAX_BYTES];
    uint64_t limit, usage = 0, cache = 0;
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->limit);
    if (!read_number(path, &limit))
        return;
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->usage);
    read_number(path, &usage);
    snprintf(path, sizeof path, "%s%s%s/memory.stat", root, v->mount, group);
    read_key(path, v->cache, &cache);
    usage = usage > cache ? usage - cache : 0;
    const uint64_t left = limit > usage ? limit - usage : 0;
    if (left < *least) {
        *least = left;
        *limit_by = "the control group";
    }
}

/* A group and all above it. */
static void lower_to_groups(const char *root, const struct version *v, char *group, uint64_t *least,
                            const char **limit_by)
{
    group[strcspn(group, "\n")] = 0;
    for (int depth = 0; depth < DEEPEST; depth++) {
        lower_to_group(root, v, strcmp(group, "/") ? group : "", least, limit_by);
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* /proc/self/cgroup: "0::/group" is version 2, "7:cpu,memory:/group" version 1. */
static void lower_to_own_groups(const char *root, uint64_t *least, const char **limit_by)
{
    char path[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        kinds++;
        if (!*kinds)
            lower_to_groups(root, &v2, group, least, limit_by);
        for (char *kind = strtok(kinds, ","); kind; kind = strtok(NULL, ","))
            if (!strcmp(kind, "memory"))
                lower_to_groups(root, &v1, group, least, limit_by);
    }
    if (f)
        fclose(f);
}

uint64_t sl_host_memory_available(const char *root, const char **limit_by)
{
    char path[LINE_MAX_BYTES];
    uint64_t kb, least = UINT64_MAX;
    *limit_by = "the machine";
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (read_key(path, "MemAvailable", &kb))
        least = kb * 1024;
    lower_to_own_groups(root, &least, limit_by);
    return least == UINT64_MAX ? 0 : least;
}

uint64_t sl_host_memory_peak(void)
{
    uint64_t kb;
    return read_key("/proc/self/status", "VmHWM", &kb) ? kb * 1024 : 0;
}
