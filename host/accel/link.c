/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/link.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/upload.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/number.h"

struct sl_link_config sl_link_defaults(void)
{
    return (struct sl_link_config){.gbps = 12.2, .transfer_us = 5.5, .launch_us = 75};
}

/* ---- options -------------------------------------------------------------------------------- */

static int refuse(const char *item, const char *why)
{
    return sl_fail(SL_ERR_USAGE, "as in model:16,pcie=12.2,pcie_us=5.5,launch_us=75,cpu=40",
                   "device option %s: %s", item, why);
}

static int set_cpu(struct sl_link_config *c, const char *item, const char *value)
{
    c->cpu_measured = value && !strcmp(value, "measured");
    c->cpu_gbps = 0;
    if (!value || (strcmp(value, "none") != 0 && !c->cpu_measured &&
                   !sl_parse_real(value, 0.001, 1e6, &c->cpu_gbps)))
        return refuse(item, "give none, measured, or what the CPU reads in 1e9 bytes a second");
    return 0;
}

int sl_link_option(struct sl_link_config *config, const char *item, const char *value, bool *taken)
{
    const size_t len = strcspn(item, "=");
    const struct {
        const char *name;
        double *to, min, max;
    } numbers[] = {{"pcie", &config->gbps, 0.001, 1e6},
                   {"pcie_us", &config->transfer_us, 0, 1e6},
                   {"launch_us", &config->launch_us, 0, 1e6}};
    *taken = true;
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strlen(numbers[i].name) == len && !strncmp(numbers[i].name, item, len))
            return value && sl_parse_real(value, numbers[i].min, numbers[i].max, numbers[i].to)
                       ? 0
                       : refuse(item, "give a number up to 1e6");
    if (len == 3 && !strncmp(item, "cpu", len))
        return set_cpu(config, item, value);
    *taken = false;
    return 0;
}

/* ---- clock ---------------------------------------------------------------------------------- */

void sl_link_open(struct sl_link *link, const struct sl_link_config *config)
{
    *link = (struct sl_link){.config = *config, .time.known = true};
}

void sl_link_enter(struct sl_link *link)
{
    if (!link->config.cpu_measured || !link->left_ns || !link->time.launches)
        return;
    const double s = (double)(sl_now_ns() - link->left_ns) * 1e-9;
    link->time.cpu_s += s;
    link->time.total_s += s;
}

void sl_link_leave(struct sl_link *link)
{
    if (link->config.cpu_measured)
        link->left_ns = sl_now_ns();
}

static double transfer_s(const struct sl_link *link, uint64_t bytes)
{
    return link->config.transfer_us * 1e-6 + (double)bytes / (link->config.gbps * 1e9);
}

static void wait_until(struct sl_link *link, double until)
{
    if (until <= link->time.total_s)
        return;
    link->time.link_s += until - link->time.total_s;
    link->time.total_s = until;
}

/* When what the host begins now begins. */
static double begins(const struct sl_link *link)
{
    return link->beside ? link->launched : link->time.total_s;
}

/* Puts a transfer behind those of its direction. */
static void send(struct sl_link *link, double *free_at, double s)
{
    *free_at = fmax(*free_at, link->time.total_s) + s;
}

void sl_link_write(struct sl_link *link, uint64_t bytes)
{
    const double s = transfer_s(link, bytes), now = link->time.total_s;
    const double piece_s = transfer_s(link, SL_UPLOAD_PIECE_BYTES);
    const double begin = fmin(fmax(link->up_free, now), now + piece_s);
    send(link, &link->up_free, s);
    link->time.up_s += s;
    link->time.up_bytes += bytes;
    wait_until(link, begin + s);
}

void sl_link_read(struct sl_link *link, uint64_t bytes)
{
    const double s = transfer_s(link, bytes);
    send(link, &link->down_free, s);
    link->time.down_s += s;
    link->time.down_bytes += bytes;
    wait_until(link, link->down_free);
}

void sl_link_write_begin(struct sl_link *link, uint64_t bytes)
{
    const double s = transfer_s(link, bytes), begin = fmax(link->up_free, begins(link));
    link->up_free = begin + s;
    /* Of a launch that is over by the clock; what lasts longer is the next one's. */
    link->time.hidden_s += fmax(0, fmin(link->up_free, link->time.total_s) - begin);
    link->time.up_s += s;
    link->time.beside_s += s;
    link->time.up_bytes += bytes;
}

void sl_link_write_end(struct sl_link *link)
{
    wait_until(link, link->up_free);
}

unsigned sl_link_sending(const struct sl_link *link)
{
    return link->up_free > link->time.total_s;
}

void sl_link_launch(struct sl_link *link, double core_s)
{
    const double launch_s = link->config.launch_us * 1e-6, begin = link->time.total_s;
    link->launched = begin;
    const double end = begin + launch_s + core_s;
    /* Whatever is still on its way up was begun before and fills the link without a gap. */
    link->time.hidden_s += fmax(0, fmin(end, link->up_free) - begin);
    link->time.core_s += core_s;
    link->time.launch_s += launch_s;
    link->time.total_s = end;
    link->time.launches++;
}

/* What the host's work took, or would have. */
static double host_s(struct sl_link *link, uint64_t bytes)
{
    if (!link->config.cpu_measured)
        return link->config.cpu_gbps > 0 ? (double)bytes / (link->config.cpu_gbps * 1e9) : 0;
    const uint64_t now = sl_now_ns();
    const double s = link->left_ns ? (double)(now - link->left_ns) * 1e-9 : 0;
    link->left_ns = now;
    return s;
}

double sl_link_host(struct sl_link *link, uint64_t bytes)
{
    const double s = host_s(link, bytes);
    link->cpu_free = fmax(link->cpu_free, begins(link)) + s;
    return s;
}

bool sl_link_caught_up(const struct sl_link *link)
{
    return link->cpu_free >= link->time.total_s;
}

void sl_link_join(struct sl_link *link)
{
    const double s = link->cpu_free - link->time.total_s;
    if (s <= 0)
        return;
    link->time.cpu_s += s;
    link->time.total_s += s;
}
