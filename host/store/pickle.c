/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/pickle_machine.h"

enum { LONG_BYTES = 8 };

/* ---- arguments behind an opcode ---------------------------------------------------------- */

static int take(struct sl_pickle_machine *m, uint64_t n, const uint8_t **out)
{
    if (n > m->size - m->at)
        return sl_pickle_bad(m, "the pickle ends in the middle of it");
    *out = m->data + m->at;
    m->at += (size_t)n;
    return 0;
}

/* A little-endian number of n <= 8 bytes. */
static int take_number(struct sl_pickle_machine *m, unsigned n, uint64_t *out)
{
    const uint8_t *p = NULL;
    int err = take(m, n, &p);
    *out = 0;
    for (unsigned i = 0; !err && i < n; i++)
        *out |= (uint64_t)p[i] << 8 * i;
    return err;
}

static int take_line(struct sl_pickle_machine *m, struct sl_pickle_text *out)
{
    const char *at = (const char *)m->data + m->at;
    const char *end = memchr(at, '\n', m->size - m->at);
    if (!end)
        return sl_pickle_bad(m, "the pickle ends in the middle of it");
    *out = (struct sl_pickle_text){at, (size_t)(end - at)};
    m->at += out->n + 1;
    return 0;
}

static int push_kind(struct sl_pickle_machine *m, unsigned kind)
{
    return sl_pickle_push(m, (struct sl_pickle_value){.kind = (enum sl_pickle_kind)kind});
}

static int push_integer(struct sl_pickle_machine *m, int64_t value)
{
    return sl_pickle_push(m, (struct sl_pickle_value){.kind = SL_PICKLE_INT, .integer = value});
}

/* ---- constants --------------------------------------------------------------------------- */

static int run_proto(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    uint64_t version;
    int err = take_number(m, 1, &version);
    if (!err && (version < 2 || version > 5))
        return sl_pickle_unsupported(m, "protocols 2 to 5 are read");
    return err;
}

static int run_frame(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    uint64_t size;
    return take_number(m, 8, &size);
}

static int push_number(struct sl_pickle_machine *m, unsigned bytes)
{
    uint64_t value;
    int err = take_number(m, bytes, &value);
    return err ? err : push_integer(m, (int64_t)value);
}

/* Signed, unlike its shorter forms. */
static int run_binint(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    uint64_t value;
    int err = take_number(m, 4, &value);
    return err ? err : push_integer(m, (int32_t)(uint32_t)value);
}

/* A two's complement of any length: an element count past 2^31. */
static int run_long1(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    uint64_t n, value;
    int err = take_number(m, 1, &n);
    if (!err && n > LONG_BYTES)
        return sl_pickle_unsupported(m, "a number of more than 64 bits");
    err = err ? err : take_number(m, (unsigned)n, &value);
    if (err)
        return err;
    const unsigned above = 64 - 8 * (unsigned)n;
    return push_integer(m, n ? (int64_t)(value << above) >> above : 0);
}

static int push_text(struct sl_pickle_machine *m, unsigned length_bytes)
{
    uint64_t n;
    const uint8_t *p = NULL;
    int err = take_number(m, length_bytes, &n);
    err = err ? err : take(m, n, &p);
    if (!err && n > UINT32_MAX)
        err = sl_pickle_unsupported(m, "a text of more than 4 GiB");
    return err ? err
               : sl_pickle_push(m, (struct sl_pickle_value){.kind = SL_PICKLE_TEXT,
                                                            .n = (uint32_t)n,
                                                            .text = (const char *)p});
}

/* ---- the memo ---------------------------------------------------------------------------- */

/* An index of `bytes` bytes, or the next one. Picklers number what they remember from 0 on without
 * gaps. */
static int run_put(struct sl_pickle_machine *m, unsigned bytes)
{
    struct sl_pickle_value v;
    void *place = NULL;
    uint64_t index = m->memo.n;
    int err = bytes ? take_number(m, bytes, &index) : 0;
    err = err ? err : sl_pickle_pop(m, SL_PICKLE_ANY, &v);
    if (!err && index > m->memo.n)
        err = sl_pickle_bad(m, "leaves a gap in the memo");
    if (!err && index == m->memo.n)
        err = sl_pickle_add(m, &m->memo, &place);
    if (err)
        return err;
    ((struct sl_pickle_value *)m->memo.at)[index] = v;
    return sl_pickle_push(m, v);
}

static int run_get(struct sl_pickle_machine *m, unsigned bytes)
{
    uint64_t index;
    int err = take_number(m, bytes, &index);
    if (!err && index >= m->memo.n)
        return sl_pickle_bad(m, "the memo has no such value");
    return err ? err : sl_pickle_push(m, ((struct sl_pickle_value *)m->memo.at)[index]);
}

/* ---- globals ----------------------------------------------------------------------------- */

static int run_global(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    struct sl_pickle_text module, name;
    int err = take_line(m, &module);
    err = err ? err : take_line(m, &name);
    return err ? err : sl_pickle_global(m, module, name);
}

static int run_stack_global(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    struct sl_pickle_value module, name;
    int err = sl_pickle_pop(m, SL_PICKLE_TEXT, &name);
    err = err ? err : sl_pickle_pop(m, SL_PICKLE_TEXT, &module);
    return err ? err
               : sl_pickle_global(m, (struct sl_pickle_text){module.text, module.n},
                                  (struct sl_pickle_text){name.text, name.n});
}

/* ---- calls ------------------------------------------------------------------------------- */

static int run_reduce(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    return sl_pickle_reduce(m);
}

static int run_persistent(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    return sl_pickle_persistent(m);
}

static int run_stop(struct sl_pickle_machine *m, unsigned unused)
{
    (void)unused;
    m->stopped = true;
    return 0;
}

/* ---- the interpreter --------------------------------------------------------------------- */

/* All that Python has; those without a function are refused by their name. */
static const struct {
    const char *name;
    int (*run)(struct sl_pickle_machine *m, unsigned arg);
    unsigned arg; /* bytes behind the opcode, or what the function says */
} opcodes[256] = {
    ['('] = {"MARK", push_kind, SL_PICKLE_MARK},
    ['.'] = {"STOP", run_stop, 0},
    ['0'] = {"POP", NULL, 0},
    ['1'] = {"POP_MARK", NULL, 0},
    ['2'] = {"DUP", NULL, 0},
    ['F'] = {"FLOAT", NULL, 0},
    ['I'] = {"INT", NULL, 0},
    ['J'] = {"BININT", run_binint, 0},
    ['K'] = {"BININT1", push_number, 1},
    ['L'] = {"LONG", NULL, 0},
    ['M'] = {"BININT2", push_number, 2},
    ['N'] = {"NONE", push_kind, SL_PICKLE_NONE},
    ['P'] = {"PERSID", NULL, 0},
    ['Q'] = {"BINPERSID", run_persistent, 0},
    ['R'] = {"REDUCE", run_reduce, 0},
    ['S'] = {"STRING", NULL, 0},
    ['T'] = {"BINSTRING", NULL, 0},
    ['U'] = {"SHORT_BINSTRING", NULL, 0},
    ['V'] = {"UNICODE", NULL, 0},
    ['X'] = {"BINUNICODE", push_text, 4},
    ['a'] = {"APPEND", sl_pickle_append, 1},
    ['b'] = {"BUILD", sl_pickle_build, 0},
    ['c'] = {"GLOBAL", run_global, 0},
    ['d'] = {"DICT", NULL, 0},
    ['}'] = {"EMPTY_DICT", sl_pickle_empty_dict, 0},
    ['e'] = {"APPENDS", sl_pickle_appends, 0},
    ['g'] = {"GET", NULL, 0},
    ['h'] = {"BINGET", run_get, 1},
    ['i'] = {"INST", NULL, 0},
    ['j'] = {"LONG_BINGET", run_get, 4},
    ['l'] = {"LIST", NULL, 0},
    [']'] = {"EMPTY_LIST", push_kind, SL_PICKLE_LIST},
    ['o'] = {"OBJ", NULL, 0},
    ['p'] = {"PUT", NULL, 0},
    ['q'] = {"BINPUT", run_put, 1},
    ['r'] = {"LONG_BINPUT", run_put, 4},
    ['s'] = {"SETITEM", sl_pickle_set_pairs, 2},
    ['t'] = {"TUPLE", sl_pickle_tuple, 0},
    [')'] = {"EMPTY_TUPLE", sl_pickle_tuple_of, 0},
    ['u'] = {"SETITEMS", sl_pickle_setitems, 0},
    ['G'] = {"BINFLOAT", NULL, 0},
    ['B'] = {"BINBYTES", NULL, 0},
    ['C'] = {"SHORT_BINBYTES", NULL, 0},
    [0x80] = {"PROTO", run_proto, 0},
    [0x81] = {"NEWOBJ", NULL, 0},
    [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},
    [0x84] = {"EXT4", NULL, 0},
    [0x85] = {"TUPLE1", sl_pickle_tuple_of, 1},
    [0x86] = {"TUPLE2", sl_pickle_tuple_of, 2},
    [0x87] = {"TUPLE3", sl_pickle_tuple_of, 3},
    [0x88] = {"NEWTRUE", push_kind, SL_PICKLE_BOOL},
    [0x89] = {"NEWFALSE", push_kind, SL_PICKLE_BOOL},
    [0x8A] = {"LONG1", run_long1, 0},
    [0x8B] = {"LONG4", NULL, 0},
    [0x8C] = {"SHORT_BINUNICODE", push_text, 1},
    [0x8D] = {"BINUNICODE8", push_text, 8},
    [0x8E] = {"BINBYTES8", NULL, 0},
    [0x8F] = {"EMPTY_SET", NULL, 0},
    [0x90] = {"ADDITEMS", NULL, 0},
    [0x91] = {"FROZENSET", NULL, 0},
    [0x92] = {"NEWOBJ_EX", NULL, 0},
    [0x93] = {"STACK_GLOBAL", run_stack_global, 0},
    [0x94] = {"MEMOIZE", run_put, 0},
    [0x95] = {"FRAME", run_frame, 0},
    [0x96] = {"BYTEARRAY8", NULL, 0},
    [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
};

static int run_one(struct sl_pickle_machine *m)
{
    const uint8_t *code = NULL;
    m->op_at = m->at;
    m->op = "STOP";
    int err = take(m, 1, &code);
    if (err)
        return err;
    m->op = opcodes[*code].name;
    if (!m->op) {
        m->op = "opcode";
        return sl_pickle_bad(m, "there is none of this code");
    }
    if (!opcodes[*code].run)
        return sl_pickle_unsupported(m, "no dictionary of tensors needs this opcode");
    return opcodes[*code].run(m, opcodes[*code].arg);
}

/* The tensors of the dictionary that is left on the stack. */
static int take_result(struct sl_pickle_machine *m, struct sl_pickle *out)
{
    struct sl_pickle_value root;
    int err = sl_pickle_pop(m, SL_PICKLE_DICT, &root);
    if (err)
        return err;
    const struct sl_pickle_pair *pair = m->pair.at;
    const struct sl_pickle_tensor *tensor = m->tensor.at;
    out->tensor = sl_alloc(m->pair.n, sizeof *out->tensor);
    if (!out->tensor)
        return SL_ERR_NOMEM;
    for (size_t i = 0; i < m->pair.n; i++) {
        if (pair[i].dict != root.index)
            continue;
        out->tensor[out->n_tensor] = tensor[pair[i].tensor];
        out->tensor[out->n_tensor++].name = pair[i].name;
    }
    return out->n_tensor ? 0 : sl_pickle_unsupported(m, "no tensors in the outermost dictionary");
}

static int open_machine(struct sl_pickle_machine *m)
{
    const size_t value = sizeof(struct sl_pickle_value);
    int err = sl_pickle_array_open(&m->stack, value, SL_PICKLE_MAX_STACK);
    err = err ? err : sl_pickle_array_open(&m->memo, value, SL_PICKLE_MAX_MEMO);
    err = err ? err : sl_pickle_array_open(&m->item, value, SL_PICKLE_MAX_ITEM);
    err = err ? err
              : sl_pickle_array_open(&m->storage, sizeof(struct sl_pickle_storage),
                                     SL_PICKLE_MAX_TENSOR);
    err = err ? err
              : sl_pickle_array_open(&m->tensor, sizeof(struct sl_pickle_tensor),
                                     SL_PICKLE_MAX_TENSOR);
    return err ? err
               : sl_pickle_array_open(&m->pair, sizeof(struct sl_pickle_pair),
                                      SL_PICKLE_MAX_TENSOR);
}

static void close_machine(struct sl_pickle_machine *m)
{
    free(m->stack.at);
    free(m->memo.at);
    free(m->item.at);
    free(m->storage.at);
    free(m->tensor.at);
    free(m->pair.at);
}

int sl_pickle_read(struct sl_pickle *out, const uint8_t *data, size_t size, const char *path)
{
    struct sl_pickle_machine m = {.path = path, .data = data, .size = size};
    int err = open_machine(&m);
    *out = (struct sl_pickle){0};
    while (!err && !m.stopped)
        err = run_one(&m);
    err = err ? err : take_result(&m, out);
    close_machine(&m);
    if (err)
        sl_pickle_close(out);
    return err;
}

void sl_pickle_close(struct sl_pickle *pickle)
{
    free(pickle->tensor);
    *pickle = (struct sl_pickle){0};
}
