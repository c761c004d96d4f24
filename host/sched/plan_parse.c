/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/plan_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/number.h"

/* Rate of a card's memory: product tables; the U50's 32 channels share a power limit of 316 GB/s.
 */
static const struct card {
    const char *name;
    double gbps, channel_gb;
} cards[] = {
#define CARD(name, platform, board, part, n_channel, mib, slr, doc)                                \
    {#name, 0, (double)(mib) * (1 << 20) * 1e-9},
#include "cards.def"
#undef CARD
};
enum { N_CARD = sizeof cards / sizeof cards[0], MAX_TEXT = 256 };

static double card_gbps(const char *name)
{
    return strcmp(name, "u50") ? 460 : 316;
}

static int refuse(const char *what, const char *item)
{
    return sl_fail(SL_ERR_USAGE,
                   "--cards 2xu55c,ports=16,columns=4,clock=225,gb=,gbps=,mem=hbm,pcie=,pcie_us=,"
                   "launch_us= --host gb=64,gbps=40,disk=3",
                   "%s: cannot use '%.60s'", what, item);
}

static const struct card *find_card(const char *name)
{
    for (unsigned i = 0; i < N_CARD; i++)
        if (!strcmp(cards[i].name, name))
            return &cards[i];
    return NULL;
}

static int set_memory(struct sl_plan_cards *c, const char *value)
{
    for (int m = SL_TLM_HBM; m <= SL_TLM_IDEAL; m++)
        if (!strcmp(value, sl_tlm_memory_name((enum sl_tlm_memory)m))) {
            c->core.memory = (enum sl_tlm_memory)m;
            return 0;
        }
    return refuse("mem", value);
}

static int parse_card_item(struct sl_plan_cards *c, char *item)
{
    const struct card *card = find_card(item);
    if (card) {
        c->gbps = card_gbps(card->name);
        c->channel_gb = card->channel_gb;
        return 0;
    }
    char *value = strchr(item, '=');
    double v = 0, ports = c->core.n_port, columns = c->core.n_column, mhz = c->clock_hz * 1e-6;
    const struct {
        const char *name;
        double *to, min, max;
    } items[] = {{"gb", &c->gb, 0.001, 1e6},
                 {"gbps", &c->gbps, 0.001, 1e6},
                 {"ports", &ports, 1, 28},
                 {"columns", &columns, 1, 16},
                 {"clock", &mhz, 1, 2000}};
    if (!value)
        return refuse("cards", item);
    bool taken;
    int err = sl_link_option(&c->link, item, value + 1, &taken);
    if (err || taken)
        return err;
    *value++ = 0;
    if (!strcmp(item, "mem"))
        return set_memory(c, value);
    for (unsigned i = 0; i < sizeof items / sizeof items[0]; i++)
        if (!strcmp(items[i].name, item)) {
            if (!sl_parse_real(value, items[i].min, items[i].max, &v))
                return refuse(item, value);
            *items[i].to = v;
            c->core.n_port = (unsigned)ports;
            c->core.n_column = (unsigned)columns;
            c->clock_hz = mhz * 1e6;
            return 0;
        }
    return refuse("cards", item);
}

int sl_plan_parse_cards(struct sl_plan_cards *out, const char *text)
{
    enum { MAX_CARDS = 1024 };
    char copy[MAX_TEXT], *at = copy;
    unsigned n = 1;
    int skip = 0, err = 0;
    *out = (struct sl_plan_cards){.core = {28, 1, SL_TLM_HBM, -1},
                                  .gbps = 460,
                                  .clock_hz = SL_TLM_CLOCK_HZ,
                                  .link = sl_link_defaults()};
    text = text ? text : "u55c";
    if (strlen(text) >= sizeof copy)
        return refuse("cards", text);
    if (sscanf(text, "%4ux%n", &n, &skip) != 1 || !skip)
        n = 1, skip = 0;
    if (n < 1 || n > MAX_CARDS)
        return refuse("cards", text);
    snprintf(copy, sizeof copy, "%s", text + skip);
    snprintf(out->name, sizeof out->name, "%.60s", copy);
    out->n = n;
    for (char *item; !err && (item = strsep(&at, ","));)
        err = parse_card_item(out, item);
    if (!err && out->channel_gb <= 0 && out->gb <= 0)
        return refuse("cards: no card and no gb=", text);
    return err;
}

int sl_plan_parse_host(struct sl_plan_host *out, const char *text)
{
    char copy[MAX_TEXT], *at = copy;
    *out = (struct sl_plan_host){.gb = 64, .disk_gbps = 3};
    const struct {
        const char *name;
        double *to;
    } items[] = {{"gb=", &out->gb}, {"gbps=", &out->gbps}, {"disk=", &out->disk_gbps}};
    if (!text)
        return 0;
    if (strlen(text) >= sizeof copy)
        return refuse("host", text);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *item; (item = strsep(&at, ","));) {
        bool known = false;
        for (unsigned i = 0; i < 3; i++) {
            const size_t n = strlen(items[i].name);
            if (!strncmp(item, items[i].name, n))
                known = sl_parse_real(item + n, 0.001, 1e6, items[i].to);
        }
        if (!known)
            return refuse("host", item);
    }
    return 0;
}
