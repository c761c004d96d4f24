/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not what torch.save writes of a state_dict: refused with the opcode, the global or
 * the fault, whatever they try. */
#include "test_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice.h"
#include "store/pickle.h"
#include "store/torch_file.h"
#include "store_rig.h"
#include "zip_rig.h"

struct refusal {
    const char *pickle;
    size_t n;
    const char *word; /* of the message */
};
#define CASE(pickle, word)                                                                         \
    {                                                                                              \
        pickle, sizeof(pickle) - 1, word                                                           \
    }

/* True when the message is one line with the word. */
static bool is_told(const char *word)
{
    const char *text = sl_error_message();
    const bool told = strstr(text, word) && !strchr(text, '\n');
    if (!told)
        printf("\n  expected '%s': %s\n", word, text);
    return told;
}

static int open_torch(const char *path)
{
    struct sl_torch_file f;
    int err = sl_torch_file_open(&f, path);
    if (!err)
        sl_torch_file_close(&f);
    return err;
}

static void check_refused(const struct refusal *c, size_t n)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    for (size_t i = 0; i < n; i++) {
        torch_rig_put(rig_join(dir, "x"), c[i].pickle, c[i].n);
        CU_ASSERT_NOT_EQUAL(open_torch(rig_join(dir, "x")), 0);
        CU_ASSERT(is_told(c[i].word));
    }
}
#define CHECK_REFUSED(cases) check_refused(cases, sizeof(cases) / sizeof(cases)[0])

#define SHAPED(offset, sizes, strides) PKL_DICT(PKL_TENSOR(PKL_FLOATS, offset, sizes, strides))
#define STORED(type, key, n)                                                                       \
    PKL_DICT(PKL_TENSOR(PKL_STORAGE("torch\n" type, key, n), "K\0", "K\1\205", "K\1\205"))
#define PLAIN SHAPED("K\0", "K\1\205", "K\1\205")

/* So that a refusal below is of what it says, not of the rest. */
static void the_plain_file_that_others_vary_opens(void)
{
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    torch_rig_put(rig_join(dir, "x"), PLAIN, sizeof PLAIN - 1);
    CU_ASSERT_EQUAL(open_torch(rig_join(dir, "x")), 0);
}

static void nothing_is_ever_called(void)
{
    static const struct refusal cases[] = {
        CASE("\200\2cos\nsystem\nX\4\0\0\0true\205R.", "GLOBAL at 2: 'os system'"),
        CASE("\200\2cposix\nsystem\n(X\4\0\0\0truetR.", "'posix system'"),
        CASE("\200\2cbuiltins\neval\n.", "'builtins eval'"),
        CASE("\200\2c__builtin__\ngetattr\n.", "'__builtin__ getattr'"),
        CASE("\200\2ctorch\nload\n.", "'torch load'"),
        CASE("\200\2ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", "__globals__"),
        CASE("\200\2ccollections\nOrderedDict\n(K\1tR.", "REDUCE"),
        CASE("\200\2ccollections\nOrderedDict \n.", "'collections OrderedDict '"),
        CASE("\200\2c\33[31m\nx\n.", "'? x'"),
        CASE("(ios\nsystem\n.", "INST at 1"),
        CASE("(cos\nsystem\no.", "'os system'"),
        CASE("(K\1o.", "OBJ at 3"),
        CASE("\200\2ccollections\nOrderedDict\n)\201.", "NEWOBJ at 28"),
        CASE("\200\4\214\2os\214\6system\223.", "STACK_GLOBAL at 14: 'os system'"),
        CASE("\200\4\214\1os\223.", "takes more values"),
        CASE("\200\4K\1\214\1o\223.", "STACK_GLOBAL at 7: expected a text"),
        CASE("\200\4)}\222.", "NEWOBJ_EX"),
        CASE("\200\2\202\1.", "EXT1 at 2"),
        CASE("\200\2\203\1\0.", "EXT2"),
        CASE("\200\2\204\1\0\0\0.", "EXT4"),
        CASE("\200\2Pos.system\n.", "PERSID"),
        CASE("\200\2X\2\0\0\0osQ.", "BINPERSID at 9: expected a tuple"),
        CASE("\200\2K\1)R.", "REDUCE at 5: calls what is not a function"),
        CASE("\200\2ctorch\nFloatStorage\n)R.", "calls what is not a function"),
        CASE("\200\2ctorch\nFloatStorage\n}b.", "BUILD at 23: expected a dictionary"),
    };
    CHECK_REFUSED(cases);
}

static void damaged_pickles_are_refused(void)
{
    static const struct refusal cases[] = {
        CASE("", "STOP at 0"),
        CASE("\200\2.", "STOP at 2: takes more values"),
        CASE("\200\2(.", "takes more values"),
        CASE("\200\2N.", "expected a dictionary"),
        CASE("\200\2}.", "no tensors"),
        CASE("\200\1}.", "PROTO at 0: protocols 2 to 5"),
        CASE("\200\6}.", "PROTO"),
        CASE("\200\2h\7.", "BINGET at 2: the memo has no such value"),
        CASE("\200\2j\377\377\377\377.", "LONG_BINGET at 2: the memo has no such value"),
        CASE("\200\2}q\7.", "BINPUT at 3: leaves a gap"),
        CASE("\200\2}r\377\377\377\377.", "LONG_BINPUT at 3: leaves a gap"),
        CASE("\200\2q\0.", "takes more values"),
        CASE("\200\4\224.", "MEMOIZE at 2: takes more values"),
        CASE("\200\2t.", "TUPLE at 2: there is no MARK"),
        CASE("\200\2(\205.", "TUPLE1 at 3: takes more values"),
        CASE("\200\2K\1\207.", "TUPLE3"),
        CASE("\200\2}K\1s.", "SETITEM"),
        CASE("\200\2]K\1K\1s.", "expected a dictionary"),
        CASE("\200\2}(K\1u.", "SETITEMS"),
        CASE("\200\2}(u(u.", "no tensors"),
        CASE("\200\2}K\1a.", "APPEND at 5: expected a list"),
        CASE("\200\2(e.", "APPENDS"),
        CASE("\200\2\212\11AAAAAAAAA.", "LONG1 at 2: a number of more than 64 bits"),
        CASE("\200\2\212\377A.", "LONG1"),
        CASE("\200\2\213\377\377\377\177A.", "LONG4"),
        CASE("\200\2L99999999999999999999L\n.", "LONG at"),
        CASE("\200\2I5\n.", "INT at"),
        CASE("\200\2G12345678.", "BINFLOAT"),
        CASE("\200\2X\377\377\377\377a", "BINUNICODE at 2: the pickle ends"),
        CASE("\200\4\215\377\377\377\377\377\377\377\377a", "BINUNICODE8 at 2: the pickle ends"),
        CASE("\200\2cos", "GLOBAL at 2: the pickle ends"),
        CASE("\200\2cos\nsys", "GLOBAL at 2: the pickle ends"),
        CASE("\200\4\225\1", "FRAME at 2: the pickle ends"),
        CASE("\377", "opcode at 0"),
    };
    CHECK_REFUSED(cases);
}

static void tensors_that_lie_are_refused(void)
{
    static const struct refusal cases[] = {
        CASE(SHAPED("K\0", "K\1\205", "J\377\377\377\377\205"), "'w', strides [-1]: negative"),
        CASE(SHAPED("K\0", "J\376\377\377\377\205", "K\1\205"), "negative"),
        CASE(SHAPED("J\377\377\377\377", "K\1\205", "K\1\205"), "larger"),
        CASE(SHAPED("K\0", "K\21\205", "K\1\205"), "leaves its storage"),
        CASE(SHAPED("K\20", "K\1\205", "K\1\205"), "leaves its storage"),
        CASE(SHAPED("K\21", "K\0\205", "K\1\205"), "leaves its storage"),
        CASE(SHAPED("K\0", "K\2K\2\206", "K\17K\1\206"), "strides [15, 1]: leaves its storage"),
        CASE(SHAPED("K\0", "K\5K\4\206", "K\0K\1\206"), "strides [0, 1]: repeats"),
        CASE(SHAPED("K\0", "K\2\205", "\212\10\377\377\377\377\377\377\377\177\205"), "leaves"),
        CASE(SHAPED("K\0", "\212\10\0\0\0\0\0\0\0\100K\4\206", "K\4K\1\206"), "impossible shape"),
        CASE(SHAPED("K\0", "\212\10\0\0\0\0\0\0\0\100\205", "K\1\205"), "impossible shape"),
        CASE(SHAPED("\212\10\377\377\377\377\377\377\377\177", "K\1\205", "K\1\205"), "leaves"),
        CASE(SHAPED("K\0", "K\1\205", "K\1K\1\206"), "arguments that no plain tensor has"),
        CASE(SHAPED("K\0", "N\205", "K\1\205"), "are not numbers"),
        CASE(SHAPED("K\0", "K\1", "K\1"), "arguments that no plain tensor has"),
        CASE(SHAPED("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"),
             "more than 8 dimensions"),
        CASE(PKL_DICT("ctorch._utils\n_rebuild_tensor_v2\n)R"), "arguments that no plain"),
        CASE(PKL_DICT("ctorch._utils\n_rebuild_parameter\n)R"), "arguments that no plain"),
        CASE(PKL_DICT("ctorch._utils\n_rebuild_parameter\n}N\211\207R"), "arguments that no plain"),
        CASE(STORED("FloatStorage", PKL_SHORT1("0"), "K\21"), "larger than the file's entry"),
        CASE(STORED("FloatStorage", PKL_SHORT1("0"), "J\377\377\377\377"), "larger than"),
        CASE(STORED("FloatStorage", PKL_SHORT1("0"), "\212\10\377\377\377\377\377\377\377\177"),
             "larger than"),
        CASE(STORED("FloatStorage", PKL_SHORT1("9"), "K\1"), "its storage is not in the file"),
        CASE(STORED("FloatStorage", "X\0\0\0\0", "K\1"), "key of its storage is not a number"),
        CASE(STORED("FloatStorage", "X\12\0\0\0../version", "K\1"), "is not a number"),
        CASE(STORED("FloatStorage",
                    "X\31\0\0\0"
                    "0000000000000000000000000",
                    "K\1"),
             "is not a"),
        CASE(STORED("FloatStorage", PKL_SHORT1("\0"), "K\1"), "is not a number"),
        CASE(STORED("FloatStorage", "K\0", "K\1"), "BINPERSID"),
        CASE(STORED("QInt8Storage", PKL_SHORT1("0"), "K\1"), "'torch QInt8Storage'"),
        CASE(STORED("float32", PKL_SHORT1("0"), "K\1"), "something else than a storage"),
    };
    CHECK_REFUSED(cases);
}

#define TWICE PKL_TENSOR(PKL_FLOATS, "K\0", "K\1\205", "K\1\205")

static void names_that_are_none_are_refused(void)
{
    static const struct refusal cases[] = {
        CASE("\200\2}(" PKL_SHORT1("w") TWICE PKL_SHORT1("w") TWICE "u.", "'w', strides [1]: is"),
        CASE("\200\2}" PKL_SHORT1("\n") TWICE "s.", "control characters"),
        CASE("\200\2}" PKL_SHORT3("a\0b") TWICE "s.", "control characters"),
        CASE("\200\2}K\1" TWICE "s.", "a tensor whose key is not a text"),
    };
    CHECK_REFUSED(cases);
}

/* n copies of a byte behind `head`. */
static void check_flood(const char *head, char byte, size_t n, const char *word)
{
    struct sl_pickle p;
    const size_t at = strlen(head);
    uint8_t *text = malloc(at + n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memcpy(text, head, at);
    memset(text + at, byte, n);
    CU_ASSERT_NOT_EQUAL(sl_pickle_read(&p, text, at + n, "flood"), 0);
    CU_ASSERT(is_told(word));
    free(text);
}

static void floods_of_values_end_at_a_limit(void)
{
    enum { MANY = 5000000 };
    check_flood("", '(', MANY, "MARK at 262144: more values");
    check_flood("", ']', MANY, "EMPTY_LIST at 262144: more values");
    check_flood("}", (char)0x94, MANY, "MEMOIZE at 4194305: more values");
    check_flood(")", (char)0x85, MANY, "TUPLE1 at 4194305: more values");
}

/* A file is refused at every length but the whole, and nothing of it is read behind its end. */
static void every_truncation_is_refused(void)
{
    char dir[RIG_PATH];
    size_t n;
    for (size_t i = 0; i < sizeof PLAIN - 1; i++) {
        struct sl_pickle p;
        uint8_t *part = malloc(i + !i); /* so that a sanitizer sees reads behind it */
        CU_ASSERT_PTR_NOT_NULL_FATAL(part);
        memcpy(part, PLAIN, i);
        CU_ASSERT_NOT_EQUAL(sl_pickle_read(&p, part, i, "part"), 0);
        CU_ASSERT(is_told("part: data.pkl: "));
        free(part);
    }
    rig_fresh(dir, NULL);
    torch_rig_put(rig_join(dir, "x"), PLAIN, sizeof PLAIN - 1);
    free(rig_read(rig_join(dir, "x"), &n));
    while (n-- > 0) {
        CU_ASSERT_EQUAL_FATAL(truncate(rig_join(dir, "x"), (off_t)n), 0);
        CU_ASSERT_EQUAL(open_torch(rig_join(dir, "x")), SL_ERR_FORMAT);
        CU_ASSERT(is_told("truncated"));
    }
}

static void archives_that_are_not_stored_as_they_are_are_refused(void)
{
    static const struct {
        uint16_t method, flags;
        uint64_t extra;
        const char *word;
    } cases[] = {{8, 0, 0, "entry 'x/data/0' is compressed"},
                 {12, 0, 0, "entry 'x/data/0' is compressed"},
                 {0, 1, 0, "entry 'x/data/0' is encrypted"},
                 {0, 0, 5000, "entry 'x/data/0' leaves the file"}};
    char dir[RIG_PATH];
    rig_fresh(dir, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zip_rig z;
        static const uint8_t data[64];
        zip_rig_open(&z, rig_join(dir, "x"));
        zip_rig_add(&z, "x/data.pkl", PLAIN, sizeof PLAIN - 1);
        z.method = cases[i].method;
        z.flags = cases[i].flags;
        z.extra = cases[i].extra;
        zip_rig_add(&z, "x/data/0", data, sizeof data);
        zip_rig_close(&z);
        CU_ASSERT_NOT_EQUAL(open_torch(rig_join(dir, "x")), 0);
        CU_ASSERT(is_told(cases[i].word));
    }
}

/* An archive of the plain pickle under that name, its storage, and one more entry. */
static int open_archive(const char *pickle_name, const char *name, const char *text)
{
    char dir[RIG_PATH];
    struct zip_rig z;
    static const uint8_t data[64];
    rig_fresh(dir, NULL);
    zip_rig_open(&z, rig_join(dir, "x"));
    zip_rig_add(&z, pickle_name, PLAIN, sizeof PLAIN - 1);
    zip_rig_add(&z, "x/data/0", data, sizeof data);
    zip_rig_add(&z, name, text, strlen(text));
    zip_rig_close(&z);
    return open_torch(rig_join(dir, "x"));
}

static void other_archives_are_refused(void)
{
    CU_ASSERT_EQUAL(open_archive("x/data.pkl", "x/byteorder", "little"), 0);
    CU_ASSERT_EQUAL(open_archive("x/data.pkl", "x/byteorder", "big"), SL_ERR_UNSUPPORTED);
    CU_ASSERT(is_told("its byteorder is not 'little'"));
    CU_ASSERT_NOT_EQUAL(open_archive("x/data.pkl", "x/byteorder", "little-endian"), 0);
    CU_ASSERT_NOT_EQUAL(open_archive("data.pkl", "x/version", "3"), 0);
    CU_ASSERT(is_told("not of torch.save"));
    CU_ASSERT_NOT_EQUAL(open_archive("x/other.pkl", "x/version", "3"), 0);
    CU_ASSERT(is_told("there is no data.pkl"));
    CU_ASSERT_NOT_EQUAL(open_archive("y/data.pkl", "x/version", "3"), 0);
    CU_ASSERT(is_told("its storage is not in the file"));
}

static void what_torch_writes_of_other_things_is_named(void)
{
    static const struct {
        const char *name, *word;
    } cases[] = {
        {"refused-expanded.bin", "tensor 'w', strides [0, 1]: repeats elements"},
        {"refused-old-format.bin", "before version 1.6"},
        {"refused-training.bin", "no tensors in the outermost dictionary"},
        {"refused-module.bin", "'torch.nn.modules.linear Linear'"},
        {"refused-sparse.bin", "'torch._utils _rebuild_sparse_tensor'"},
        {"refused-float.bin", "BINFLOAT"},
        {"views.safetensors", "not a zip file"},
        {"none.bin", "cannot open"},
        {"shards", "not a regular file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[RIG_PATH];
        snprintf(path, sizeof path, "%s/torch/%s", sl_golden_dir(), cases[i].name);
        CU_ASSERT_NOT_EQUAL(open_torch(path), 0);
        CU_ASSERT(is_told(cases[i].word));
        CU_ASSERT(sl_error_hint()[0]);
    }
}

const struct sl_suite suite_torch_refused = {
    "torch_refused",
    (const struct sl_case[]){
        {"the_plain_file_that_others_vary_opens", the_plain_file_that_others_vary_opens},
        {"nothing_is_ever_called", nothing_is_ever_called},
        {"damaged_pickles_are_refused", damaged_pickles_are_refused},
        {"tensors_that_lie_are_refused", tensors_that_lie_are_refused},
        {"names_that_are_none_are_refused", names_that_are_none_are_refused},
        {"floods_of_values_end_at_a_limit", floods_of_values_end_at_a_limit},
        {"every_truncation_is_refused", every_truncation_is_refused},
        {"archives_that_are_not_stored_as_they_are_are_refused",
         archives_that_are_not_stored_as_they_are_are_refused},
        {"other_archives_are_refused", other_archives_are_refused},
        {"what_torch_writes_of_other_things_is_named", what_torch_writes_of_other_things_is_named},
        {NULL, NULL}}};
