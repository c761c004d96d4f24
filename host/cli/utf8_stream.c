/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8_stream.h"

#include <stdlib.h>
#include <string.h>

static bool append(struct sl_text *t, const void *bytes, size_t n)
{
    if (t->cap - t->n <= n) {
        size_t cap = 2 * t->cap + n + 64;
        char *v = realloc(t->v, cap);
        if (!v)
            return false;
        t->v = v;
        t->cap = cap;
    }
    memcpy(t->v + t->n, bytes, n);
    t->n += n;
    t->v[t->n] = 0;
    return true;
}

/* Bytes of the character that starts with `lead`; 0: none does. */
static size_t sequence_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* Unicode Standard, table 3-7: the second byte's range depends on the first (no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static bool may_follow(const uint8_t *pending, size_t n, uint8_t byte)
{
    uint8_t lo = 0x80, hi = 0xbf;
    if (n == 1) {
        lo = pending[0] == 0xe0 ? 0xa0 : pending[0] == 0xf0 ? 0x90 : 0x80;
        hi = pending[0] == 0xed ? 0x9f : pending[0] == 0xf4 ? 0x8f : 0xbf;
    }
    return byte >= lo && byte <= hi;
}

size_t sl_utf8_complete(const char *bytes, size_t n)
{
    const uint8_t *b = (const uint8_t *)bytes;
    size_t len = sequence_length(b[0]);
    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!may_follow(b, i, b[i]))
            return 0;
    return len;
}

static bool replace(struct sl_utf8_stream *s)
{
    s->n_pending = 0;
    return append(&s->text, "\xef\xbf\xbd", 3);
}

static bool add_byte(struct sl_utf8_stream *s, uint8_t byte)
{
    if (s->n_pending && !may_follow(s->pending, s->n_pending, byte) && !replace(s))
        return false;
    if (s->n_pending == 0 && sequence_length(byte) == 0)
        return replace(s);
    s->pending[s->n_pending++] = byte;
    if (s->n_pending < sequence_length(s->pending[0]))
        return true;
    size_t n = s->n_pending;
    s->n_pending = 0;
    return append(&s->text, s->pending, n);
}

bool sl_utf8_stream_add(struct sl_utf8_stream *s, const char *bytes, size_t n)
{
    bool ok = append(&s->text, "", 0);
    for (size_t i = 0; i < n && ok; i++)
        ok = add_byte(s, (uint8_t)bytes[i]);
    return ok;
}

bool sl_utf8_stream_end(struct sl_utf8_stream *s)
{
    return append(&s->text, "", 0) && (s->n_pending == 0 || replace(s));
}

void sl_utf8_stream_free(struct sl_utf8_stream *s)
{
    free(s->text.v);
    memset(s, 0, sizeof *s);
}
