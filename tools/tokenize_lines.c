/* SPDX-License-Identifier: Apache-2.0 */
/* Many texts through one tokenizer, for comparison with others (tools/check_tokenizers.py).
 * usage: build/tokenize_lines DIR [special] <lines: each line is one text in hexadecimal
 * Each line of output: the ids, then |, then the text that they spell in hexadecimal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"

static int hex_digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static void print_ids(const struct sl_tokenizer *tok, const int32_t *ids, size_t n)
{
    bool start = true;
    for (size_t i = 0; i < n; i++)
        printf("%d ", (int)ids[i]);
    putchar('|');
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *text = sl_tokenizer_text(tok, ids[i], &start, &len);
        for (size_t k = 0; k < len; k++)
            printf("%02x", (unsigned char)text[k]);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct sl_tokenizer *tok = NULL;
    char *line = NULL;
    size_t cap = 0, n;
    int32_t *ids;
    bool special = argc > 2 && !strcmp(argv[2], "special");
    int err = argc < 2 ? SL_ERR_USAGE : sl_tokenizer_open(&tok, argv[1]);
    for (ssize_t got; !err && (got = getline(&line, &cap, stdin)) > 0;) {
        size_t len = (size_t)got / 2;
        for (size_t i = 0; i < len; i++)
            line[i] = (char)(hex_digit(line[2 * i]) << 4 | hex_digit(line[2 * i + 1]));
        err = sl_tokenizer_encode(tok, line, len, special, &ids, &n);
        if (!err) {
            print_ids(tok, ids, n);
            free(ids);
        }
    }
    if (err)
        fprintf(stderr, "error: %s %s\n", sl_err_name(err), sl_error_message());
    free(line);
    sl_tokenizer_close(&tok);
    return err ? 1 : 0;
}
