/* SPDX-License-Identifier: Apache-2.0 */
#include "card/remote_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/sim_options.h"
#include "base/err.h"
#include "base/file.h"
#include "card/emulation.h"
#include "card/opencl.h"
#include "card/xclbin.h"

static const char help[] =
    "xrt[:N] or opencl[:P.N], then ,xclbin=FILE ,deadline=MS; opencl also ,ports=1|4|16|28 of a "
    "core "
    "that it compiles; for an emulated card also summary=FILE stock mem= latency= stall= seed= "
    "timeout= fault= hang= die=";

static int refuse(const char *item, const char *why)
{
    return sl_fail(SL_ERR_USAGE, help, "device: %s: %s", item, why);
}

static bool copy(char *out, size_t cap, const char *text)
{
    return (size_t)snprintf(out, cap, "%s", text) < cap && *text;
}

static bool is_launch(const char *item, const char *key)
{
    const size_t n = strlen(key);
    return !strncmp(item, key, n) && item[n] >= '1' && item[n] <= '9' &&
           item[n + strspn(item + n, "0123456789")] == 0 && strlen(item + n) < 10;
}

/* An option of the board; those of the simulation go into *sim as well, to be checked. */
static int add_board(struct sl_remote_options *o, char *sim, size_t cap, const char *item)
{
    const size_t n = strlen(o->board), m = strlen(sim);
    if (n + strlen(item) + 2 > sizeof o->board || m + strlen(item) + 2 > cap)
        return refuse(item, "too many options");
    snprintf(o->board + n, sizeof o->board - n, "%s%s", n ? "," : "", item);
    if (!is_launch(item, "hang=") && !is_launch(item, "die="))
        snprintf(sim + m, cap - m, "%s%s", m ? "," : "", item);
    return 0;
}

/* At most six digits. */
static bool parse_number(const char *text, size_t len, unsigned *out)
{
    const bool good = len > 0 && len <= 6 && strspn(text, "0123456789") >= len;
    if (good)
        *out = (unsigned)strtoul(text, NULL, 10);
    return good;
}

static int parse_place(struct sl_remote_options *o, const char *item)
{
    const size_t len = strcspn(item, ".");
    const char *index = o->opencl && item[len] ? item + len + 1 : item;
    unsigned platform;
    if (index != item && parse_number(item, len, &platform))
        o->platform = (int)platform;
    else if (index != item)
        return refuse(item, "write the numbers of a platform and a device");
    return parse_number(index, strlen(index), &o->index)
               ? 0
               : refuse(item, "write the number of a card");
}

/* Those of the kernel in hls/core.cl that csim has too: what can be compared. */
static int parse_ports(struct sl_remote_options *o, const char *item)
{
    static const char *const sizes[] = {"1", "4", "16", "28"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!strcmp(item + 6, sizes[i]))
            o->n_port = (unsigned)strtoul(sizes[i], NULL, 10);
    return o->n_port ? 0 : refuse(item, "1, 4, 16 or 28");
}

static int parse_item(struct sl_remote_options *o, char *sim, size_t cap, const char *item,
                      bool first)
{
    if (!item[0])
        return refuse("an empty option", "leave out the comma or colon");
    if (first && item[0] >= '0' && item[0] <= '9')
        return parse_place(o, item);
    if (!strncmp(item, "xclbin=", 7))
        return copy(o->xclbin, sizeof o->xclbin, item + 7) ? 0 : refuse(item, "give a file");
    if (!strncmp(item, "summary=", 8))
        return copy(o->summary, sizeof o->summary, item + 8) ? 0 : refuse(item, "give a file");
    if (!strncmp(item, "deadline=", 9)) {
        if (parse_number(item + 9, strlen(item + 9), &o->deadline_ms) && o->deadline_ms)
            return 0;
        return refuse(item, "give milliseconds, at most six digits");
    }
    if (o->opencl && !strncmp(item, "ports=", 6))
        return parse_ports(o, item);
    if (!strcmp(item, "stock")) {
        o->stock = true;
        return 0;
    }
    return add_board(o, sim, cap, item);
}

static int check_board(struct sl_remote_options *o, const char *sim)
{
    struct sl_sim_config config;
    if (sl_sim_config_parse(&config, *sim ? sim : NULL)) {
        char why[SL_REMOTE_BOARD + 200];
        const char *text = sl_error_message();
        const size_t who = sizeof SL_SIM_OPTIONS_WHO - 1;
        snprintf(why, sizeof why, "%s", strncmp(text, SL_SIM_OPTIONS_WHO, who) ? text : text + who);
        return sl_fail(SL_ERR_USAGE, help, "device: %s", why);
    }
    if (config.n_port != 1 || config.n_column != 1 || config.dpi || config.wave[0] ||
        config.coverage[0] || config.core.reset_seed >= 0 || config.link_given)
        return refuse(sim, "the design is what it is: its shape and form cannot be chosen");
    o->timeout = config.timeout;
    o->memory = config.core.memory;
    return 0;
}

/* The design's file by its full name: the process that reads it has another folder. */
static int find_xclbin(struct sl_remote_options *o)
{
    const char *env = getenv("SLUICE_XCLBIN");
    char path[PATH_MAX], folder[SL_REMOTE_PATH];
    if (!o->xclbin[0] && env && *env && !copy(o->xclbin, sizeof o->xclbin, env))
        return refuse("SLUICE_XCLBIN", "the name is too long");
    const bool given = o->xclbin[0];
    if (!given) {
        sl_program_folder(folder, sizeof folder - 64);
        snprintf(o->xclbin, sizeof o->xclbin, "%.440s/xclbin/%s", folder, SL_XCLBIN_USUAL);
    }
    if (o->opencl && !given && access(o->xclbin, F_OK)) {
        o->xclbin[0] = 0;
        return 0;
    }
    if (access(o->xclbin, F_OK))
        return sl_fail(SL_ERR_USAGE, "make xclbin", "there is no design %s", o->xclbin);
    if (!realpath(o->xclbin, path) || !copy(o->xclbin, sizeof o->xclbin, path))
        return refuse(o->xclbin, "the name is too long");
    return 0;
}

/* The core's source, in case that it is compiled. */
static int find_source(struct sl_remote_options *o)
{
    const char *env = getenv("SLUICE_CL_DIR");
    char path[PATH_MAX], folder[SL_REMOTE_PATH];
    sl_program_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/sl_core.cl", env && *env ? env : folder);
    char *full = realpath(path, NULL);
    const bool fits = copy(o->source, sizeof o->source, full ? full : path);
    free(full);
    return fits ? 0 : refuse("SLUICE_CL_DIR", "the name is too long");
}

/* Without an emulated card there is nobody to keep an option of one. */
static int check_emulated(const struct sl_remote_options *o, bool emulated)
{
    const char *item = o->board[0]     ? o->board
                       : o->summary[0] ? "summary="
                       : o->stock      ? "stock"
                                       : "";
    return *item && !emulated ? refuse(item, "only an emulated card has such options") : 0;
}

static int check_design(const struct sl_remote_options *o, bool *emulated)
{
    struct sl_xclbin file;
    struct sl_xclbin_core core;
    *emulated = false;
    if (!o->xclbin[0])
        return check_emulated(o, false);
    int err = sl_xclbin_open(&file, o->xclbin);
    if (err)
        return err;
    err = sl_xclbin_core(&file, o->xclbin, &core);
    *emulated = file.mode == SL_XCLBIN_MODE_HW_EMU;
    sl_xclbin_close(&file);
    if (!err && *emulated && o->index >= SL_EMULATION_MAX_CARD)
        return sl_fail(SL_ERR_USAGE, "they are counted from 0",
                       "there is no emulated card %u, only %d", o->index, SL_EMULATION_MAX_CARD);
    return err ? err : check_emulated(o, *emulated);
}

int sl_remote_options_parse(struct sl_remote_options *out, const char *backend, const char *arg,
                            bool *emulated)
{
    char item[SL_REMOTE_PATH], sim[SL_REMOTE_BOARD] = "";
    int err = 0;
    *out = (struct sl_remote_options){.platform = SL_OPENCL_ANY,
                                      .opencl = !strncmp(backend, "opencl", 6)};
    for (const char *at = arg; at && !err;) {
        const size_t len = strcspn(at, ",");
        if (len >= sizeof item)
            return refuse("option", "too long");
        memcpy(item, at, len);
        item[len] = 0;
        err = parse_item(out, sim, sizeof sim, item, at == arg);
        at = at[len] ? at + len + 1 : NULL;
    }
    err = err ? err : check_board(out, sim);
    /* Ports are chosen only where a core is compiled, which takes no design. */
    if (!err && !out->n_port)
        err = find_xclbin(out);
    if (!err && out->opencl)
        err = find_source(out);
    return err ? err : check_design(out, emulated);
}
