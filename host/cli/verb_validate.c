/* SPDX-License-Identifier: Apache-2.0 */
/* validate: numbered tests of one device, each printed as it ends. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "verbs.h"

enum { N_RESULT = SL_VALIDATE_SKIPPED + 1, INDENT = 4, WIDTH = 96 };
static const char *const result_names[N_RESULT] = {"PASSED", "FAILED", "SKIPPED"};

struct validation {
    const struct sl_options *o;
    struct sl_progress progress;
    unsigned count[N_RESULT];
    json_t *tests; /* NULL: text */
};

/* ---- text ----------------------------------------------------------------------------------- */

/* Breaks the text at blanks. */
static void print_wrapped(const char *text)
{
    while (*text) {
        size_t len = strlen(text);
        if (len > WIDTH - INDENT) {
            for (len = WIDTH - INDENT; len > 0 && text[len] != ' '; len--) {
            }
            len = len ? len : strcspn(text, " ");
        }
        printf("%*s%.*s\n", INDENT, "", (int)len, text);
        text += len + strspn(text + len, " ");
    }
}

static void print_value(double v, int width)
{
    if (isnan(v))
        printf("  %*s", width, "-");
    else
        printf("  %*.*f", width, fabs(v) >= 1000 || v == floor(v) ? 0 : fabs(v) < 10 ? 2 : 1, v);
}

static void print_table(const struct sl_validate_test *t)
{
    enum { NAME = 16, COLUMN = 10 };
    printf("%*s%-*s", INDENT, "", NAME, t->row_title);
    for (unsigned c = 0; c < t->n_column; c++)
        printf("  %*s", COLUMN, t->column[c]);
    putchar('\n');
    for (unsigned r = 0; r < t->n_row; r++) {
        printf("%*s%-*s", INDENT, "", NAME, t->row[r].name);
        for (unsigned c = 0; c < t->n_column; c++) {
            const int title = (int)strlen(t->column[c]);
            print_value(t->row[r].value[c], title > COLUMN ? title : COLUMN);
        }
        putchar('\n');
    }
}

static void print_test(const struct sl_validate_test *t)
{
    printf("%2u  %-24s %-8s %8.2f s\n", t->number, t->name, result_names[t->result], t->seconds);
    print_wrapped(t->detail);
    if (t->n_row)
        print_table(t);
    fflush(stdout);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *json_table(const struct sl_validate_test *t)
{
    json_t *columns = json_array(), *rows = json_array();
    for (unsigned c = 0; c < t->n_column; c++)
        json_array_append_new(columns, json_string(t->column[c]));
    for (unsigned r = 0; r < t->n_row; r++) {
        json_t *values = json_array();
        for (unsigned c = 0; c < t->n_column; c++)
            json_array_append_new(values, sl_json_number(t->row[r].value[c]));
        json_array_append_new(rows,
                              json_pack("{s:s, s:o}", "name", t->row[r].name, "values", values));
    }
    return json_pack("{s:s, s:o, s:o}", "title", t->row_title, "columns", columns, "rows", rows);
}

static json_t *json_test(const struct sl_validate_test *t)
{
    json_t *o = json_pack("{s:i, s:s, s:s, s:f, s:s}", "number", (int)t->number, "name", t->name,
                          "result", result_names[t->result], "seconds",
                          round(t->seconds * 1e6) * 1e-6, "detail", t->detail);
    json_object_set_new(o, "table", t->n_row ? json_table(t) : json_null());
    return o;
}

/* ---- the verb ------------------------------------------------------------------------------- */

static void report(void *user, const struct sl_validate_test *t)
{
    struct validation *v = user;
    v->count[t->result]++;
    sl_progress_close(&v->progress);
    if (v->tests)
        json_array_append_new(v->tests, json_test(t));
    else
        print_test(t);
}

static int finish(struct validation *v, const char *device)
{
    const unsigned *n = v->count;
    if (!v->tests) {
        printf("%s: %u passed, %u failed, %u skipped\n", device, n[SL_VALIDATE_PASSED],
               n[SL_VALIDATE_FAILED], n[SL_VALIDATE_SKIPPED]);
        return sl_stdout_finish();
    }
    return sl_json_print(json_pack("{s:s, s:i, s:i, s:i, s:o}", "device", device, "passed",
                                   (int)n[SL_VALIDATE_PASSED], "failed", (int)n[SL_VALIDATE_FAILED],
                                   "skipped", (int)n[SL_VALIDATE_SKIPPED], "tests", v->tests));
}

int sl_verb_validate(const struct sl_options *o)
{
    const char *device = o->device ? o->device : "csim";
    struct validation v = {.o = o, .progress = sl_progress_open()};
    const struct sl_validate_params p = {.device = device,
                                         .report = report,
                                         .user = &v,
                                         .progress = sl_progress_tick,
                                         .progress_user = &v.progress};
    v.tests = o->json ? json_array() : NULL;
    sl_interrupt_catch();
    const int err = sl_validate(&p);
    sl_progress_close(&v.progress);
    if (err == SL_ERR_INTERRUPTED) {
        json_decref(v.tests);
        return sl_cli_library_error(err);
    }
    const int code = finish(&v, device);
    if (err)
        return sl_cli_library_error(err);
    return code ? code : v.count[SL_VALIDATE_FAILED] ? SL_EXIT_VERIFY : SL_EXIT_OK;
}
