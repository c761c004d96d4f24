/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice validate: sound devices pass, and a device with one fault fails in the test that is there
 * for it. Faults are put between the program and the core in C, or, where the core of `make sim P=1
 * T=1` is built, into the memory of the simulated RTL. Cards are a folder that looks like sysfs.
 */
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "card/cards.h"
#include "cli_rig.h"
#include "fault_rig.h"
#include "validate/validate_data.h"

enum { N = SL_VALIDATE_N_TEST };

struct seen {
    unsigned n;
    struct sl_validate_test test[N];
    unsigned polls, stop_at; /* 0: never */
};

static void keep(void *user, const struct sl_validate_test *test)
{
    struct seen *s = user;
    CU_ASSERT_FATAL(s->n < N);
    CU_ASSERT_EQUAL(test->number, s->n + 1);
    CU_ASSERT(strlen(test->name) > 0 && strlen(test->detail) > 0);
    s->test[s->n++] = *test;
}

static bool poll(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct seen *s = user;
    CU_ASSERT(what && done < total);
    return ++s->polls != s->stop_at;
}

static int run_with(struct seen *s, const char *device, sl_validate_open_fn open)
{
    const unsigned stop_at = s->stop_at;
    *s = (struct seen){.stop_at = stop_at};
    const struct sl_validate_params p = {
        .device = device, .report = keep, .user = s, .progress = poll, .progress_user = s};
    return sl_validate_with(&p, open);
}

/* Results as letters: "PPPPPPSPS". */
static void expect(const struct seen *s, const char *device, const char *want)
{
    char got[N + 1] = "";
    for (unsigned i = 0; i < s->n; i++)
        got[i] = "PFS"[s->test[i].result];
    if (strcmp(got, want))
        for (unsigned i = 0; i < s->n; i++)
            printf("\n  %s: test %u, %s: %c: %s", device, i + 1, s->test[i].name, got[i],
                   s->test[i].detail);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void expect_words(const struct seen *s, unsigned number, const char *words)
{
    const char *detail = s->test[number - 1].detail;
    if (!strstr(detail, words))
        printf("\n  test %u says '%s', not '%s'\n", number, detail, words);
    CU_ASSERT(strstr(detail, words) != NULL);
}

/* ---- sound devices -------------------------------------------------------------------------- */

static void the_core_in_c_passes(void)
{
    static struct seen s;
    for (const char *const *device = rig_devices; *device; device++) {
        if (strncmp(*device, "csim", 4))
            continue;
        CU_ASSERT_EQUAL(run_with(&s, *device, sl_device_open), 0);
        expect(&s, *device, "PPPPPPSPS");
        expect_words(&s, 1, "core of hls/");
        expect_words(&s, 7, "counts no cycles");
        expect_words(&s, 9, "xrt-smi examine");
    }
}

static void measurements_are_numbers(void)
{
    static struct seen s;
    CU_ASSERT_EQUAL(run_with(&s, "csim", sl_device_open), 0);
    const struct sl_validate_test *rate = &s.test[2], *latency = &s.test[3];
    CU_ASSERT_EQUAL(rate->n_row, 7);
    CU_ASSERT_EQUAL(rate->n_column, 2);
    for (unsigned i = 0; i < rate->n_row; i++)
        CU_ASSERT(rate->row[i].value[0] > 0 && rate->row[i].value[1] > 0);
    CU_ASSERT_STRING_EQUAL(rate->row[6].name, "16 MiB");
    CU_ASSERT_EQUAL(latency->n_row, 2);
    CU_ASSERT_EQUAL(latency->n_column, 2); /* no clock, no cycles */
    for (unsigned i = 0; i < latency->n_row; i++)
        CU_ASSERT(latency->row[i].value[1] >= latency->row[i].value[0]);
}

static void the_rtl_passes_and_shows_its_cycles(void)
{
    static struct seen s;
    if (!fault_built("sim:1"))
        return;
    CU_ASSERT_EQUAL(run_with(&s, "sim:1", sl_device_open), 0);
    expect(&s, "sim:1", "PPPPPPPPS");
    expect_words(&s, 1, "core of rtl/");
    expect_words(&s, 7, "simulated cycles");
    const double *latency = s.test[3].row[1].value, *weights = s.test[6].row[0].value;
    CU_ASSERT_EQUAL(s.test[3].n_column, 5);
    CU_ASSERT(latency[2] > 10 && latency[2] < 10000 && latency[4] > 0);
    CU_ASSERT(weights[0] > 1e6 && weights[2] > 16 && weights[2] <= 64);
    CU_ASSERT(weights[3] > 30 && weights[3] <= 100);
}

/* Sums that overflow or vanish would hide errors. */
static void the_random_jobs_are_ordinary(void)
{
    enum { D_MODEL = 160, D_FF = 96, BLOCKS = 5 * D_FF / SL_BLOCK };
    struct sl_validate_params p = {.device = "csim"};
    struct sl_validate v = {.params = &p, .open = sl_device_open, .rng = 5};
    struct sl_validate_set s;
    CU_ASSERT_EQUAL_FATAL(sl_validate_start(&v), 0);
    CU_ASSERT_EQUAL_FATAL(sl_validate_set_open(&s), 0);
    for (int f = SL_FORMAT_FP8; f <= SL_FORMAT_MXFP4; f++)
        CU_ASSERT_PTR_NOT_NULL_FATAL(sl_validate_add_expert(&v, &s, f, D_MODEL, D_FF));
    CU_ASSERT_EQUAL_FATAL(sl_validate_set_run(&v, &s), 0);
    for (unsigned i = 0; i < s.n_job; i++) {
        const struct sl_record rec = sl_validate_set_record(&s, i);
        const struct sl_job *job = &s.job[i].job;
        const float *y = (const void *)(s.got + (size_t)job->y_off * SL_BEAT_BYTES);
        double square = 0;
        for (unsigned c = 0; c < D_MODEL; c++)
            square += (double)y[c] * y[c] / D_MODEL;
        CU_ASSERT_EQUAL(rec.status, SL_STATUS_OK);
        CU_ASSERT_EQUAL(rec.sat_gu, 0);
        CU_ASSERT(rec.saturations <= BLOCKS / 3 && rec.clamps <= BLOCKS / 3);
        CU_ASSERT(square > 1e-4 && square < 1e4);
    }
    sl_validate_set_close(&s);
    sl_device_close(&v.dev);
    sl_device_close(&v.ref);
}

/* ---- one fault in front of the core in C ---------------------------------------------------- */

enum fault_kind {
    SOUND,
    STUCK_BIT,     /* in the last beat of the control arena */
    SHADOW,        /* weight arena 1 is arena 0 */
    WRONG_WORD,    /* of a result */
    STRAY_WRITE,   /* between two results */
    WRONG_COUNT,   /* in a record */
    ACCEPTS_ALL,   /* a malformed job is OK */
    SLEEPS,        /* no launch ends any more */
    NEVER_RETURNS, /* cannot be opened twice */
    FORGETS        /* a format */
};
static struct {
    enum fault_kind kind;
    unsigned opens, launches;
} faulty;

struct front {
    struct sl_device base;
    struct sl_device *inner;
    uint32_t n_job;
};

static int front_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sl_device *inner = ((struct front *)dev)->inner;
    inner->ctl_beats = ctl_beats;
    inner->w_beats = w_beats;
    return inner->ops->alloc(inner, ctl_beats, w_beats);
}

static int place(int arena)
{
    return faulty.kind == SHADOW && arena == 1 ? 0 : arena;
}

static int front_write(struct sl_device *dev, int arena, uint32_t off, const void *src, uint32_t n)
{
    struct sl_device *inner = ((struct front *)dev)->inner;
    return inner->ops->write(inner, place(arena), off, src, n);
}

/* Damages what is read of a list of more than one job: jobs, records, and what lies behind. */
static void damage(const struct front *f, uint8_t *dst, uint32_t n)
{
    struct sl_record *rec = (void *)(dst + (size_t)f->n_job * SL_BEAT_BYTES);
    const struct sl_job *job = (const void *)dst;
    if (faulty.kind == WRONG_WORD && f->n_job > 20)
        dst[(size_t)job->y_off * SL_BEAT_BYTES + 17] ^= 4;
    if (faulty.kind == STRAY_WRITE && f->n_job > 20)
        dst[(size_t)(job->x_off - 1) * SL_BEAT_BYTES] ^= 1;
    if (faulty.kind == WRONG_COUNT && f->n_job > 20)
        rec[3].beats++;
    if (faulty.kind == ACCEPTS_ALL && f->n_job < 20 && n > 1)
        rec[4].status = SL_STATUS_OK;
}

static int front_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n)
{
    struct front *f = (struct front *)dev;
    int err = f->inner->ops->read(f->inner, place(arena), off, dst, n);
    if (arena == SL_ARENA_CTL && off == 0 && f->n_job > 1 && n > 2 * f->n_job)
        damage(f, dst, n);
    if (faulty.kind == STUCK_BIT && arena == SL_ARENA_CTL && off > 0 && off + n == dev->ctl_beats)
        ((uint8_t *)dst)[(size_t)n * SL_BEAT_BYTES - 1] |= 0xFF;
    if (faulty.kind == FORGETS && arena == SL_ARENA_CTL && off == 2 && n == 1)
        ((struct sl_caps *)dst)->formats &= ~(1u << SL_FORMAT_INT4);
    return err;
}

static int front_launch(struct sl_device *dev, uint32_t off, uint32_t n, unsigned deadline_ms)
{
    struct front *f = (struct front *)dev;
    f->n_job = n;
    faulty.launches++;
    if (faulty.kind == SLEEPS && faulty.launches > 100 && faulty.opens == 1)
        return sl_fail(SL_ERR_TIMEOUT, "reload it", "the kernel sleeps");
    return f->inner->ops->launch(f->inner, off, n, deadline_ms);
}

static void front_close(struct sl_device *dev)
{
    sl_device_close(&((struct front *)dev)->inner);
    free(dev);
}

static const struct sl_device_ops front_ops = {.alloc = front_alloc,
                                               .write = front_write,
                                               .read = front_read,
                                               .launch = front_launch,
                                               .close = front_close};

static int open_faulty(struct sl_device **out, const char *name)
{
    if (++faulty.opens > 1 && faulty.kind == NEVER_RETURNS)
        return sl_fail(SL_ERR_DEVICE, NULL, "the card fell off the bus");
    struct front *f = calloc(1, sizeof *f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    int err = sl_device_open(&f->inner, name);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    f->base = (struct sl_device){.ops = &front_ops, .n_port = f->inner->n_port};
    snprintf(f->base.name, sizeof f->base.name, "%s", name);
    *out = &f->base;
    return 0;
}

static void each_fault_fails_in_its_own_test(void)
{
    static const struct {
        enum fault_kind kind;
        const char *want;
        unsigned number;
        const char *words;
    } c[] = {
        {SOUND, "PPPPPPSPS", 5, "equal"},
        {STUCK_BIT, "PFPPPPSPS", 2, "control arena, byte 16777"},
        {SHADOW, "PFPPFFSPS", 2, "weight arena 0, byte 0: wrote"},
        {SHADOW, "PFPPFFSPS", 2, "which is the weight arena 1's"},
        {WRONG_WORD, "PPPPFPSPS", 5, "job 1, PLAIN fp8: word 4 of y"},
        {STRAY_WRITE, "PPPPFPSPS", 5, "no job writes it"},
        {WRONG_COUNT, "PPPPFPSPS", 5, "record's beats"},
        {ACCEPTS_ALL, "PPPPPFSPS", 6, "ended as OK, expected BAD_SHAPE"},
        {SLEEPS, "PPPFSSSPS", 4, "the kernel sleeps; hint: reload it"},
        {SLEEPS, "PPPFSSSPS", 8, "works again"},
        {NEVER_RETURNS, "PPPPPPSFS", 8, "fell off the bus"},
        {FORGETS, "FPPPPFSPS", 1, "lacks a format"},
    };
    static struct seen s;
    for (unsigned i = 0; i < sizeof c / sizeof c[0]; i++) {
        memset(&faulty, 0, sizeof faulty);
        faulty.kind = c[i].kind;
        CU_ASSERT_EQUAL(run_with(&s, "csim:4", open_faulty), 0);
        expect(&s, c[i].words, c[i].want);
        expect_words(&s, c[i].number, c[i].words);
    }
}

static void without_a_device_the_rest_is_skipped(void)
{
    static struct seen s;
    CU_ASSERT_EQUAL(run_with(&s, "nonsense", sl_device_open), SL_ERR_USAGE);
    expect(&s, "nonsense", "FSSSSSSSS");
    expect_words(&s, 1, "unknown device 'nonsense'");
    expect_words(&s, 8, "could not be opened");
}

/* At any poll: what was reported before stands, and nothing is reported behind. */
static void it_can_be_stopped_at_any_time(void)
{
    static struct seen whole, s;
    CU_ASSERT_EQUAL(run_with(&whole, "csim", sl_device_open), 0);
    CU_ASSERT(whole.polls > 100);
    for (unsigned at = 1; at <= 40; at += 13) {
        s.stop_at = at;
        CU_ASSERT_EQUAL(run_with(&s, "csim", sl_device_open), SL_ERR_INTERRUPTED);
        CU_ASSERT(s.n < N);
        CU_ASSERT_EQUAL(s.polls, at);
    }
    s.stop_at = 0;
}

/* ---- faults in the memory of the RTL -------------------------------------------------------- */

static void a_fault_of_the_rtl_s_memory_fails_in_one_test(void)
{
    static const struct {
        const char *device, *want;
        unsigned number;
        const char *words;
    } c[] = {
        {"sim:1," FAULT_SOUND ",fault=read-error@1:0", "PPPPFPPPS", 5, "BUS_ERROR, expected OK"},
        {"sim:1," FAULT_SOUND ",fault=write-error@700:ctl", "PPPPFPPPS", 5, "BUS_ERROR"},
        {"sim:1," FAULT_SOUND ",fault=dead@20000:0", "PPPPPPFPS", 7, "TIMEOUT"},
        {"sim:1," FAULT_SOUND ",fault=dead@1:0", "PPPPFSSPS", 5, "TIMEOUT"},
    };
    static struct seen s;
    for (unsigned i = 0; fault_built("sim:1") && i < sizeof c / sizeof c[0]; i++) {
        CU_ASSERT_EQUAL(run_with(&s, c[i].device, sl_device_open), 0);
        expect(&s, c[i].device, c[i].want);
        expect_words(&s, c[i].number, c[i].words);
    }
    CU_PASS("");
}

/* ---- the program ---------------------------------------------------------------------------- */

static json_int_t integer(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    CU_ASSERT(json_is_integer(v));
    return json_integer_value(v);
}

static void the_program_prints_json(void)
{
    static struct cli_result r;
    cli_run(&r, "validate --device csim --json");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_STRING_EQUAL(r.err, "");
    json_t *o = json_loads(r.out, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "device")), "csim");
    CU_ASSERT_EQUAL(integer(o, "passed"), 7);
    CU_ASSERT_EQUAL(integer(o, "failed"), 0);
    CU_ASSERT_EQUAL(integer(o, "skipped"), 2);
    const json_t *tests = json_object_get(o, "tests");
    CU_ASSERT_EQUAL(json_array_size(tests), N);
    const json_t *rate = json_object_get(json_array_get(tests, 2), "table");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(rate, "columns")), 2);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(rate, "rows")), 7);
    json_decref(o);
}

static void the_program_s_exit_code_tells_the_result(void)
{
    static struct cli_result r;
    cli_run(&r, "validate");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT(strstr(r.out, "csim: 7 passed, 0 failed, 2 skipped\n") != NULL);
    CU_ASSERT(strstr(r.out, " 5  arithmetic               PASSED") != NULL);
    cli_run(&r, "validate --device nonsense");
    CU_ASSERT_EQUAL(r.code, 2);
    CU_ASSERT(strstr(r.out, "nonsense: 0 passed, 1 failed, 8 skipped\n") != NULL);
    CU_ASSERT(strstr(r.err, "error: USAGE unknown device") != NULL);
    if (!fault_built("sim:1"))
        return;
    cli_run(&r, "validate --device sim:1,fault=read-error@1:0");
    CU_ASSERT_EQUAL(r.code, 5);
    CU_ASSERT(strstr(r.out, " 7 passed, 1 failed, 1 skipped\n") != NULL);
}

static void ctrl_c_ends_the_program(void)
{
    static char out[CLI_MAX_OUTPUT], err[CLI_MAX_OUTPUT];
    char dir[256], out_path[300], err_path[300];
    const struct timespec pause = {0, 1000000};
    struct stat st = {0};
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out_path, sizeof out_path, "%s/out", dir);
    snprintf(err_path, sizeof err_path, "%s/err", dir);
    const pid_t pid = cli_start("validate --device csim:28", NULL, out_path, err_path);
    for (unsigned ms = 0; ms < 20000 && (stat(out_path, &st) || !st.st_size); ms++)
        nanosleep(&pause, NULL); /* the first test is reported, the transfers take a while */
    kill(pid, SIGINT);
    const int code = cli_finish(pid);
    cli_read(out_path, out);
    cli_read(err_path, err);
    CU_ASSERT_EQUAL(code, 130);
    CU_ASSERT(strstr(err, "error: INTERRUPTED validation was interrupted in test") != NULL);
    CU_ASSERT_PTR_NULL(strstr(out, "skipped\n"));
}

/* ---- what there is -------------------------------------------------------------------------- */

static void put(const char *dir, const char *file, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void make_folder(const char *root, const char *path)
{
    char part[600];
    for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof part, "%s/%.*s", root, (int)(at - path), path);
        mkdir(part, 0700);
    }
}

static void cards_and_their_sensors_are_read_from_sysfs(void)
{
    char dir[256], hwmon[400], text[200];
    struct sl_card card[4];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL(sl_cards_list(dir, card, 4), 0);
    make_folder(dir, "bus/pci/drivers/xocl/module/");
    make_folder(dir, "bus/pci/drivers/xocl/0000:5e:00.1/");
    make_folder(dir, "bus/pci/drivers/xocl/0000:3b:00.1/");
    make_folder(dir, "bus/pci/devices/0000:3b:00.1/hwmon/hwmon4/");
    CU_ASSERT_EQUAL(sl_cards_list(dir, card, 4), 2);
    CU_ASSERT_STRING_EQUAL(card[0].bdf, "0000:3b:00.1");
    CU_ASSERT_STRING_EQUAL(card[1].bdf, "0000:5e:00.1");
    CU_ASSERT_EQUAL(sl_cards_list(dir, card, 1), 2);
    CU_ASSERT(!sl_card_sensors(dir, "0000:3b:00.1", text, sizeof text));
    snprintf(hwmon, sizeof hwmon, "%s/bus/pci/devices/0000:3b:00.1/hwmon/hwmon4", dir);
    put(hwmon, "name", "xocl\n");
    put(hwmon, "temp1_input", "41500\n");
    put(hwmon, "temp1_label", "FPGA\n");
    put(hwmon, "temp1_max", "99000\n");
    put(hwmon, "power1_average", "23400000\n");
    CU_ASSERT(sl_card_sensors(dir, "0000:3b:00.1", text, sizeof text));
    CU_ASSERT_STRING_EQUAL(text, "23.4 W power1, 41.5 C FPGA");
    CU_ASSERT(!sl_card_sensors(dir, "0000:5e:00.1", text, sizeof text));
}

static void libraries_are_found_as_the_loader_would(void)
{
    char path[512], dir[256];
    CU_ASSERT(sl_library_find("libc.so.6", path, sizeof path));
    CU_ASSERT_EQUAL(access(path, R_OK), 0);
    CU_ASSERT(!sl_library_find("libsluice-nothing.so.7", path, sizeof path));
    CU_ASSERT(!sl_library_find("c.so.6", path, sizeof path));
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    put(dir, "libsluice-nothing.so.7", "");
    const char *before = getenv("LD_LIBRARY_PATH");
    char *saved = before ? strdup(before) : NULL;
    setenv("LD_LIBRARY_PATH", dir, 1);
    CU_ASSERT(sl_library_find("libsluice-nothing.so.7", path, sizeof path));
    if (saved)
        setenv("LD_LIBRARY_PATH", saved, 1);
    else
        unsetenv("LD_LIBRARY_PATH");
    free(saved);
}

static const struct sl_device_desc *find(const struct sl_device_desc *d, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(d[i].name, name))
            return &d[i];
    return NULL;
}

/* A design that is none, and what is usable can be opened. */
static void every_backend_lists_its_devices(void)
{
    enum { MAX = 64 };
    static struct sl_device_desc d[MAX];
    char dir[256], path[300];
    size_t n = sl_devices(d, MAX);
    CU_ASSERT_FATAL(n > 0 && n <= MAX);
    CU_ASSERT_EQUAL(sl_devices(NULL, 0), n);
    CU_ASSERT_PTR_NOT_NULL(find(d, n, "csim"));
    const struct sl_device_desc *xrt = find(d, n, "xrt");
    CU_ASSERT_PTR_NOT_NULL_FATAL(xrt);
    for (size_t i = 0; i < n; i++) {
        struct sl_device *dev = NULL;
        CU_ASSERT(d[i].detail[0]);
        if (!d[i].usable || strstr(d[i].name, "xclbin=FILE"))
            continue;
        CU_ASSERT_EQUAL(sl_device_open(&dev, d[i].name), 0);
        sl_device_close(&dev);
    }
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/bad.xclbin", dir);
    put(dir, "bad.xclbin", "no design");
    const char *before = getenv("SLUICE_XCLBIN");
    char *saved = before ? strdup(before) : NULL;
    setenv("SLUICE_XCLBIN", path, 1);
    n = sl_devices(d, MAX);
    xrt = find(d, n, "xrt");
    CU_ASSERT(xrt && !xrt->usable && strstr(xrt->detail, "bad.xclbin"));
    if (saved)
        setenv("SLUICE_XCLBIN", saved, 1);
    else
        unsetenv("SLUICE_XCLBIN");
    free(saved);
}

static const struct sl_case cases[] = {
    {"the_core_in_c_passes", the_core_in_c_passes},
    {"measurements_are_numbers", measurements_are_numbers},
    {"the_rtl_passes_and_shows_its_cycles", the_rtl_passes_and_shows_its_cycles},
    {"the_random_jobs_are_ordinary", the_random_jobs_are_ordinary},
    {"each_fault_fails_in_its_own_test", each_fault_fails_in_its_own_test},
    {"without_a_device_the_rest_is_skipped", without_a_device_the_rest_is_skipped},
    {"it_can_be_stopped_at_any_time", it_can_be_stopped_at_any_time},
    {"a_fault_of_the_rtl_s_memory_fails_in_one_test",
     a_fault_of_the_rtl_s_memory_fails_in_one_test},
    {"the_program_prints_json", the_program_prints_json},
    {"the_program_s_exit_code_tells_the_result", the_program_s_exit_code_tells_the_result},
    {"ctrl_c_ends_the_program", ctrl_c_ends_the_program},
    {"cards_and_their_sensors_are_read_from_sysfs", cards_and_their_sensors_are_read_from_sysfs},
    {"libraries_are_found_as_the_loader_would", libraries_are_found_as_the_loader_would},
    {"every_backend_lists_its_devices", every_backend_lists_its_devices},
    {0},
};
const struct sl_suite suite_validate = {"validate", cases};
