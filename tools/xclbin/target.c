/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <string.h>

const struct card cards[] = {
#define CARD(name, platform, board, part, n_hbm, mib, slr, doc)                                    \
    {#name, platform, board, part, doc, n_hbm, mib, slr},
#include "cards.def"
#undef CARD
};
const unsigned n_card = sizeof cards / sizeof cards[0];

/* Arguments as Vitis HLS places them: pointers take two words and a reserved one, scalars one and a
 * reserved one. */
enum { FIRST_ARG = 0x10, POINTER_BYTES = 12, SCALAR_BYTES = 8 };

static void add_arg(struct target *t, const char *name, int port, bool pointer, uint32_t *offset)
{
    struct arg *a = &t->arg[t->n_arg++];
    unsigned i = 0;
    *a = (struct arg){.pointer = pointer, .master = (unsigned)(port + 1), .offset = *offset};
    for (; name[i] && i < sizeof a->name - 1; i++)
        a->name[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
    if (port >= 0)
        snprintf(a->name, sizeof a->name, "%.8s%d", name, port);
    *offset += pointer ? POINTER_BYTES : SCALAR_BYTES;
}

static void add_args(struct target *t)
{
    uint32_t offset = FIRST_ARG;
#define REG(name, offset_, doc)
#define ARG_PTR(name, doc) add_arg(t, #name, -1, true, &offset);
#define ARG_PORTS(doc)                                                                             \
    for (unsigned p = 0; p < t->n_port; p++)                                                       \
        add_arg(t, "w", (int)p, true, &offset);
#define ARG_U32(name, doc) add_arg(t, #name, -1, false, &offset);
#include "regs.def"
#undef REG
#undef ARG_PTR
#undef ARG_PORTS
#undef ARG_U32
}

/*
 * The upper channels are the control buffer's, the rest is shared out: each weight port has equally
 * many of its own, of less than 4 GiB together, so that no two ports meet in a channel.
 */
static void add_masters(struct target *t)
{
    enum { CONTROL_CHANNELS = 4, ARENA_MIB = 4096 };
    const unsigned for_weights = t->card->n_hbm - CONTROL_CHANNELS;
    unsigned count = for_weights / t->n_port;
    if (count * t->card->hbm_mib >= ARENA_MIB)
        count = ARENA_MIB / t->card->hbm_mib - 1;
    t->n_master = t->n_port + 1;
    t->master[0] = (struct master){"m_axi_ctl", true, for_weights, CONTROL_CHANNELS};
    for (unsigned p = 0; p < t->n_port; p++) {
        t->master[p + 1] = (struct master){.first = p * count, .count = count};
        snprintf(t->master[p + 1].name, sizeof t->master[p + 1].name, "m_axi_w%u", p);
    }
}

bool target_make(struct target *t, const char *card, unsigned n_port, unsigned n_column, bool hls,
                 const char **why)
{
    *t = (struct target){.n_port = n_port, .n_column = n_column, .hls = hls};
    for (unsigned i = 0; i < n_card; i++)
        if (!strcmp(cards[i].name, card))
            t->card = &cards[i];
    *why = !t->card                                   ? "no such card"
           : n_port < 1 || n_port > SL_MAX_PORTS      ? "weight ports are 1 to 28"
           : n_column < 1 || n_column > SL_MAX_TOKENS ? "there are not so many token columns"
           : hls && n_column != 1                     ? "the core of hls/ has one token column"
                                                      : NULL;
    if (*why)
        return false;
    add_args(t);
    add_masters(t);
    return true;
}
