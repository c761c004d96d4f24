/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/text.h"

/* Unicode's White_Space. PCRE2's own \s differs: it still counts U+180E. */
#define WHITE                                                                                      \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"

/* Contractions; a word with at most one other character in front; one digit; a run of symbols with
 * the line breaks behind it; line breaks with the white space before; white space, leaving the last
 * one to the word that follows; white space. */
static const char pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
                              "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
                              "|\\p{N}"
                              "| ?[^" WHITE "\\p{L}\\p{N}]+[\\r\\n]*"
                              "|[" WHITE "]*[\\r\\n]+"
                              "|[" WHITE "]+(?![^" WHITE "])"
                              "|[" WHITE "]+";

struct sl_splitter {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    bool jit;
};

static int fail_pcre(int code, const char *what)
{
    char why[120];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return sl_fail(code == PCRE2_ERROR_NOMEMORY ? SL_ERR_NOMEM : SL_ERR_RANGE,
                   "split the text into smaller parts", "%s: %s", what, why);
}

int sl_splitter_open(struct sl_splitter **out)
{
    struct sl_splitter *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    int code = 0, err;
    PCRE2_SIZE offset;
    s->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, NULL);
    if (!s->code) {
        err = fail_pcre(code, "the split pattern");
        goto fail;
    }
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->data || !s->context) {
        err = sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the split pattern");
        goto fail;
    }
    s->jit = pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE) == 0;
    *out = s;
    return 0;
fail:
    sl_splitter_close(&s);
    return err;
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

int sl_splitter_next(struct sl_splitter *s, const uint8_t *text, size_t len, size_t at,
                     size_t *piece)
{
    pcre2_set_match_limit(s->context, match_limit(len - at));
    int rc = pcre2_match(s->code, text, len, at, PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(s->code, text, len, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                         s->context);
    if (rc < 0)
        return fail_pcre(rc, "splitting the text");
    *piece = pcre2_get_ovector_pointer(s->data)[1] - at;
    return 0;
}
