/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"
#include "input.h"
#include "utf8_stream.h"
#include "verbs.h"

/* A piece may be part of a character: U+FFFD stands for it, the bytes are given as well. */
static json_t *piece_object(const struct sl_tokenizer *tok, int32_t id)
{
    struct sl_utf8_stream s = {0};
    size_t len = 0;
    const char *bytes = sl_tokenizer_piece(tok, id, &len);
    json_t *text = NULL, *list = json_array();
    if (sl_utf8_stream_add(&s, bytes, len) && sl_utf8_stream_end(&s))
        text = json_stringn(s.text.v, s.text.n);
    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    sl_utf8_stream_free(&s);
    return json_pack("{s:i, s:o, s:o, s:b}", "id", (int)id, "text", text, "bytes", list, "special",
                     (int)sl_tokenizer_is_special(tok, id));
}

static int print_json(const struct sl_input *in)
{
    json_t *ids = json_array(), *pieces = json_array();
    for (size_t i = 0; i < in->n; i++) {
        json_array_append_new(ids, json_integer(in->ids[i]));
        json_array_append_new(pieces, piece_object(in->tok, in->ids[i]));
    }
    return sl_json_print(
        json_pack("{s:I, s:o, s:o}", "n", (json_int_t)in->n, "ids", ids, "pieces", pieces));
}

/* One line a token: id, bytes as text, quoted; what cannot be printed as \xHH. */
static void print_pieces(const struct sl_input *in)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t len = 0, n;
        const char *bytes = sl_tokenizer_piece(in->tok, in->ids[i], &len);
        printf("%8d  \"", (int)in->ids[i]);
        for (size_t at = 0; at < len; at += n) {
            n = sl_utf8_complete(bytes + at, len - at);
            bool plain = n > 1 || (n && (unsigned char)bytes[at] >= ' ' && bytes[at] != 127);
            if (n == 1 && (bytes[at] == '"' || bytes[at] == '\\'))
                putchar('\\');
            if (plain)
                fwrite(bytes + at, 1, n, stdout);
            else
                printf("\\x%02x", (unsigned char)bytes[at]);
            n = n ? n : 1;
        }
        printf("\"%s\n", sl_tokenizer_is_special(in->tok, in->ids[i]) ? "  special" : "");
    }
}

int sl_verb_tokenize(const struct sl_options *o)
{
    struct sl_input in;
    int code = sl_input_load(&in, o, false);
    if (!code && o->json) {
        code = print_json(&in);
    } else if (!code && o->pieces) {
        print_pieces(&in);
        code = sl_stdout_finish();
    } else if (!code) {
        for (size_t i = 0; i < in.n; i++)
            printf("%s%d", i ? " " : "", (int)in.ids[i]);
        putchar('\n');
        code = sl_stdout_finish();
    }
    sl_input_free(&in);
    return code;
}
