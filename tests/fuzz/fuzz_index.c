/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the index of two shards: refused, or both tensors are where it says. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[] = "/tmp/fuzz-index-XXXXXX";
static const char *const names[] = {"a", "b", "model.safetensors.index.json"};
static int index_fd;

static char *path_of(int i)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    return path;
}

static void clean_up(void)
{
    for (int i = 0; i < 3; i++)
        unlink(path_of(i));
    rmdir(folder);
}

/* The index is a link to a file in memory. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    assert(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        char header[80];
        uint64_t n = (uint64_t)snprintf(
            header, sizeof header,
            "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", names[i]);
        FILE *f = fopen(path_of(i), "wb");
        assert(f && fwrite(&n, 8, 1, f) == 1 && fputs(header, f) >= 0 && fwrite("abcd", 4, 1, f));
        fclose(f);
    }
    index_fd = memfd_create("index", MFD_CLOEXEC);
    char target[64];
    snprintf(target, sizeof target, "/proc/self/fd/%d", index_fd);
    assert(index_fd >= 0 && symlink(target, path_of(2)) == 0);
    atexit(clean_up);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_checkpoint *c = NULL;
    int failed = ftruncate(index_fd, 0);
    ssize_t written = pwrite(index_fd, data, size, 0);
    assert(!failed && written == (ssize_t)size);
    if (sl_checkpoint_open(&c, folder))
        assert(!c && sl_error_message()[0] && !strchr(sl_error_message(), '\n'));
    else
        assert(sl_checkpoint_count(c) <= 2 && sl_checkpoint_bytes(c) <= 8);
    sl_checkpoint_close(&c);
    return 0;
}
