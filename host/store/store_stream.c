/* SPDX-License-Identifier: Apache-2.0 */
/* A directory whose routed experts stay on disk. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "store/outfile.h"
#include "store/slab.h"
#include "store/store_state.h"

enum {
    LOADING = 16, /* slabs read at a time while opening */
    LOAD_DEADLINE_MS = 60000
};

_Static_assert(SL_SLAB_ALIGN % SL_READ_ALIGN == 0, "slabs can be read where they lie");

bool sl_store_is_streamed(const struct sl_store *store)
{
    return store->reader != NULL;
}

struct sl_reader *sl_store_reader(const struct sl_store *store)
{
    return store->reader;
}

uint64_t sl_store_expert_budget(const struct sl_store *store)
{
    return store->budget;
}

struct sl_expert_place sl_store_expert_place(const struct sl_store *store, uint32_t layer,
                                             uint32_t expert)
{
    const struct sl_layout *l = &store->m.layout;
    const struct sl_slab_item *item = sl_layout_find(l, SL_SLAB_ROLE_EXPERT, layer, expert);
    return (struct sl_expert_place){.file = layer,
                                    .offset = item->offset,
                                    .bytes = item->n_beats * SL_BEAT_BYTES,
                                    .hash = store->m.hash[item - l->item]};
}

static int check_arrived(const struct sl_store *s, const struct sl_slab_item *item,
                         const struct sl_slab *slab, uint64_t hash)
{
    if (hash != s->m.hash[item - s->m.layout.item])
        return sl_store_fail_hash(item);
    return sl_slab_item_check(item, slab);
}

int sl_store_expert_check(const struct sl_store *store, uint32_t layer, uint32_t expert,
                          const struct sl_slab *slab, uint64_t hash)
{
    return check_arrived(
        store, sl_layout_find(&store->m.layout, SL_SLAB_ROLE_EXPERT, layer, expert), slab, hash);
}

/* ---- open ----------------------------------------------------------------------------------- */

static int open_reader(struct sl_store *s, const struct sl_stream_params *p)
{
    const struct sl_layout *l = &s->m.layout;
    uint64_t max = 0;
    for (size_t i = 0; i < l->n_item; i++)
        max = l->item[i].n_beats > max ? l->item[i].n_beats : max;
    const struct sl_reader_params rp = {.kind = p->reader,
                                        .direct = p->direct,
                                        .n_read = SL_STORE_MAX_READ,
                                        .max_bytes = max * SL_BEAT_BYTES,
                                        .n_file = l->n_part};
    return sl_reader_open(&s->reader, &rp);
}

static int add_parts(struct sl_store *s, const char *dir)
{
    int err = 0;
    for (uint32_t p = 0; p < s->m.layout.n_part && !err; p++) {
        char name[SL_PART_NAME_MAX], path[PATH_MAX];
        uint32_t file; /* p: parts are added in order */
        uint64_t bytes, want = s->m.layout.part_bytes[p];
        sl_part_file_name(&s->m.layout, p, name);
        err = sl_path_join(path, dir, name);
        err = err ? err : sl_reader_add_file(s->reader, path, &file, &bytes);
        if (!err && bytes != want)
            err = sl_store_fail_size(path, bytes, want);
    }
    return err;
}

/* Memory for the slabs in front of a part's experts: they end where the first expert begins. */
static int make_part(struct sl_store *s, uint32_t part)
{
    const struct sl_layout *l = &s->m.layout;
    uint64_t bytes = l->part_bytes[part];
    for (size_t i = l->part_first[part + 1]; i-- > l->part_first[part];)
        if (l->item[i].role == SL_SLAB_ROLE_EXPERT)
            bytes = l->item[i].offset;
    s->part[part] = s->memory[part] = sl_alloc_large(bytes);
    return s->part[part] ? 0 : SL_ERR_NOMEM;
}

/* Reads on their way, in the order of submission. */
struct load {
    struct sl_store *s;
    const struct sl_stream_params *p;
    uint64_t done, total;
    struct {
        uint32_t handle, part;
        const struct sl_slab_item *item;
    } flying[LOADING];
    unsigned first, n;
};

static uint8_t *slab_memory(const struct sl_store *s, uint32_t part,
                            const struct sl_slab_item *item)
{
    return s->memory[part] + item->offset;
}

static int finish_oldest(struct load *l)
{
    const struct sl_slab_item *item = l->flying[l->first].item;
    uint8_t *slab = slab_memory(l->s, l->flying[l->first].part, item);
    uint64_t hash;
    char name[SL_SLAB_NAME_MAX];
    int err = sl_reader_wait(l->s->reader, l->flying[l->first].handle, LOAD_DEADLINE_MS, &hash);
    l->first = (l->first + 1) % LOADING;
    l->n--;
    if (!err)
        err = check_arrived(l->s, item, (const void *)slab, hash);
    if (err)
        return err;
    l->done += item->n_beats * SL_BEAT_BYTES;
    sl_slab_item_name(item, name);
    if (l->p->progress && !l->p->progress(l->p->progress_user, name, l->done, l->total))
        return sl_fail(SL_ERR_INTERRUPTED, NULL, "loading stopped at %s", name);
    return 0;
}

static int begin_slab(struct load *l, uint32_t part, const struct sl_slab_item *item)
{
    int err = l->n == LOADING ? finish_oldest(l) : 0;
    if (err)
        return err;
    const unsigned at = (l->first + l->n) % LOADING;
    const struct sl_read read = {.file = part,
                                 .offset = item->offset,
                                 .bytes = item->n_beats * SL_BEAT_BYTES,
                                 .dst = slab_memory(l->s, part, item),
                                 .hash = true};
    l->flying[at].part = part;
    l->flying[at].item = item;
    err = sl_reader_submit(l->s->reader, &read, &l->flying[at].handle);
    l->n += !err;
    return err;
}

static int load_parts(struct load *l)
{
    const struct sl_layout *layout = &l->s->m.layout;
    int err = 0;
    for (size_t i = 0; i < layout->n_item; i++)
        if (layout->item[i].role != SL_SLAB_ROLE_EXPERT)
            l->total += layout->item[i].n_beats * SL_BEAT_BYTES;
    for (uint32_t p = 0; p < layout->n_part && !err; p++) {
        err = make_part(l->s, p);
        for (size_t i = layout->part_first[p]; i < layout->part_first[p + 1] && !err; i++)
            if (layout->item[i].role != SL_SLAB_ROLE_EXPERT)
                err = begin_slab(l, p, &layout->item[i]);
    }
    while (!err && l->n > 0)
        err = finish_oldest(l);
    return err;
}

static int open_parts(struct sl_store *s, const char *dir, const struct sl_stream_params *params)
{
    struct load load = {.s = s, .p = params};
    s->part = sl_alloc(s->m.layout.n_part, sizeof *s->part);
    s->memory = sl_alloc(s->m.layout.n_part, sizeof *s->memory);
    int err = s->part && s->memory ? 0 : SL_ERR_NOMEM;
    err = err ? err : open_reader(s, params);
    err = err ? err : add_parts(s, dir);
    err = err ? err : sl_reader_measure(s->reader);
    err = err ? err : load_parts(&load);
    /* The memory of reads that are still on their way must outlive them. */
    if (err)
        sl_reader_close(&s->reader);
    return err;
}

int sl_store_open_streamed(struct sl_store **out, const char *dir,
                           const struct sl_stream_params *params)
{
    struct sl_store *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    s->budget = params->budget;
    int err = sl_manifest_load(&s->m, dir);
    err = err ? err : open_parts(s, dir, params);
    err = err ? err : sl_store_open_tensors(s, dir);
    err = err ? err : sl_store_finish_open(s);
    for (size_t i = 0; !err && i < s->kept.n; i++)
        sl_mapping_touch(s->kept.tensor[i]->data, s->kept.tensor[i]->n_bytes);
    if (err)
        sl_store_close(&s);
    else
        *out = s;
    return err;
}
