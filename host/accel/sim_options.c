/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/sim_options.h"

#include <stdio.h>
#include <string.h>

#include "accel/args.h"
#include "base/err.h"

enum { MAX_ITEM = SL_SIM_PATH + 64 };

static const char help[] = "sim[:P[xT]][,dpi][,mem=hbm|ddr|ideal][,latency=N][,stall=PCT][,seed=N]"
                           "[,fault=KIND@N[+M][:PORT]][,wave=FILE[@FROM-TO]][,timeout=N]"
                           "[,reset-seed=N][,coverage=FILE]" SL_LINK_HELP;

static int refuse(const char *item, const char *why)
{
    return sl_fail(SL_ERR_USAGE, help, SL_SIM_OPTIONS_WHO "%s: %s", item, why);
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* The decimal number at *text, at most max; moves behind it. */
static bool take_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *p = *text;
    uint64_t v = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *text = p;
    *out = v;
    return true;
}

static bool whole_number(const char *text, uint64_t max, uint64_t *out)
{
    return take_number(&text, max, out) && !*text;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    ++*text;
    return true;
}

static int parse_shape(struct sl_sim_config *c, const char *item)
{
    const char *at = item;
    uint64_t p, t = 1;
    if (!take_number(&at, SL_SIM_MAX_PORTS, &p) || p == 0)
        return refuse(item, "weight ports are 1 to 28");
    if (*at && (!take_char(&at, 'x') || !take_number(&at, 64, &t) || t == 0 || *at))
        return refuse(item, "write P or PxT, token columns T from 1 to 64");
    c->n_port = (unsigned)p;
    c->n_column = (unsigned)t;
    return 0;
}

/* ---- options -------------------------------------------------------------------------------- */

static int set_dpi(struct sl_sim_config *c, const char *item, const char *value)
{
    c->dpi = true;
    return value ? refuse(item, "takes no value") : 0;
}

static int set_mem(struct sl_sim_config *c, const char *item, const char *value)
{
    static const char *const names[] = {
        [SL_SIM_HBM] = "hbm", [SL_SIM_DDR] = "ddr", [SL_SIM_IDEAL] = "ideal"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i], value)) {
            c->core.memory = (enum sl_sim_memory)i;
            return 0;
        }
    return refuse(item, "choose one of hbm, ddr, ideal");
}

static int set_latency(struct sl_sim_config *c, const char *item, const char *value)
{
    uint64_t v;
    if (!whole_number(value, 1000000, &v))
        return refuse(item, "give a number of cycles up to 1000000");
    c->core.latency = (int32_t)v;
    return 0;
}

static int set_stall(struct sl_sim_config *c, const char *item, const char *value)
{
    uint64_t v;
    if (!whole_number(value, 90, &v))
        return refuse(item, "give a percentage from 0 to 90");
    c->core.stall_pct = (uint32_t)v;
    return 0;
}

static int set_seed(struct sl_sim_config *c, const char *item, const char *value)
{
    return whole_number(value, INT64_MAX, &c->core.seed) ? 0 : refuse(item, "give a whole number");
}

static int set_reset_seed(struct sl_sim_config *c, const char *item, const char *value)
{
    uint64_t v;
    if (!whole_number(value, INT32_MAX - 1, &v))
        return refuse(item, "give a whole number below 2147483647");
    c->core.reset_seed = (int64_t)v;
    return 0;
}

static int set_timeout(struct sl_sim_config *c, const char *item, const char *value)
{
    uint64_t v;
    if (!whole_number(value, UINT32_MAX, &v))
        return refuse(item, "give a number of cycles below 2^32, 0 for never");
    c->timeout = (uint32_t)v;
    return 0;
}

static const struct fault_kind {
    const char *name;
    bool write, waits;
} fault_kinds[] = {
    [SL_SIM_READ_ERROR] = {"read-error", false, false},
    [SL_SIM_WRITE_ERROR] = {"write-error", true, false},
    [SL_SIM_LATE] = {"late", false, true},
    [SL_SIM_WRITE_LATE] = {"write-late", true, true},
    [SL_SIM_DEAD] = {"dead", false, false},
    [SL_SIM_WRITE_DEAD] = {"write-dead", true, false},
};
enum { N_FAULT_KIND = sizeof fault_kinds / sizeof fault_kinds[0] };

/* ":ctl" ":3" or nothing; reads default to weight port 0, writes are always the control port's. */
static bool take_port(const char **text, bool write, int *port)
{
    uint64_t v;
    *port = write ? SL_SIM_CTL : 0;
    if (!take_char(text, ':'))
        return true;
    if (!strcmp(*text, "ctl")) {
        *port = SL_SIM_CTL;
        *text += 3;
        return true;
    }
    if (write || !take_number(text, SL_SIM_MAX_PORTS - 1, &v))
        return false;
    *port = (int)v;
    return true;
}

static int set_fault(struct sl_sim_config *c, const char *item, const char *value)
{
    unsigned kind = 0;
    size_t len = strcspn(value, "@");
    const char *at = value + len;
    while (kind < N_FAULT_KIND && (strlen(fault_kinds[kind].name) != len ||
                                   strncmp(fault_kinds[kind].name, value, len) != 0))
        kind++;
    if (kind == N_FAULT_KIND)
        return refuse(item, "kinds are read-error write-error late write-late dead write-dead");
    if (c->core.n_fault == SL_SIM_MAX_FAULT)
        return refuse(item, "at most 8 faults");
    struct sl_sim_fault f = {.kind = (enum sl_sim_fault_kind)kind};
    if (!take_char(&at, '@') || !take_number(&at, INT64_MAX, &f.at) || f.at == 0)
        return refuse(item, "write KIND@N, N from 1");
    if (fault_kinds[kind].waits &&
        (!take_char(&at, '+') || !take_number(&at, INT64_MAX, &f.cycles)))
        return refuse(item, "write KIND@N+M, M the cycles to wait");
    if (!take_port(&at, fault_kinds[kind].write, &f.port) || *at)
        return refuse(item, "behind it only :ctl or :PORT (reads) may follow");
    c->core.fault[c->core.n_fault++] = f;
    return 0;
}

static int set_wave(struct sl_sim_config *c, const char *item, const char *value)
{
    const char *window = strrchr(value, '@');
    size_t len = window ? (size_t)(window - value) : strlen(value);
    c->wave_from = 0;
    c->wave_to = UINT64_MAX;
    if (window++ && (!take_number(&window, INT64_MAX, &c->wave_from) || !take_char(&window, '-') ||
                     !whole_number(window, INT64_MAX, &c->wave_to) || c->wave_from >= c->wave_to))
        return refuse(item, "write FILE@FROM-TO, cycles, FROM below TO");
    if (len == 0 || len >= sizeof c->wave)
        return refuse(item, "give a file of 1 to 255 characters");
    memcpy(c->wave, value, len);
    c->wave[len] = 0;
    return 0;
}

static int set_coverage(struct sl_sim_config *c, const char *item, const char *value)
{
    size_t len = strlen(value);
    if (len == 0 || len >= sizeof c->coverage)
        return refuse(item, "give a file of 1 to 255 characters");
    memcpy(c->coverage, value, len + 1);
    return 0;
}

static const struct item {
    const char *name;
    int (*set)(struct sl_sim_config *c, const char *item, const char *value);
    bool flag, repeats;
} items[] = {
    {"dpi", set_dpi, true, false},          {"mem", set_mem, false, false},
    {"latency", set_latency, false, false}, {"stall", set_stall, false, false},
    {"seed", set_seed, false, false},       {"reset-seed", set_reset_seed, false, false},
    {"timeout", set_timeout, false, false}, {"fault", set_fault, false, true},
    {"wave", set_wave, false, false},       {"coverage", set_coverage, false, false},
};
enum { N_ITEM = sizeof items / sizeof items[0] };

static int parse_item(struct sl_sim_config *c, const char *text, uint32_t *seen)
{
    size_t len = strcspn(text, "=");
    const char *value = text[len] ? text + len + 1 : NULL;
    for (unsigned i = 0; i < N_ITEM; i++) {
        if (strlen(items[i].name) != len || strncmp(items[i].name, text, len) != 0)
            continue;
        if (*seen >> i & 1 && !items[i].repeats)
            return refuse(text, "given twice");
        *seen |= 1u << i;
        if (!value && !items[i].flag)
            return refuse(text, "the value is missing");
        return items[i].set(c, text, value);
    }
    bool taken;
    int err = sl_link_option(&c->link, text, value, &taken);
    c->link_given |= taken;
    return err || taken ? err : refuse(text, "unknown option");
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int check_ports(const struct sl_sim_config *c)
{
    for (uint32_t i = 0; i < c->core.n_fault; i++)
        if (c->core.fault[i].port >= (int)c->n_port)
            return refuse("fault", "the core has no such port");
    return c->wave[0] && c->coverage[0] ? refuse("wave", "not together with coverage") : 0;
}

int sl_sim_config_parse(struct sl_sim_config *out, const char *arg)
{
    uint32_t seen = 0;
    int err = 0;
    *out = (struct sl_sim_config){
        .n_port = 1, .n_column = 1, .timeout = SL_CORE_TIMEOUT, .link = sl_link_defaults()};
    out->core.latency = -1;
    out->core.reset_seed = -1;
    for (const char *at = arg; at && !err;) {
        char item[MAX_ITEM];
        size_t len = strcspn(at, ",");
        if (len >= sizeof item)
            return refuse("option", "longer than a file name may be");
        memcpy(item, at, len);
        item[len] = 0;
        err = at == arg && *item >= '0' && *item <= '9' ? parse_shape(out, item)
                                                        : parse_item(out, item, &seen);
        at = at[len] ? at + len + 1 : NULL;
    }
    return err ? err : check_ports(out);
}

static const char *variant(const struct sl_sim_config *c, const char *trace, const char *coverage,
                           const char *random)
{
    return c->wave[0] ? trace : c->coverage[0] ? coverage : c->core.reset_seed >= 0 ? random : "";
}

void sl_sim_config_file(const struct sl_sim_config *c, char *out, size_t cap)
{
    if (c->unit)
        snprintf(out, cap, "sl_hls_%s.so", c->unit);
    else
        snprintf(out, cap, "sl_sim_p%ut%u%s%s.so", c->n_port, c->n_column, c->dpi ? "_dpi" : "",
                 variant(c, "_trace", "_cov", "_rand"));
}

void sl_sim_config_hint(const struct sl_sim_config *c, char *out, size_t cap)
{
    if (c->unit)
        snprintf(out, cap, "make hlsrtl, with PandA-Bambu in PATH");
    else
        snprintf(out, cap, "make sim P=%u T=%u%s%s", c->n_port, c->n_column, c->dpi ? " DPI=1" : "",
                 variant(c, " TRACE=1", " COVERAGE=1", " RANDOM=1"));
}
