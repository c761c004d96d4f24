/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t sl_memory_available(void)
{
    static const char name[] = "MemAvailable:";
    char line[128];
    uint64_t bytes = UINT64_MAX;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && bytes == UINT64_MAX && fgets(line, sizeof line, f))
        if (!strncmp(line, name, sizeof name - 1))
            bytes = strtoull(line + sizeof name - 1, NULL, 10) << 10; /* the file counts in KiB */
    if (f)
        fclose(f);
    return bytes;
}
