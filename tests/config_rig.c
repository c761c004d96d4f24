/* SPDX-License-Identifier: Apache-2.0 */
#include "config_rig.h"

#include <CUnit/CUnit.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_parse(struct sl_config *out, const char *text)
{
    return sl_config_parse(out, text, strlen(text));
}

int config_parse_with(struct sl_config *out, const char *file, const char *path, const char *value)
{
    json_error_t why;
    json_t *root = json_load_file(file, 0, &why), *o = root;
    const char *dot = strchr(path, '.'), *key = dot ? dot + 1 : path;
    char outer[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    if (dot) {
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - path), path);
        o = json_object_get(root, outer);
    }
    if (value)
        json_object_set_new(o, key, json_loads(value, JSON_DECODE_ANY, &why));
    else
        json_object_del(o, key);
    char *text = json_dumps(root, 0);
    int err = config_parse(out, text);
    free(text);
    json_decref(root);
    return err;
}

void config_check_refusal(const struct config_refusal *r)
{
    struct sl_config c, before;
    memset(&c, 0x5A, sizeof c);
    before = c;
    int err = config_parse_with(&c, r->file, r->path, r->value);
    CU_ASSERT_EQUAL(err, r->err);
    if (err != r->err)
        printf("%s=%s: %d ", r->path, r->value ? r->value : "-", err);
    /* The message names the key; nothing is written. */
    const char *dot = strchr(r->path, '.');
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), dot ? dot + 1 : r->path));
    CU_ASSERT_PTR_NULL(strchr(sl_error_message(), '\n'));
    CU_ASSERT_EQUAL(memcmp(&c, &before, sizeof c), 0);
}
