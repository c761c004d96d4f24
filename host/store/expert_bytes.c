/* SPDX-License-Identifier: Apache-2.0 */
/* What one expert takes, from a config alone or from a converted store's manifest. */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/format.h"
#include "store/manifest.h"
#include "store/outfile.h"
#include "store/quant_config.h"

enum { BEAT_BYTES = 64 };

static int bytes_of(const struct sl_layout *layout, uint64_t *out)
{
    const struct sl_slab_item *item = sl_layout_find(layout, SL_SLAB_ROLE_EXPERT, 0, 0);
    if (!item)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "the model has no routed experts");
    *out = item->n_beats * BEAT_BYTES;
    return 0;
}

static int from_store(const char *dir, const char *format, uint64_t *out)
{
    struct sl_manifest m;
    int err = sl_manifest_load(&m, dir);
    if (err)
        return err;
    const char *own = sl_format_name(m.layout.format);
    if (format && strcmp(format, own))
        err = sl_fail(SL_ERR_USAGE, "leave the format out", "%s: its experts are %s, not %s", dir,
                      own, format);
    else
        err = bytes_of(&m.layout, out);
    sl_manifest_close(&m);
    return err;
}

int sl_expert_bytes(const char *path, const char *format, uint64_t *out)
{
    char manifest[PATH_MAX];
    struct sl_config config;
    struct sl_layout layout;
    int code, err = sl_path_join(manifest, path, SL_MANIFEST_NAME);
    if (!err && !access(manifest, F_OK))
        return from_store(path, format, out);
    err = err ? err : sl_quant_choose_format(&code, format, path);
    err = err ? err : sl_config_load(&config, path);
    err = err ? err : sl_layout_open(&layout, &config, code, code);
    if (err)
        return err;
    err = bytes_of(&layout, out);
    sl_layout_close(&layout);
    return err;
}
