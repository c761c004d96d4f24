/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a call of XRT's emulation: refused, or fields that lie inside of them. */
#include <assert.h>

#include "board/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_message m;
    uint64_t bytes;
    uint32_t call;
    if (size >= RPC_HEADER)
        rpc_parse_header(data, &bytes, &call);
    if (!rpc_parse(&m, data, size))
        return 0;
    for (unsigned i = 0; i < RPC_FIELDS; i++) {
        assert(!m.n_bytes[i] || (m.bytes[i] >= data && m.bytes[i] + m.n_bytes[i] <= data + size));
        assert(m.bytes[i] ? m.number[i] == m.n_bytes[i] : m.n_bytes[i] == 0);
    }
    return 0;
}
