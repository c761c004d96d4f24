/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an xclbin: refused, or a container whose every entry can be read. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz_file.h"
#include "card/xclbin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned read_all(const struct sl_xclbin *x)
{
    struct sl_xclbin_section s;
    struct sl_xclbin_memory m;
    struct sl_xclbin_ip ip;
    struct sl_xclbin_connection c;
    struct sl_xclbin_core core;
    unsigned sum = 0;
    for (uint32_t i = 0; sl_xclbin_section_at(x, i, &s); i++) {
        for (size_t k = 0; k < s.size; k++)
            sum += s.data[k];
        sum += (unsigned)strlen(s.name);
    }
    for (uint32_t i = 0; sl_xclbin_memory_at(x, i, &m); i++)
        sum += (unsigned)strlen(m.tag);
    for (uint32_t i = 0; sl_xclbin_ip_at(x, i, &ip); i++)
        sum += (unsigned)strlen(ip.name);
    for (uint32_t i = 0; sl_xclbin_connection_at(x, i, &c); i++)
        sum += c.arg;
    if (sl_xclbin_core(x, "fuzz", &core) == 0)
        assert(core.n_port >= 1 && core.n_port <= 28 && !strcmp(core.kernel, "sl_core"));
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    struct sl_xclbin x;
    volatile unsigned sum = 0;
    int fd = fuzz_file_open(data, size, path);
    if (sl_xclbin_open(&x, path) == 0) {
        sum = read_all(&x);
        sl_xclbin_close(&x);
    }
    close(fd);
    return (int)(sum & 0);
}
