/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "xrt" can name here, without a runtime: designs beside the program, the libraries that the
 * loader would find, and the cards that the kernel shows. Nothing is started or opened.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "card/cards.h"
#include "card/remote.h"
#include "card/xclbin.h"

static const char library[] = "libxrt_coreutil.so.2";
enum { MAX_DESIGN = 48, MAX_CARD = 16 };

struct listing {
    struct sl_device_desc *out;
    size_t cap, n;
    char folder[PATH_MAX];
    char missing[96]; /* "": every device here can be opened */
};

static struct sl_device_desc *next(struct listing *l)
{
    struct sl_device_desc *d = l->n < l->cap ? &l->out[l->n] : NULL;
    l->n++;
    if (d)
        *d = (struct sl_device_desc){0};
    return d;
}

static const char *platform(const struct sl_xclbin *x)
{
    const char *vendor = "xilinx_";
    return strncmp(x->vbnv, vendor, strlen(vendor)) ? x->vbnv : x->vbnv + strlen(vendor);
}

/* "xrt" for the design that is taken when none is named. */
static void describe(struct listing *l, const char *path, bool usual)
{
    struct sl_xclbin file;
    struct sl_xclbin_core core;
    char why[128] = "";
    struct sl_device_desc *d = next(l);
    if (!d)
        return;
    if (usual)
        snprintf(d->name, sizeof d->name, "xrt");
    else if ((size_t)snprintf(d->name, sizeof d->name, "xrt,xclbin=%s", path) >= sizeof d->name)
        snprintf(why, sizeof why, "the name of the file is too long");
    int err = sl_xclbin_open(&file, path);
    if (err) {
        snprintf(d->detail, sizeof d->detail, "%.150s", sl_error_message());
        return;
    }
    err = sl_xclbin_core(&file, path, &core);
    const bool emulated = file.mode == SL_XCLBIN_MODE_HW_EMU;
    if (!why[0])
        snprintf(why, sizeof why, "%s", err ? "no core that this program knows" : l->missing);
    if (!why[0] && !emulated)
        snprintf(why, sizeof why, "for a card: give its number, xrt:N");
    snprintf(d->detail, sizeof d->detail, "%s %.64s, %u weight port%s%s%s",
             emulated ? "an emulated card, the RTL behind XRT:" : "a design for", platform(&file),
             err ? 0 : core.n_port, !err && core.n_port == 1 ? "" : "s", why[0] ? "; " : "", why);
    d->usable = !err && emulated && !why[0];
    sl_xclbin_close(&file);
}

/* A path below the current folder without that folder, which is what one would type. */
static const char *shorten(const char *path)
{
    char here[PATH_MAX];
    const size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;
    return n > 1 && !strncmp(path, here, n) && path[n] == '/' ? path + n + 1 : path;
}

static int is_design(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return dot && !strcmp(dot, ".xclbin");
}

/* $SLUICE_XCLBIN or the usual design first, then the others by name. */
static void list_designs(struct listing *l)
{
    char folder[PATH_MAX + 16], path[2 * PATH_MAX];
    const char *env = getenv("SLUICE_XCLBIN");
    struct dirent **file = NULL;
    snprintf(folder, sizeof folder, "%s/xclbin", l->folder);
    if (env && *env)
        describe(l, env, true);
    const int n = scandir(folder, &file, is_design, alphasort);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n && i < MAX_DESIGN; i++) {
            const bool usual = !(env && *env) && !strcmp(file[i]->d_name, SL_XCLBIN_USUAL);
            snprintf(path, sizeof path, "%s/%s", folder, file[i]->d_name);
            if (usual == (pass == 0))
                describe(l, shorten(path), usual);
        }
    for (int i = 0; i < n; i++)
        free(file[i]);
    free(file);
    struct sl_device_desc *d = l->n ? NULL : next(l);
    if (d) {
        snprintf(d->name, sizeof d->name, "xrt");
        snprintf(d->detail, sizeof d->detail,
                 "a card or an emulated one through XRT; no design: "
                 "make xclbin%s%s",
                 l->missing[0] ? "; " : "", l->missing);
    }
}

static void list_cards(struct listing *l)
{
    struct sl_card card[MAX_CARD];
    const size_t n = sl_cards_list("/sys", card, MAX_CARD);
    for (size_t i = 0; i < n && i < MAX_CARD; i++) {
        struct sl_device_desc *d = next(l);
        if (!d)
            continue;
        snprintf(d->name, sizeof d->name, "xrt:%zu,xclbin=FILE", i);
        snprintf(d->detail, sizeof d->detail,
                 "card %s (driver xocl; numbered as xrt-smi examine lists); FILE: its design%s%s",
                 card[i].bdf, l->missing[0] ? "; " : "", l->missing);
        d->usable = !l->missing[0];
    }
}

size_t sl_xrt_device_list(struct sl_device_desc *out, size_t cap)
{
    struct listing l = {.out = out, .cap = cap};
    sl_program_folder(l.folder, sizeof l.folder);
    sl_card_missing(library, "XRT (Debian: libxrt1)", l.missing, sizeof l.missing);
    list_designs(&l);
    list_cards(&l);
    return l.n;
}
