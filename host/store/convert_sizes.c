/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of a config's converted model in every format. */
#include "base/err.h"
#include "store/format.h"
#include "store/layout.h"
#include "store/names.h"
#include "store/store.h"

enum { BF16_BYTES = 2 };

static int size_of(const struct sl_config *c, int format, struct sl_format_size *out,
                   uint64_t *routers)
{
    struct sl_layout l;
    int err = sl_layout_open(&l, c, format, format);
    if (err)
        return err;
    *out = (struct sl_format_size){.format = sl_format_name(format)};
    *routers = 0;
    for (size_t i = 0; i < l.n_item; i++) {
        const struct sl_slab_item *item = &l.item[i];
        uint64_t *sum = item->kind == SL_KIND_EXPERT   ? &out->experts
                        : item->kind == SL_KIND_ROUTER ? routers
                                                       : &out->dense;
        *sum += sl_slab_item_room(item);
    }
    sl_layout_close(&l);
    return 0;
}

static uint64_t kept_bytes(const struct sl_config *c)
{
    uint64_t bytes = 0;
    for (int role = 0; role < SL_N_ROLE; role++) {
        const bool once = sl_role_level((enum sl_role)role) == SL_LEVEL_MODEL;
        for (uint32_t layer = 0; layer < (once ? 1 : c->n_layer); layer++) {
            const struct sl_tensor_id id = {(enum sl_role)role, layer, 0};
            uint64_t dim[4], n = BF16_BYTES;
            if (!sl_role_is_kept(id.role) || !sl_tensor_exists(c, id))
                continue;
            const unsigned n_dim = sl_tensor_shape(c, id.role, dim);
            for (unsigned d = 0; d < n_dim; d++)
                n *= dim[d];
            bytes += n;
        }
    }
    return bytes;
}

int sl_convert_sizes(const char *path, struct sl_convert_sizes *out)
{
    static const int formats[] = {SL_FORMAT_NF4, SL_FORMAT_INT4, SL_FORMAT_MXFP4, SL_FORMAT_Q8,
                                  SL_FORMAT_FP8};
    struct sl_convert_sizes s = {.n_format = sizeof formats / sizeof formats[0]};
    struct sl_config c;
    if (sl_store_is_store(path))
        return sl_fail(SL_ERR_USAGE, NULL, "%s: is a converted model already", path);
    int err = sl_config_load(&c, path);
    for (size_t i = 0; i < s.n_format && !err; i++)
        err = size_of(&c, formats[i], &s.format[i], &s.routers);
    if (err)
        return err;
    s.kept = kept_bytes(&c);
    *out = s;
    return 0;
}
