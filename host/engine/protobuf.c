/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/protobuf.h"

static bool take_varint(struct sl_pb *m, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        uint8_t byte = *m->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct sl_pb *m, unsigned n, uint64_t *out)
{
    if ((size_t)(m->end - m->at) < n)
        return false;
    *out = 0;
    for (unsigned i = 0; i < n; i++)
        *out |= (uint64_t)*m->at++ << (8 * i);
    return true;
}

static bool take_bytes(struct sl_pb *m, struct sl_pb *out)
{
    uint64_t n;
    if (!take_varint(m, &n) || n > (uint64_t)(m->end - m->at))
        return false;
    *out = (struct sl_pb){m->at, m->at + n};
    m->at += n;
    return true;
}

static bool take_value(struct sl_pb *m, struct sl_pb_field *out)
{
    switch (out->wire) {
    case SL_PB_VARINT: return take_varint(m, &out->value);
    case SL_PB_64: return take_fixed(m, 8, &out->value);
    case SL_PB_BYTES: return take_bytes(m, &out->bytes);
    case SL_PB_32: return take_fixed(m, 4, &out->value);
    }
    return false;
}

bool sl_pb_next(struct sl_pb *m, struct sl_pb_field *out, bool *damaged)
{
    uint64_t key;
    if (m->at == m->end)
        return false;
    *out = (struct sl_pb_field){0};
    *damaged = true;
    if (!take_varint(m, &key) || key >> 32 || key >> 3 == 0)
        return false;
    out->number = (uint32_t)key >> 3;
    out->wire = (enum sl_pb_wire)(key & 7);
    *damaged = !take_value(m, out);
    return !*damaged;
}
