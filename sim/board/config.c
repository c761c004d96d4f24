/* SPDX-License-Identifier: Apache-2.0 */
/* board.cfg: a word and its values on each line, as tools/xclbin writes it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "board.h"

static bool read_line(struct board_config *c, const char *line)
{
    struct board_bank bank = {0};
    char end;
    if (sscanf(line, "core %63s %c", c->core, &end) == 1)
        return !strchr(c->core, '/');
    if (sscanf(line, "control %" SCNx64 " %c", &c->control, &end) == 1)
        return true;
    if (sscanf(line, "monitors %" SCNx64 " %c", &c->monitors, &end) == 1)
        return true;
    if (sscanf(line, "bank %" SCNx64 " %" SCNx64 " %" SCNx32 " %c", &bank.base, &bank.bytes,
               &bank.ports, &end) != 3 ||
        c->n_bank == BOARD_MAX_BANK)
        return false;
    c->bank[c->n_bank++] = bank;
    return bank.bytes > 0 && bank.base % 4096 == 0 && bank.base + bank.bytes > bank.base;
}

bool board_read_config(struct board_config *out, const char *path, char *why)
{
    char line[256];
    unsigned n = 0;
    bool good = true;
    FILE *file = fopen(path, "r");
    memset(out, 0, sizeof *out);
    if (!file) {
        snprintf(why, BOARD_TEXT, "cannot read %s", path);
        return false;
    }
    while (good && fgets(line, sizeof line, file)) {
        n++;
        good = line[0] == '\n' || read_line(out, line);
    }
    fclose(file);
    if (!good)
        snprintf(why, BOARD_TEXT, "%s:%u is not understood", path, n);
    else if (!out->core[0] || !out->control || !out->monitors || !out->n_bank)
        snprintf(why, BOARD_TEXT, "%s misses a line", path);
    return good && out->core[0] && out->control && out->monitors && out->n_bank;
}
