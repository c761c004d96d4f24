/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates (sl_chat_* of sluice.h) as their table and their tests see them. */
#ifndef SL_ENGINE_CHAT_H
#define SL_ENGINE_CHAT_H

#include "sluice.h"

enum { SL_CHAT_MAX_SPECIAL = 4 };

/* Literals hold the names of special tokens (those of `special`, no others) and one of
 *     %s the message's text,  %t without white space around it,  %e without white space behind it.
 */
struct sl_chat_template {
    const char *name;
    const char *architecture;                 /* the only one it is for; NULL: tokens decide */
    const char *special[SL_CHAT_MAX_SPECIAL]; /* the vocabulary must have them; NULL behind */
    const char *begin;                        /* in front of everything */
    const char *system;                       /* NULL: the template has no system message */
    const char *system_empty;      /* for a message without text, after which `user` follows; NULL:
                                      as any other */
    const char *user;              /* a turn */
    const char *user_after_system; /* the first one behind a system message; NULL: `user` */
    const char *open;              /* where an answer begins */
    const char *answer;            /* its text, when it has no ids */
    const char *close;             /* what follows it */
    const char
        *past;       /* not NULL: an answer that is past, from its text, instead of open to close */
    const char *end; /* the special token that the model closes an answer with */
};
extern const struct sl_chat_template sl_chat_templates[];
extern const size_t sl_n_chat_template;

/* Receives a conversation piece by piece; 0 or an error that ends it. special: its place in the
 * template's list. */
struct sl_chat_sink {
    void *user;
    int (*special)(void *user, unsigned index);
    int (*text)(void *user, const char *text, size_t len);
    int (*ids)(void *user, const int32_t *ids, size_t n);
};
/* As sl_chat_encode, in pieces. */
int sl_chat_render(const struct sl_chat_template *t, const struct sl_chat_message *messages,
                   size_t n, const struct sl_chat_sink *sink);

#endif
