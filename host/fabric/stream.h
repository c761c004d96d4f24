/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefill: experts that a card does not hold pass through it. Two buffers in its weight arenas take
 * turns: while one is filled the core computes from the other, for all tokens of the pass at once.
 * Whether an expert is sent or computed by the CPU is decided pass by pass, so that both end
 * together by the rates that were measured.
 */
#ifndef SL_FABRIC_STREAM_H
#define SL_FABRIC_STREAM_H

#include "accel/upload.h"

struct sl_member;
struct sl_moe_pass;

enum {
    SL_STREAM_BUFFERS = 2,
    SL_STREAM_CPU_TASKS = 2 /* of a CPU launch beside which an upload has to be fed */
};
/* Bytes a second of the link before anything is measured: PCIe 3.0 x16 (docs/measurements.md). */
#define SL_STREAM_FIRST_RATE 12e9
enum sl_stream_state { SL_STREAM_EMPTY, SL_STREAM_FILLING, SL_STREAM_FULL, SL_STREAM_RUNNING };

struct sl_stream {
    struct sl_upload up;
    struct {
        enum sl_stream_state state;
        uint32_t w_off, expert;
        const struct sl_slab *slab; /* requested from the host memory while it is not empty */
    } buffer[SL_STREAM_BUFFERS];
    double begin;     /* of the upload: seconds of the link's uploads, or of the wall clock */
    double link_rate; /* bytes per second, measured; a fading mean */
};

/* What a choice weighs, in seconds. */
struct sl_stream_costs {
    double send_s;        /* an expert's way to the card */
    double card_s, cpu_s; /* of each, for one unit of sl_cpu_work; 0: not known */
    double held_s;        /* what the card has to do anyway */
};
/* How many of n experts that the card lacks, with n_tok[] tokens each, most first, are sent to it:
 * from the heaviest on, as long as one then arrives, and ends, before the CPU would have ended with
 * it. */
uint32_t sl_stream_count(const struct sl_stream_costs *costs, const uint32_t *n_tok, uint32_t n);
/* For tests of the way itself: says whether an expert is sent, whatever it costs. NULL: what is
 * measured decides. */
extern bool (*sl_stream_forced)(uint32_t expert);

/* buffer[].w_off are set. SL_ERR_NOMEM. */
int sl_stream_open(struct sl_stream *s, struct sl_member *m);
void sl_stream_close(struct sl_stream *s);

/* Chooses, among waiting tasks of experts that the home does not hold, those to be sent there:
 * their member becomes the home, and sent[expert] true. True: there are some. */
bool sl_stream_choose(struct sl_moe_pass *p);
/* Sends on, as far as that needs no waiting. `idle`: there is nothing else to do, so it may wait.
 * SL_ERR_* of the host memory; an upload that fails leaves its expert to the CPU. */
int sl_stream_step(struct sl_moe_pass *p, bool idle);
/* One is on its way. */
bool sl_stream_is_filling(const struct sl_moe_pass *p);
/* An expert that was sent has arrived. */
bool sl_stream_has(const struct sl_moe_pass *p, uint32_t expert);
/* It goes into a launch: its w_off. */
uint32_t sl_stream_run(struct sl_moe_pass *p, uint32_t expert);
/* Buffers whose launch is over are empty again. */
void sl_stream_ended(struct sl_moe_pass *p);
/* After an error in the middle of a pass, when no launch runs: all buffers are empty. */
void sl_stream_clear(struct sl_stream *s);
/* The member has another device, whose buffers hold nothing yet. */
int sl_stream_again(struct sl_stream *s, struct sl_member *m);

#endif
