/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hf_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int sl_hf_fail(const struct sl_hf_reader *r, const char *where, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "the file is damaged or no tokenizer.json: copy it again",
                   "%s: %s: %s", r->name, where, why);
}

int sl_hf_refuse(const struct sl_hf_reader *r, const char *where, const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return sl_fail(SL_ERR_UNSUPPORTED, "it would change ids; give token ids (--tokens FILE)",
                   "%s: %s of type %.40s, as it is given, is not implemented", r->name, where,
                   type ? type : "?");
}

bool sl_hf_is(const json_t *object, const char *type)
{
    const char *is = json_string_value(json_object_get(object, "type"));
    return is && !strcmp(is, type);
}

bool sl_hf_flag(const json_t *object, const char *key, bool absent)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : absent;
}

static int read_all(struct sl_hf_reader *r, const json_t *root)
{
    int err = sl_hf_read_pipeline(r, root);
    if (!err)
        err = sl_hf_read_vocab(r, root);
    if (!err)
        err = sl_hf_normalize_names(r);
    return err ? err : sl_added_finish(&r->hf->added);
}

int sl_hf_parse(struct sl_hf **out, const char *name, const char *json, size_t len)
{
    struct sl_hf_reader r = {sl_alloc(1, sizeof *r.hf), name};
    json_error_t why;
    if (!r.hf)
        return SL_ERR_NOMEM;
    r.hf->bos = r.hf->unk = -1;
    json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    int err;
    if (json_is_object(root))
        err = read_all(&r, root);
    else
        err = sl_fail(SL_ERR_FORMAT, "copy the file again", "%s:%d: %.*s", name,
                      root ? 1 : why.line, (int)strcspn(root ? "not an object" : why.text, "\n"),
                      root ? "not an object" : why.text);
    json_decref(root);
    if (err)
        sl_kind_hf.close(r.hf);
    else
        *out = r.hf;
    return err;
}
