/* SPDX-License-Identifier: Apache-2.0 */
/* What was said in a conversation: turns of a user and the answers, as text and as ids. */
#ifndef SL_CLI_HISTORY_H
#define SL_CLI_HISTORY_H

#include "sluice.h"

struct sl_turn {
    char *text, *answer;
    size_t len, n_answer;
    int32_t *ids; /* the answer as it was generated, without its end; NULL: not answered yet */
    size_t n_ids;
};

/* Zeroed is empty. All turns but the last are answered. */
struct sl_history {
    const char *system; /* borrowed; NULL: none */
    struct sl_turn *turn;
    size_t n, cap;
};

/* These copy what they are given. False: no memory, and nothing has changed. */
bool sl_history_ask(struct sl_history *h, const char *text, size_t len);
bool sl_history_answer(struct sl_history *h, const struct sl_turn *answer);
/* The last turn was not asked; its answer was not given; the first was never there. */
void sl_history_withdraw(struct sl_history *h);
void sl_history_take_back(struct sl_history *h);
void sl_history_drop_first(struct sl_history *h);
void sl_history_clear(struct sl_history *h);

/* The conversation up to where the last turn, which is not answered, has its answer:
 * sl_chat_encode. A failure is printed; returns an exit code. */
int sl_history_encode(const struct sl_history *h, const struct sl_chat *chat, int32_t **ids,
                      size_t *n_ids);

#endif
