/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/pattern.h"
#include "engine/text.h"

/* Contractions; a word with at most one other character in front; one digit; a run of symbols with
 * the line breaks behind it; line breaks with the white space before; white space, leaving the last
 * one to the word that follows; white space. */
static const char pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
                              "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
                              "|\\p{N}"
                              "| ?[^" SL_PATTERN_WHITE "\\p{L}\\p{N}]+[\\r\\n]*"
                              "|[" SL_PATTERN_WHITE "]*[\\r\\n]+"
                              "|[" SL_PATTERN_WHITE "]+(?![^" SL_PATTERN_WHITE "])"
                              "|[" SL_PATTERN_WHITE "]+";

struct sl_splitter {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    bool drops_rest;
};

static int fail_pcre(int code, const char *what)
{
    char why[120];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return sl_fail(code == PCRE2_ERROR_NOMEMORY ? SL_ERR_NOMEM : SL_ERR_RANGE,
                   "split the text into smaller parts", "%s: %s", what, why);
}

static int fail_pattern(const char *why)
{
    return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                   "the pattern that cuts text: %s", why);
}

/* A regular expression, or with PCRE2_LITERAL the text itself. */
static int compile(struct sl_splitter **out, const void *text, size_t len, uint32_t options)
{
    struct sl_splitter *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    int code = 0, err = 0;
    PCRE2_SIZE offset;
    uint32_t empty = 0;
    char why[120];
    s->code = pcre2_compile(text, len, PCRE2_UTF | options, &code, &offset, NULL);
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->code) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        err = fail_pattern(why);
    } else if (!s->data || !s->context) {
        err = sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the split pattern");
    } else if (pcre2_pattern_info(s->code, PCRE2_INFO_MATCHEMPTY, &empty) || empty) {
        err = fail_pattern("it can match nothing");
    }
    if (err) {
        sl_splitter_close(&s);
        return err;
    }
    pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* or not: it works without */
    *out = s;
    return 0;
}

int sl_splitter_open(struct sl_splitter **out)
{
    return compile(out, pattern, sizeof pattern - 1, PCRE2_UCP | PCRE2_ANCHORED);
}

int sl_splitter_compile(struct sl_splitter **out, const struct sl_split_pattern *p)
{
    struct sl_bytes regex = {0};
    const char *why = NULL;
    int err = p->literal ? 0 : sl_pattern_translate(p->text, p->len, &regex, &why);
    if (!err && why)
        err = fail_pattern(why);
    if (!err && p->literal)
        err = compile(out, p->text, p->len, PCRE2_LITERAL);
    else if (!err)
        err = compile(out, regex.v, regex.n, PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    free(regex.v);
    if (!err)
        (*out)->drops_rest = p->drops_rest;
    return err;
}

bool sl_splitter_drops_rest(const struct sl_splitter *splitter)
{
    return splitter->drops_rest;
}

void sl_splitter_close(struct sl_splitter **splitter)
{
    if (!splitter || !*splitter)
        return;
    pcre2_match_context_free((*splitter)->context);
    pcre2_match_data_free((*splitter)->data);
    pcre2_code_free((*splitter)->code);
    free(*splitter);
    *splitter = NULL;
}

/* Steps that an honest match of the rest of the text can need: the pattern goes back at most once
 * over a run of white space. */
static uint32_t match_limit(size_t rest)
{
    uint64_t limit = 1000 + 8 * (uint64_t)rest;
    return limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}

static int match(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at)
{
    pcre2_set_match_limit(s->context, match_limit(len - at));
    int rc = pcre2_match(s->code, text, len, at, PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(s->code, text, len, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                         s->context);
    return rc;
}

int sl_splitter_next(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at,
                     size_t *piece)
{
    int rc = match(s, text, len, at);
    if (rc < 0)
        return fail_pcre(rc, "splitting the text");
    *piece = pcre2_get_ovector_pointer(s->data)[1] - at;
    return 0;
}

int sl_splitter_find(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at,
                     size_t *from, size_t *end)
{
    int rc = match(s, text, len, at);
    *from = *end = len;
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return fail_pcre(rc, "splitting the text");
    *from = pcre2_get_ovector_pointer(s->data)[0];
    *end = pcre2_get_ovector_pointer(s->data)[1];
    return *end > *from && *from >= at ? 0 : fail_pcre(PCRE2_ERROR_INTERNAL, "splitting the text");
}
