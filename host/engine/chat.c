/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct sl_chat {
    const struct sl_chat_template *t;
    const struct sl_tokenizer *tok; /* borrowed */
    int32_t id[SL_CHAT_MAX_SPECIAL];
    int32_t end;
};

/* ---- which template */

/* Id of the special token with this name, or -1. */
static int32_t find_special(const struct sl_tokenizer *tok, const char *name)
{
    size_t n = sl_tokenizer_size(tok), len = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id = (int32_t)i;
        const char *piece =
            sl_tokenizer_is_special(tok, id) ? sl_tokenizer_piece(tok, id, &len) : NULL;
        if (piece && len == strlen(name) && !memcmp(piece, name, len))
            return id;
    }
    return -1;
}

/* The ids of the template's tokens. Returns the name of the first that the vocabulary lacks. */
static const char *find_tokens(struct sl_chat *chat)
{
    for (unsigned i = 0; i < SL_CHAT_MAX_SPECIAL && chat->t->special[i]; i++) {
        chat->id[i] = find_special(chat->tok, chat->t->special[i]);
        if (chat->id[i] < 0)
            return chat->t->special[i];
        if (!strcmp(chat->t->special[i], chat->t->end))
            chat->end = chat->id[i];
    }
    return NULL;
}

static bool suits(const struct sl_chat_template *t, const char *architecture)
{
    return !t->architecture || (architecture && !strcmp(t->architecture, architecture));
}

static void list_names(char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < sl_n_chat_template && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%s", i ? ", " : "", sl_chat_templates[i].name);
}

static int choose(struct sl_chat *chat, const char *architecture, const char *name)
{
    char names[128], hint[200];
    list_names(names, sizeof names);
    snprintf(hint, sizeof hint, "--chat-template NAME chooses one of %s", names);
    for (size_t i = 0; i < sl_n_chat_template; i++) {
        chat->t = &sl_chat_templates[i];
        if (name ? strcmp(chat->t->name, name) != 0 : !suits(chat->t, architecture))
            continue;
        const char *missing = find_tokens(chat);
        if (!missing)
            return 0;
        if (name)
            return sl_fail(SL_ERR_UNSUPPORTED, hint,
                           "chat template %s: the model's vocabulary has no %s", name, missing);
    }
    if (name)
        return sl_fail(SL_ERR_USAGE, hint, "chat template %.60s: there is none of this name", name);
    return sl_fail(SL_ERR_UNSUPPORTED, hint,
                   "chat: the form of conversations with this model (%s) is not known",
                   architecture ? architecture : "of an unknown architecture");
}

int sl_chat_open(struct sl_chat **out, const struct sl_tokenizer *tok, const char *architecture,
                 const char *name)
{
    struct sl_chat *chat = sl_alloc(1, sizeof *chat);
    if (!chat)
        return SL_ERR_NOMEM;
    chat->tok = tok;
    int err = choose(chat, architecture, name);
    if (err)
        sl_chat_close(&chat);
    else
        *out = chat;
    return err;
}

void sl_chat_close(struct sl_chat **chat)
{
    if (!chat || !*chat)
        return;
    free(*chat);
    *chat = NULL;
}

const char *sl_chat_name(const struct sl_chat *chat)
{
    return chat->t->name;
}

const char *sl_chat_template_name(size_t index)
{
    return index < sl_n_chat_template ? sl_chat_templates[index].name : NULL;
}

bool sl_chat_is_end(const struct sl_chat *chat, int32_t id)
{
    return id == chat->end;
}

/* ---- a conversation in pieces */

/* Place of the special token whose name stands at `at`, or -1. */
static int special_at(const struct sl_chat_template *t, const char *at)
{
    for (int i = 0; i < SL_CHAT_MAX_SPECIAL && t->special[i]; i++)
        if (!strncmp(at, t->special[i], strlen(t->special[i])))
            return i;
    return -1;
}

static bool is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The message's text as %s, %t or %e ask for it. */
static int emit_text(const struct sl_chat_sink *sink, const struct sl_chat_message *m, char form)
{
    const char *text = m->text;
    size_t len = m->len;
    while (form != 's' && len && is_white(text[len - 1]))
        len--;
    for (; form == 't' && len && is_white(*text); len--)
        text++;
    return len ? sink->text(sink->user, text, len) : 0;
}

static int emit(const struct sl_chat_template *t, const char *literal,
                const struct sl_chat_message *m, const struct sl_chat_sink *sink)
{
    int err = 0;
    for (const char *at = literal; *at && !err;) {
        int special = special_at(t, at);
        if (special >= 0) {
            err = sink->special(sink->user, (unsigned)special);
            at += strlen(t->special[special]);
        } else if (*at == '%') {
            err = emit_text(sink, m, at[1]);
            at += 2;
        } else {
            err = sink->text(sink->user, at++, 1);
        }
    }
    return err;
}

static int emit_answer(const struct sl_chat_template *t, const struct sl_chat_message *m,
                       const struct sl_chat_sink *sink)
{
    if (t->past)
        return emit(t, t->past, m, sink);
    int err = emit(t, t->open, m, sink);
    if (!err)
        err = m->ids ? sink->ids(sink->user, m->ids, m->n_ids) : emit(t, t->answer, m, sink);
    return err ? err : emit(t, t->close, m, sink);
}

/* What message i is written as; `after` is the template's form behind a system message. */
static int emit_message(const struct sl_chat_template *t, const struct sl_chat_message *messages,
                        size_t i, const struct sl_chat_sink *sink)
{
    const struct sl_chat_message *m = &messages[i], *before = i ? m - 1 : NULL;
    bool empty = t->system_empty && m->len == 0;
    switch (m->role) {
    case SL_CHAT_SYSTEM: return emit(t, empty ? t->system_empty : t->system, m, sink);
    case SL_CHAT_ASSISTANT: return emit_answer(t, m, sink);
    default: break;
    }
    bool after = t->user_after_system && before && before->role == SL_CHAT_SYSTEM &&
                 !(t->system_empty && before->len == 0);
    return emit(t, after ? t->user_after_system : t->user, m, sink);
}

static int check_order(const struct sl_chat_template *t, const struct sl_chat_message *messages,
                       size_t n)
{
    size_t first = n && messages[0].role == SL_CHAT_SYSTEM;
    bool good = n > first && (n - first) % 2 == 1;
    for (size_t i = first; i < n && good; i++)
        good = messages[i].role == ((i - first) % 2 ? SL_CHAT_ASSISTANT : SL_CHAT_USER);
    if (!good)
        return sl_fail(SL_ERR_USAGE, NULL,
                       "chat: messages are a system message at most, then user and assistant in "
                       "turns, the user last");
    if (first && !t->system)
        return sl_fail(SL_ERR_UNSUPPORTED, "say it in the first turn",
                       "chat template %s: it has no system message", t->name);
    return 0;
}

int sl_chat_render(const struct sl_chat_template *t, const struct sl_chat_message *messages,
                   size_t n, const struct sl_chat_sink *sink)
{
    int err = check_order(t, messages, n);
    if (!err)
        err = emit(t, t->begin, NULL, sink);
    for (size_t i = 0; i < n && !err; i++)
        err = emit_message(t, messages, i, sink);
    return err ? err : emit(t, t->open, NULL, sink);
}

/* ---- ids */

/* Text waits until a special token or ids follow: it is cut into tokens as a whole. */
struct encoder {
    const struct sl_chat *chat;
    char *text;
    int32_t *ids;
    size_t n_text, cap_text, n, cap;
};

/* Room for n more elements behind *count. */
static int grow(void **v, size_t *cap, size_t count, size_t n, size_t size)
{
    if (n <= *cap - count)
        return 0;
    size_t want = 2 * *cap + n + 64;
    void *p = want <= SIZE_MAX / 4 / size ? realloc(*v, want * size) : NULL;
    if (!p)
        return sl_fail(SL_ERR_NOMEM, "shorten the conversation",
                       "out of memory for a conversation");
    *v = p;
    *cap = want;
    return 0;
}

static int put_ids(struct encoder *e, const int32_t *ids, size_t n)
{
    int err = grow((void **)&e->ids, &e->cap, e->n, n, sizeof *e->ids);
    if (err)
        return err;
    if (n)
        memcpy(e->ids + e->n, ids, n * sizeof *ids);
    e->n += n;
    return 0;
}

static int flush_text(struct encoder *e)
{
    int32_t *ids;
    size_t n;
    if (!e->n_text)
        return 0;
    int err = sl_tokenizer_encode(e->chat->tok, e->text, e->n_text, false, &ids, &n);
    if (err)
        return err;
    e->n_text = 0;
    err = put_ids(e, ids, n);
    free(ids);
    return err;
}

static int take_text(void *user, const char *text, size_t len)
{
    struct encoder *e = user;
    int err = grow((void **)&e->text, &e->cap_text, e->n_text, len, 1);
    if (err)
        return err;
    memcpy(e->text + e->n_text, text, len);
    e->n_text += len;
    return 0;
}

static int take_ids(void *user, const int32_t *ids, size_t n)
{
    int err = flush_text(user);
    return err ? err : put_ids(user, ids, n);
}

static int take_special(void *user, unsigned index)
{
    struct encoder *e = user;
    return take_ids(e, &e->chat->id[index], 1);
}

int sl_chat_encode(const struct sl_chat *chat, const struct sl_chat_message *messages, size_t n,
                   int32_t **ids, size_t *n_ids)
{
    struct encoder e = {.chat = chat};
    const struct sl_chat_sink sink = {&e, take_special, take_text, take_ids};
    int err = sl_chat_render(chat->t, messages, n, &sink);
    if (!err)
        err = take_ids(&e, NULL, 0);
    free(e.text);
    if (err) {
        free(e.ids);
        return err;
    }
    *ids = e.ids;
    *n_ids = e.n;
    return 0;
}
