/* SPDX-License-Identifier: Apache-2.0 */
#include "store/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/outfile.h"
#include "store/store.h"

enum { MANIFEST_VERSION = 1, HEX_MAX = 20 };

static const char convert_again[] = "convert the model again";

static void put_hex(uint64_t v, char out[HEX_MAX])
{
    snprintf(out, HEX_MAX, "%016" PRIx64, v);
}

/* Sixteen lower-case hexadecimal digits. */
static bool get_hex(const json_t *object, const char *key, uint64_t *out)
{
    const char *s = json_string_value(json_object_get(object, key));
    if (!s || strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16)
        return false;
    *out = strtoull(s, NULL, 16);
    return true;
}

static bool get_u64(const json_t *object, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static int missing(const char *key)
{
    return sl_fail(SL_ERR_FORMAT, convert_again, "manifest: \"%s\" is missing or malformed", key);
}

/* ---- slab lists ----------------------------------------------------------------------------- */

static json_t *pack_slabs(const struct sl_layout *l, uint32_t part, const uint64_t *hash)
{
    json_t *list = json_array();
    for (size_t i = l->part_first[part]; i < l->part_first[part + 1] && list; i++) {
        char name[SL_SLAB_NAME_MAX], hex[HEX_MAX];
        sl_slab_item_name(&l->item[i], name);
        put_hex(hash[i], hex);
        json_t *entry =
            json_pack("{s:s, s:I, s:I, s:s}", "name", name, "offset", (json_int_t)l->item[i].offset,
                      "beats", (json_int_t)l->item[i].n_beats, "xxh3", hex);
        if (!entry || json_array_append_new(list, entry)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* One entry must say what the layout says; its hash goes to *hash. */
static int parse_slab(const json_t *entry, const struct sl_slab_item *item, uint64_t *hash)
{
    char want[SL_SLAB_NAME_MAX];
    sl_slab_item_name(item, want);
    const char *name = json_string_value(json_object_get(entry, "name"));
    uint64_t offset, beats;
    if (!name || !get_u64(entry, "offset", &offset) || !get_u64(entry, "beats", &beats) ||
        !get_hex(entry, "xxh3", hash))
        return sl_fail(SL_ERR_FORMAT, convert_again, "manifest: entry of slab %s is malformed",
                       want);
    if (strcmp(name, want) || offset != item->offset || beats != item->n_beats)
        return sl_fail(SL_ERR_FORMAT, convert_again,
                       "manifest: slab %.60s of %" PRIu64 " beats at %" PRIu64
                       ", the model wants %s of %" PRIu64 " at %" PRIu64,
                       name, beats, offset, want, item->n_beats, item->offset);
    return 0;
}

static int parse_slabs(const json_t *list, const struct sl_layout *l, uint32_t part, uint64_t *hash)
{
    size_t first = l->part_first[part], n = l->part_first[part + 1] - first;
    if (!json_is_array(list) || json_array_size(list) != n)
        return missing("slabs");
    for (size_t i = 0; i < n; i++) {
        int err = parse_slab(json_array_get(list, i), &l->item[first + i], &hash[first + i]);
        if (err)
            return err;
    }
    return 0;
}

/* ---- manifest ------------------------------------------------------------------------------- */

void sl_manifest_close(struct sl_manifest *m)
{
    sl_layout_close(&m->layout);
    free(m->hash);
    *m = (struct sl_manifest){0};
}

static int parse_versions(const json_t *root)
{
    uint64_t version, abi;
    if (!get_u64(root, "sluice_store", &version))
        return missing("sluice_store");
    if (version != MANIFEST_VERSION)
        return sl_fail(SL_ERR_ABI, convert_again,
                       "manifest: version %" PRIu64 ", this program reads %d", version,
                       MANIFEST_VERSION);
    if (!get_u64(root, "abi_version", &abi))
        return missing("abi_version");
    if (abi != SL_ABI_VERSION)
        return sl_fail(SL_ERR_ABI, convert_again,
                       "manifest: made for contract %08" PRIx64 ", this program has %08x", abi,
                       SL_ABI_VERSION);
    return 0;
}

/* Config and formats give the layout. */
static int parse_layout(const json_t *root, struct sl_layout *out)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *dense = json_string_value(json_object_get(root, "format_dense"));
    const json_t *config = json_object_get(root, "config");
    if (!format || !dense)
        return missing(format ? "format_dense" : "format");
    if (!json_is_object(config))
        return missing("config");
    int f, d;
    if (sl_format_parse(&f, format) || sl_format_parse(&d, dense))
        return missing("format");
    char *text = json_dumps(config, JSON_COMPACT);
    if (!text)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the config");
    struct sl_config c;
    int err = sl_config_parse(&c, text, strlen(text));
    free(text);
    return err ? err : sl_layout_open(out, &c, f, d);
}

static int parse_part(const json_t *entry, const struct sl_layout *l, uint32_t part, uint64_t *hash)
{
    char want[SL_PART_NAME_MAX];
    sl_part_file_name(l, part, want);
    const char *file = json_string_value(json_object_get(entry, "file"));
    uint64_t bytes;
    if (!file || !get_u64(entry, "bytes", &bytes) || strcmp(file, want) ||
        bytes != l->part_bytes[part])
        return sl_fail(SL_ERR_FORMAT, convert_again, "manifest: entry of %s is malformed", want);
    return parse_slabs(json_object_get(entry, "slabs"), l, part, hash);
}

static int parse_root(const json_t *root, struct sl_manifest *m)
{
    int err = parse_versions(root);
    if (!err)
        err = parse_layout(root, &m->layout);
    if (err)
        return err;
    const json_t *tensors = json_object_get(root, "tensors"),
                 *parts = json_object_get(root, "parts");
    if (!get_hex(root, "identity", &m->identity))
        return missing("identity");
    if (!get_u64(root, "groups", &m->n_group) ||
        !get_u64(root, "groups_raised", &m->n_group_raised))
        return missing("groups");
    if (!get_u64(tensors, "bytes", &m->tensors_bytes) ||
        !get_hex(tensors, "xxh3", &m->tensors_hash))
        return missing("tensors");
    if (!json_is_array(parts) || json_array_size(parts) != m->layout.n_part)
        return missing("parts");
    m->hash = sl_alloc(m->layout.n_item, sizeof *m->hash);
    if (!m->hash)
        return SL_ERR_NOMEM;
    for (uint32_t p = 0; p < m->layout.n_part && !err; p++)
        err = parse_part(json_array_get(parts, p), &m->layout, p, m->hash);
    return err;
}

/* root: consumed; NULL with `why` of jansson. */
static int finish_parse(struct sl_manifest *out, json_t *root, const json_error_t *why)
{
    if (!root)
        return sl_fail(SL_ERR_FORMAT, convert_again, "manifest: line %d: %.150s", why->line,
                       why->text);
    struct sl_manifest m = {0};
    int err = parse_root(root, &m);
    json_decref(root);
    if (err)
        sl_manifest_close(&m);
    else
        *out = m;
    return err;
}

int sl_manifest_parse(struct sl_manifest *out, const char *json, size_t len)
{
    json_error_t why;
    json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    return finish_parse(out, root, &why);
}

int sl_manifest_load(struct sl_manifest *out, const char *dir)
{
    char path[PATH_MAX];
    int err = sl_path_join(path, dir, SL_MANIFEST_NAME);
    if (err)
        return err;
    json_error_t why;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!root && json_error_code(&why) == json_error_cannot_open_file)
        return sl_fail(SL_ERR_IO, "an unfinished conversion has none: run convert again",
                       "%s: cannot be opened", path);
    return finish_parse(out, root, &why);
}

static json_t *pack_parts(const struct sl_manifest *m)
{
    json_t *parts = json_array();
    for (uint32_t p = 0; p < m->layout.n_part && parts; p++) {
        char file[SL_PART_NAME_MAX];
        sl_part_file_name(&m->layout, p, file);
        json_t *entry =
            json_pack("{s:s, s:I, s:o}", "file", file, "bytes", (json_int_t)m->layout.part_bytes[p],
                      "slabs", pack_slabs(&m->layout, p, m->hash));
        if (!entry || json_array_append_new(parts, entry)) {
            json_decref(parts);
            return NULL;
        }
    }
    return parts;
}

/* root: consumed; NULL means no memory. */
static int put_json(json_t *root, const char *dir, const char *name, bool durable)
{
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text)
        return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for %s", name);
    int err = sl_outfile_put(dir, name, text, strlen(text), durable);
    free(text);
    return err;
}

int sl_manifest_write(const struct sl_manifest *m, const char *dir, const char *config_json)
{
    json_error_t why;
    json_t *config = json_loads(config_json, 0, &why);
    if (!config)
        return sl_fail(SL_ERR_FORMAT, NULL, "config.json: line %d: %.150s", why.line, why.text);
    char identity[HEX_MAX], hash[HEX_MAX];
    put_hex(m->identity, identity);
    put_hex(m->tensors_hash, hash);
    json_t *root = json_pack(
        "{s:i, s:I, s:s, s:s, s:s, s:o, s:I, s:I, s:{s:s, s:I, s:s}, s:o}", "sluice_store",
        MANIFEST_VERSION, "abi_version", (json_int_t)SL_ABI_VERSION, "identity", identity, "format",
        sl_format_name(m->layout.format), "format_dense", sl_format_name(m->layout.format_dense),
        "config", config, "groups", (json_int_t)m->n_group, "groups_raised",
        (json_int_t)m->n_group_raised, "tensors", "file", SL_TENSORS_NAME, "bytes",
        (json_int_t)m->tensors_bytes, "xxh3", hash, "parts", pack_parts(m));
    return put_json(root, dir, SL_MANIFEST_NAME, true);
}

bool sl_manifest_peek_identity(const char *dir, const char *file, uint64_t *identity)
{
    char path[PATH_MAX];
    if (sl_path_join(path, dir, file))
        return false;
    json_t *root = json_load_file(path, 0, NULL);
    bool found = get_hex(root, "identity", identity);
    json_decref(root);
    return found;
}

/* ---- fragments ------------------------------------------------------------------------------ */

void sl_fragment_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX])
{
    char name[SL_PART_NAME_MAX] = SL_TENSORS_PART;
    if (part < layout->n_part)
        sl_part_name(layout, part, name);
    snprintf(out, SL_PART_NAME_MAX, "%.16s.frag", name);
}

void sl_part_file_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX])
{
    char name[SL_PART_NAME_MAX];
    if (part >= layout->n_part) {
        snprintf(out, SL_PART_NAME_MAX, "%s", SL_TENSORS_NAME);
        return;
    }
    sl_part_name(layout, part, name);
    snprintf(out, SL_PART_NAME_MAX, "%.16s.slab", name);
}

int sl_fragment_write(const struct sl_fragment *f, const char *dir, const struct sl_layout *layout,
                      uint32_t part, const uint64_t *hash)
{
    char identity[HEX_MAX], tensors[HEX_MAX], name[SL_PART_NAME_MAX];
    put_hex(f->identity, identity);
    put_hex(f->tensors_hash, tensors);
    sl_fragment_name(layout, part, name);
    json_t *slabs = part < layout->n_part ? pack_slabs(layout, part, hash) : json_array();
    json_t *root =
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:o}", "identity", identity, "bytes",
                  (json_int_t)f->bytes, "groups", (json_int_t)f->n_group, "groups_raised",
                  (json_int_t)f->n_group_raised, "tensors_xxh3", tensors, "slabs", slabs);
    /* A fragment lost or torn by a loss of power costs its part once more, nothing else. */
    return put_json(root, dir, name, false);
}

bool sl_fragment_read(struct sl_fragment *out, const char *dir, const struct sl_layout *layout,
                      uint32_t part, uint64_t *hash)
{
    char name[SL_PART_NAME_MAX], path[PATH_MAX];
    sl_fragment_name(layout, part, name);
    if (sl_path_join(path, dir, name))
        return false;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    struct sl_fragment f;
    bool ok = get_hex(root, "identity", &f.identity) && get_u64(root, "bytes", &f.bytes) &&
              get_u64(root, "groups", &f.n_group) &&
              get_u64(root, "groups_raised", &f.n_group_raised) &&
              get_hex(root, "tensors_xxh3", &f.tensors_hash);
    if (ok && part < layout->n_part)
        ok = f.bytes == layout->part_bytes[part] &&
             !parse_slabs(json_object_get(root, "slabs"), layout, part, hash);
    json_decref(root);
    if (ok)
        *out = f;
    return ok;
}
