/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Wire types of protobuf. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* ---- reading -------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at, *end;
};

static bool take_varint(struct reader *r, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            return false;
        const uint8_t byte = *r->at++;
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool take_fixed(struct reader *r, unsigned n, uint64_t *out)
{
    if ((size_t)(r->end - r->at) < n)
        return false;
    *out = 0;
    for (unsigned i = 0; i < n; i++)
        *out |= (uint64_t)r->at[i] << 8 * i;
    r->at += n;
    return true;
}

static bool take_field(struct reader *r, struct rpc_message *out)
{
    uint64_t key, value = 0;
    const uint8_t *bytes = NULL;
    if (!take_varint(r, &key))
        return false;
    switch (key & 7) {
    case VARINT:
        if (!take_varint(r, &value))
            return false;
        break;
    case FIXED64:
        if (!take_fixed(r, 8, &value))
            return false;
        break;
    case FIXED32:
        if (!take_fixed(r, 4, &value))
            return false;
        break;
    case BYTES:
        if (!take_varint(r, &value) || value > (uint64_t)(r->end - r->at))
            return false;
        bytes = r->at;
        r->at += value;
        break;
    default: return false;
    }
    if (key >> 3 < RPC_FIELDS) {
        out->number[key >> 3] = value;
        out->bytes[key >> 3] = bytes;
        out->n_bytes[key >> 3] = bytes ? (size_t)value : 0;
    }
    return true;
}

bool rpc_parse(struct rpc_message *out, const uint8_t *data, size_t size)
{
    struct reader r = {data, data + size};
    memset(out, 0, sizeof *out);
    while (r.at != r.end)
        if (!take_field(&r, out))
            return false;
    return true;
}

bool rpc_parse_header(const uint8_t header[RPC_HEADER], uint64_t *size, uint32_t *call)
{
    struct rpc_message m;
    if (!rpc_parse(&m, header, RPC_HEADER))
        return false;
    *size = m.number[1];
    *call = (uint32_t)m.number[2];
    return true;
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool reserve(struct rpc_out *out, size_t n)
{
    if (out->failed)
        return false;
    if (out->cap - out->size >= n)
        return true;
    const size_t cap = 2 * (out->size + n);
    uint8_t *data = realloc(out->data, cap);
    if (!data) {
        out->failed = true;
        return false;
    }
    out->data = data;
    out->cap = cap;
    return true;
}

static void put_varint(struct rpc_out *out, uint64_t value)
{
    enum { LONGEST = 10 };
    if (!reserve(out, LONGEST))
        return;
    for (; value >= 0x80; value >>= 7)
        out->data[out->size++] = (uint8_t)(value | 0x80);
    out->data[out->size++] = (uint8_t)value;
}

void rpc_put_number(struct rpc_out *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3 | VARINT);
    put_varint(out, value);
}

uint8_t *rpc_put_bytes(struct rpc_out *out, unsigned field, size_t n)
{
    put_varint(out, field << 3 | BYTES);
    put_varint(out, n);
    if (!reserve(out, n))
        return NULL;
    out->size += n;
    return out->data + out->size - n;
}

/* ---- socket --------------------------------------------------------------------------------- */

/* Some bytes, at least one; 0: the end, or an error. */
static size_t receive_some(int fd, void *data, size_t cap)
{
    for (;;) {
        const ssize_t n = recv(fd, data, cap, 0);
        if (n >= 0 || errno != EINTR)
            return n > 0 ? (size_t)n : 0;
    }
}

bool rpc_receive(struct rpc_in *in, void *data, size_t size)
{
    for (uint8_t *at = data; size;) {
        if (in->begin == in->end && size < sizeof in->data) {
            in->begin = 0;
            if (!(in->end = receive_some(in->fd, in->data, sizeof in->data)))
                return false;
        }
        const size_t have = in->end - in->begin;
        size_t n = have < size ? have : size;
        if (have)
            memcpy(at, in->data + in->begin, n);
        else if (!(n = receive_some(in->fd, at, size)))
            return false;
        in->begin += have ? n : 0;
        at += n;
        size -= n;
    }
    return true;
}

bool rpc_send(int fd, const void *data, size_t size)
{
    for (const uint8_t *at = data; size;) {
        const ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Field 1, fixed64, is the size; field 2, fixed32, the call. An answer must not have the latter. */
static void put_header(uint8_t *header, uint64_t size, bool has_call, uint32_t call)
{
    header[0] = 1 << 3 | FIXED64;
    for (unsigned i = 0; i < 8; i++)
        header[1 + i] = (uint8_t)(size >> 8 * i);
    if (!has_call)
        return;
    header[9] = 2 << 3 | FIXED32;
    for (unsigned i = 0; i < 4; i++)
        header[10 + i] = (uint8_t)(call >> 8 * i);
}

void rpc_answer(struct rpc_out *answers, const struct rpc_out *message)
{
    answers->failed = answers->failed || message->failed;
    if (!reserve(answers, RPC_ANSWER_HEADER + message->size))
        return;
    put_header(answers->data + answers->size, message->size, false, 0);
    answers->size += RPC_ANSWER_HEADER;
    if (message->size)
        memcpy(answers->data + answers->size, message->data, message->size);
    answers->size += message->size;
}

bool rpc_send_close(int fd)
{
    uint8_t header[RPC_HEADER];
    put_header(header, 0, true, RPC_CLOSE);
    return rpc_send(fd, header, sizeof header);
}
