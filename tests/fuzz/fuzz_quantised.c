/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a quantised checkpoint: its configuration, the tail of one more file's name, and one
 * safetensors in up to three pieces. It is refused with a message of one line, or every row of
 * every GPTQ linear can be read and packed.
 *
 * Layout of the input: length of the configuration (2 bytes; its highest bit: AutoGPTQ's own file),
 * two cuts (2 bytes each), length of the name's tail (1 byte); configuration, tail, safetensors.
 */
#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sl_abi.h"
#include "store/checkpoint.h"
#include "store/gptq.h"
#include "store/pack.h"
#include "store/slab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 7, OWN_FILE = 0x8000, MAX_TAIL = 12, MAX_ELEM = 1 << 20, PATH = 200 };

static char dir[] = "/dev/shm/fuzz_quantised.XXXXXX";

static void remove_dir(void)
{
    char command[PATH];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command))
        perror("rm");
}

static void make_dir(void)
{
    static bool made;
    if (made)
        return;
    made = mkdtemp(dir) != NULL;
    assert(made);
    atexit(remove_dir);
}

/* n of the bytes at *at, fewer where there are fewer, into a file; moves *at on. */
static void put(const char *name, const uint8_t **at, const uint8_t *end, size_t n)
{
    char path[PATH];
    size_t have = (size_t)(end - *at);
    n = n < have ? n : have;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    ssize_t written = write(fd, *at, n);
    assert(written == (ssize_t)n);
    close(fd);
    *at += n;
}

static void drop(const char *name)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static void pack(const struct sl_tensor *t)
{
    struct sl_pack_matrix m = {
        .tensor = t, .n_row = t->dim[0], .rows = (uint32_t)t->dim[0], .k = (uint32_t)t->dim[1]};
    struct sl_pack_plan plan;
    struct sl_pack_run run = {0};
    if (t->dim[1] % 32 || sl_pack_plan_plain(&plan, &m, SL_FORMAT_INT4, &run))
        return;
    uint8_t *slab = malloc(sl_slab_beats(&plan.header) * SL_BEAT_BYTES);
    assert(slab);
    int err = sl_pack_slab(&plan, slab, &run);
    assert(!err);
    free(slab);
}

static void read_linear(const struct sl_tensor *t)
{
    float *row = malloc(t->n_elem * sizeof *row), one;
    assert(row);
    sl_tensor_read_rows(t, 0, (uint32_t)t->dim[0], row, t->dim[1]);
    uint64_t r = t->dim[0] / 2, c = t->dim[1] - 1;
    float *again = malloc(t->dim[1] * sizeof *again);
    assert(again);
    sl_tensor_read_rows(t, r, 1, again, t->dim[1]);
    assert(!memcmp(again, row + r * t->dim[1], t->dim[1] * sizeof *again));
    one = sl_gptq_scale(t, r, c);
    assert(isnan(one) || isfinite(one) || isinf(one));
    free(again);
    free(row);
    pack(t);
}

/* A name's tail without what no name can hold. */
static void make_name(char name[PATH], const uint8_t *tail, size_t n)
{
    size_t at = (size_t)snprintf(name, PATH, "m.safetensors");
    for (size_t i = 0; i < n; i++)
        name[at++] = (char)(tail[i] == '/' || !tail[i] ? 'x' : tail[i]);
    name[at] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t head[3];
    char extra[PATH];
    if (size < HEAD)
        return 0;
    memcpy(head, data, sizeof head);
    const uint8_t *at = data + HEAD, *end = data + size;
    size_t tail = data[HEAD - 1] % (MAX_TAIL + 1);
    make_dir();
    put(head[0] & OWN_FILE ? "quantize_config.json" : "config.json", &at, end,
        head[0] & (OWN_FILE - 1));
    tail = tail < (size_t)(end - at) ? tail : (size_t)(end - at);
    make_name(extra, at, tail);
    at += tail;
    if (head[1])
        put("m.safetensors00", &at, end, head[1]);
    if (head[2])
        put("m.safetensors01", &at, end, head[2]);
    put(extra, &at, end, size);

    struct sl_checkpoint *c = NULL;
    if (sl_checkpoint_open(&c, dir))
        assert(!c && sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
    for (size_t i = 0; c && i < sl_checkpoint_count(c); i++) {
        const struct sl_tensor *t = sl_checkpoint_at(c, i);
        if (t->gptq && t->n_elem <= MAX_ELEM)
            read_linear(t);
        sl_tensor_release(t);
    }
    sl_checkpoint_close(&c);
    drop("config.json");
    drop("quantize_config.json");
    drop("m.safetensors00");
    drop("m.safetensors01");
    drop(extra);
    return 0;
}
