/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

struct translator {
    const char *at, *end;
    struct sl_bytes *out;
    const char *why;
    bool in_class;
    bool set; /* the last item of the class stands for many characters: no range begins there */
    int err;
};

static void put(struct translator *t, const char *text, size_t len)
{
    if (!t->err)
        t->err = sl_bytes_add(t->out, text, len);
}

static void put_text(struct translator *t, const char *text)
{
    put(t, text, strlen(text));
}

static void refuse(struct translator *t, const char *why)
{
    if (!t->why)
        t->why = why;
}

static bool starts(const struct translator *t, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(t->end - t->at) >= n && !memcmp(t->at, text, n);
}

/* Hexadecimal digits from t->at on, at most max; copies them as \x{..}. */
static size_t put_code(struct translator *t, size_t max)
{
    size_t n = 0;
    while (n < max && t->at + n < t->end && isxdigit((unsigned char)t->at[n]))
        n++;
    put_text(t, "\\x{");
    put(t, t->at, n);
    put_text(t, "}");
    t->at += n;
    return n;
}

/* Behind \x or \u. */
static void take_code(struct translator *t, char kind)
{
    bool brace = kind == 'x' && starts(t, "{");
    t->at += brace;
    /* Two digits above 7F would be a byte of a character. */
    bool byte = kind == 'x' && !brace && t->at < t->end && strchr("89abcdefABCDEF", *t->at);
    size_t n = put_code(t, brace ? 6 : kind == 'x' ? 2 : 4);
    bool closed = !brace || starts(t, "}");
    t->at += brace && closed;
    if (byte || !closed || n == 0 || (!brace && n != (kind == 'x' ? 2u : 4u)))
        refuse(t, "a bad \\x or \\u");
}

/* Behind \p or \P. */
static void take_property(struct translator *t, char kind)
{
    const char head[2] = {'\\', kind};
    size_t n = 1;
    while (t->at + n < t->end && (isalpha((unsigned char)t->at[n]) || t->at[n] == '_'))
        n++;
    if (!starts(t, "{") || t->at + n >= t->end || t->at[n] != '}') {
        refuse(t, "a bad \\p{}");
        return;
    }
    put(t, head, 2);
    put(t, t->at, n + 1);
    t->at += n + 1;
}

static void take_escape(struct translator *t)
{
    char c = ++t->at < t->end ? *t->at++ : 0;
    t->set = c && strchr("sSdDpP", c);
    if (c == 's')
        put_text(t, t->in_class ? SL_PATTERN_WHITE : "[" SL_PATTERN_WHITE "]");
    else if (c == 'S' && !t->in_class)
        put_text(t, "[^" SL_PATTERN_WHITE "]");
    else if (c == 'd' || c == 'D')
        put_text(t, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    else if (c == 'p' || c == 'P')
        take_property(t, c);
    else if (c == 'x' || c == 'u')
        take_code(t, c);
    else if (c == 'v')
        put_text(t, "\\x{b}");
    else if (c && (strchr("rntf", c) || ispunct((unsigned char)c)))
        put(t, (const char[]){'\\', c}, 2);
    else
        refuse(t, "an escape that is not known, or \\S in a class");
}

static void take_in_class(struct translator *t)
{
    bool range = *t->at == '-' && t->set && t->at + 1 < t->end && t->at[1] != ']';
    t->set = false;
    if (*t->at == '[' || starts(t, "&&") || range || !*t->at)
        refuse(t, "a class in a class, &&, or a range of sets");
    t->in_class = *t->at != ']';
    put(t, t->at++, 1);
}

static void open_class(struct translator *t)
{
    size_t n = starts(t, "[^") ? 2 : 1;
    put(t, t->at, n);
    t->at += n;
    t->in_class = true;
    t->set = false;
    if (starts(t, "]"))
        refuse(t, "an empty class");
}

static void open_group(struct translator *t)
{
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    size_t n = starts(t, "(?") ? 0 : 1;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !n; i++)
        n = starts(t, kinds[i]) ? strlen(kinds[i]) : 0;
    if (n == 0 || starts(t, "(*"))
        refuse(t, "a group of a kind that is not known");
    n += n == 0;
    put(t, t->at, n);
    t->at += n;
}

/* {n} {n,} {n,m} */
static void take_count(struct translator *t)
{
    size_t n = 1;
    while (t->at + n < t->end && (isdigit((unsigned char)t->at[n]) || (n > 1 && t->at[n] == ',')))
        n++;
    bool closed = n > 1 && t->at + n < t->end && t->at[n] == '}';
    n += closed;
    put(t, t->at, n);
    t->at += n;
    if (!closed || starts(t, "+") || starts(t, "?"))
        refuse(t, "a { that is no count, or + or ? behind one");
}

static void take_outside(struct translator *t)
{
    char c = *t->at;
    if (c == '[') {
        open_class(t);
    } else if (c == '(') {
        open_group(t);
    } else if (c == '{') {
        take_count(t);
    } else {
        if (!c || strchr(".^$", c))
            refuse(t, "one of . ^ $");
        put(t, t->at++, 1);
    }
}

int sl_pattern_translate(const char *text, size_t len, struct sl_bytes *out, const char **why)
{
    struct translator t = {.at = text, .end = text + len, .out = out};
    while (t.at < t.end && !t.err && !t.why) {
        if (*t.at == '\\')
            take_escape(&t);
        else if (t.in_class)
            take_in_class(&t);
        else
            take_outside(&t);
    }
    *why = t.why;
    return t.err;
}
