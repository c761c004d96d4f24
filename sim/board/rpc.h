/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of XRT's hardware emulation on a stream socket: a header (payload size, number of the
 * call), then a protobuf message. Only what those messages use of protobuf is read and written:
 * varint, fixed32, fixed64 and byte fields, none nested. Parsing is total: any bytes give a
 * message or a refusal.
 *
 * The numbers are those of XRT 2.13 to 2026.1 (rpc_messages.proto, xcl_macros.h).
 */
#ifndef SL_BOARD_RPC_H
#define SL_BOARD_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rpc_call {
    RPC_CLOSE = 1,
    RPC_ALLOC = 4,       /* 1 address, 2 size, 3 peer to peer */
    RPC_FREE = 5,        /* 1 address */
    RPC_TO_DEVICE = 6,   /* 3 address, 4 bytes */
    RPC_FROM_DEVICE = 7, /* 4 address, 5 size; answer: 1 size, 2 bytes */
    RPC_WRITE_RAM = 8,   /* 2 address, 4 bytes */
    RPC_WRITE_REG = 9,   /* 2 address, 4 bytes */
    RPC_READ_RAM = 10,   /* 2 address, 3 size; answer: 1 valid, 2 bytes */
    RPC_READ_REG = 11,   /* the same */
    RPC_PERF_COUNTERS = 14,
    RPC_TRACE_COUNT = 15,
    RPC_TRACE = 16,
    RPC_TIME = 17, /* answer: 1 nanoseconds */
    RPC_BUS_STATUS = 18,
    RPC_DEBUG_MESSAGES = 19,
    RPC_ENVIRONMENT = 20
};

enum { RPC_FIELDS = 8, RPC_HEADER = 14, RPC_ANSWER_HEADER = 9 };

/* A message: the number and the bytes of field i are in [i]; the last one counts. Bytes lie in the
 * parsed buffer. */
struct rpc_message {
    uint64_t number[RPC_FIELDS];
    const uint8_t *bytes[RPC_FIELDS];
    size_t n_bytes[RPC_FIELDS];
};

/* False: not a protobuf message. Fields from RPC_FIELDS on are skipped. */
bool rpc_parse(struct rpc_message *out, const uint8_t *data, size_t size);
/* Size of the payload and number of the call from a request's header. */
bool rpc_parse_header(const uint8_t header[RPC_HEADER], uint64_t *size, uint32_t *call);

/* A message under construction; `failed` when memory ran out, everything is ignored then. */
struct rpc_out {
    uint8_t *data; /* owned: free() */
    size_t size, cap;
    bool failed;
};
void rpc_put_number(struct rpc_out *out, unsigned field, uint64_t value);
/* Place for n bytes of a field, or NULL. */
uint8_t *rpc_put_bytes(struct rpc_out *out, unsigned field, size_t n);

/* A socket with what came ahead: calls are small and come in numbers. */
struct rpc_in {
    int fd;
    size_t begin, end; /* of what is in data */
    uint8_t data[8192];
};

/* Whole reads and writes of a socket; false at its end and on errors. */
bool rpc_receive(struct rpc_in *in, void *data, size_t size);
bool rpc_send(int fd, const void *data, size_t size);
/* Puts the answer of a request, `message`, behind others that wait in `answers`. */
void rpc_answer(struct rpc_out *answers, const struct rpc_out *message);
/* Tells the other side of the host-memory socket that this one leaves. */
bool rpc_send_close(int fd);

#endif
