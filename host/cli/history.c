/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "console.h"

/* At least one byte, so that NULL means that there is no memory. */
static void *copy(const void *bytes, size_t n)
{
    void *v = malloc(n + 1);
    if (v && n)
        memcpy(v, bytes, n);
    return v;
}

static void free_turn(struct sl_turn *t)
{
    free(t->text);
    free(t->answer);
    free(t->ids);
    *t = (struct sl_turn){0};
}

bool sl_history_ask(struct sl_history *h, const char *text, size_t len)
{
    if (h->n == h->cap) {
        struct sl_turn *turn = realloc(h->turn, (2 * h->cap + 8) * sizeof *turn);
        if (!turn)
            return false;
        h->turn = turn;
        h->cap = 2 * h->cap + 8;
    }
    char *own = copy(text, len);
    if (own)
        h->turn[h->n++] = (struct sl_turn){.text = own, .len = len};
    return own != NULL;
}

bool sl_history_answer(struct sl_history *h, const struct sl_turn *answer)
{
    struct sl_turn *t = &h->turn[h->n - 1];
    char *text = copy(answer->answer, answer->n_answer);
    int32_t *ids = copy(answer->ids, answer->n_ids * sizeof *ids);
    if (!text || !ids) {
        free(text);
        free(ids);
        return false;
    }
    t->answer = text;
    t->n_answer = answer->n_answer;
    t->ids = ids;
    t->n_ids = answer->n_ids;
    return true;
}

void sl_history_withdraw(struct sl_history *h)
{
    free_turn(&h->turn[--h->n]);
}

void sl_history_take_back(struct sl_history *h)
{
    struct sl_turn *t = &h->turn[h->n - 1];
    free(t->answer);
    free(t->ids);
    t->answer = NULL;
    t->ids = NULL;
    t->n_answer = t->n_ids = 0;
}

void sl_history_drop_first(struct sl_history *h)
{
    free_turn(&h->turn[0]);
    h->n--;
    memmove(h->turn, h->turn + 1, h->n * sizeof *h->turn);
}

void sl_history_clear(struct sl_history *h)
{
    while (h->n)
        sl_history_withdraw(h);
    free(h->turn);
    h->turn = NULL;
    h->cap = 0;
}

int sl_history_encode(const struct sl_history *h, const struct sl_chat *chat, int32_t **ids,
                      size_t *n_ids)
{
    struct sl_chat_message *m = calloc(2 * h->n + 1, sizeof *m);
    size_t n = 0;
    if (!m)
        return sl_cli_error(SL_ERR_NOMEM, NULL, "out of memory");
    if (h->system)
        m[n++] = (struct sl_chat_message){SL_CHAT_SYSTEM, h->system, strlen(h->system), NULL, 0};
    for (size_t i = 0; i < h->n; i++) {
        const struct sl_turn *t = &h->turn[i];
        m[n++] = (struct sl_chat_message){SL_CHAT_USER, t->text, t->len, NULL, 0};
        if (t->ids)
            m[n++] = (struct sl_chat_message){SL_CHAT_ASSISTANT, t->answer, t->n_answer, t->ids,
                                              t->n_ids};
    }
    int err = sl_chat_encode(chat, m, n, ids, n_ids);
    free(m);
    return err ? sl_cli_library_error(err) : SL_EXIT_OK;
}
