/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core behind XRT's own library, the Verilated RTL in the emulated card: the same records to
 * the last cycle as in process, the same text, XRT's own profile, and what happens when the card
 * fails. Needs `make sim`, `make xclbin` and libxrt1; skipped where something is missing, unless
 * SL_NEED_XRT=1.
 */
#include <ctype.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_rig.h"
#include "fabric/stream.h"
#include "fault_rig.h"
#include "logits_rig.h"
#include "store_rig.h"
#include "upload_rig.h"

#define RUN "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 "

static bool is_there(void)
{
    static int known = -1;
    if (known < 0) {
        struct sl_device *dev = NULL;
        const char *need = getenv("SL_NEED_XRT");
        known = sl_device_open(&dev, "xrt") == 0;
        sl_device_close(&dev);
        if (!known) {
            printf("\nSKIPPED xrt: %s; %s\n", sl_error_message(), sl_error_hint());
            CU_ASSERT_FALSE(need && *need == '1');
        }
    }
    CU_PASS("");
    return known;
}

/* ---- equality ------------------------------------------------------------------------------- */

static void records_have_the_cycles_and_stalls_of_the_same_core_in_process(void)
{
    static const char *const options[] = {"", ",mem=ideal,latency=300", ",stall=35,seed=7",
                                          ",mem=ddr"};
    for (unsigned i = 0; is_there() && i < sizeof options / sizeof options[0]; i++)
        fault_same_records("sim", "xrt", options[i]);
}

/* One plain job of 64 x 2048 q8: most transfers are the weight port's. */
static void plain_rig(struct core_rig *rig, const char *device, uint32_t ctl_beats,
                      uint32_t w_beats)
{
    enum { K = 2048, ROWS = 64 };
    CU_ASSERT_EQUAL_FATAL(rig_open(rig, device, ctl_beats, w_beats), 0);
    rig_reset(rig, 7, "a plain job");
    rig_plain_job(rig, SL_FORMAT_Q8, K, ROWS, 1);
    CU_ASSERT(rig_run(rig));
}

static void uploads_and_the_core_overlap(void)
{
    enum { CTL_BEATS = 2048, W_BEATS = 1 << 17, N = 100000, AT = 20000 };
    static struct core_rig rig;
    if (!is_there())
        return;
    plain_rig(&rig, "xrt", CTL_BEATS, W_BEATS);
    upload_around_a_launch(&rig, AT, N);
    rig_close(&rig);
    upload_while_the_core_hangs("xrt,hang=2");
}

static void check_text(const char *device, const char *want_warning)
{
    static struct cli_result want, got;
    char line[512];
    cli_run(&want, RUN "--device csim");
    snprintf(line, sizeof line, RUN "--device %s", device);
    cli_run(&got, line);
    CU_ASSERT_EQUAL(want.code, 0);
    CU_ASSERT_EQUAL(got.code, 0);
    CU_ASSERT(strlen(want.out) > 40);
    CU_ASSERT_STRING_EQUAL(got.out, want.out);
    const bool said = !want_warning || strstr(got.err, want_warning);
    if (!said || got.code)
        printf("\n  %s\n%s", line, got.err);
    CU_ASSERT(said);
}

static void the_text_is_that_of_the_core_in_c(void)
{
    if (is_there())
        check_text("xrt", NULL);
}

/* XRT's own pauses: ten seconds to open, through OpenCL one more in every launch. */
static void it_works_without_the_helper_that_shortens_pauses(void)
{
    static struct cli_result want, got;
    const char *is_long = getenv("SL_LONG");
    if (!is_there() || !is_long || *is_long != '1')
        return;
    cli_run(&want, "run -m models/demo-hunyuan --prompt=In -n 2 --device csim");
    for (unsigned i = 0; i < 2; i++) {
        cli_run(&got, i ? "run -m models/demo-hunyuan --prompt=In -n 2 --device opencl,stock"
                        : "run -m models/demo-hunyuan --prompt=In -n 2 --device xrt,stock");
        CU_ASSERT_EQUAL(got.code, 0);
        CU_ASSERT_STRING_EQUAL(got.out, want.out);
    }
}

static void two_cards_share_the_work(void)
{
    if (is_there()) {
        check_text("xrt:0+xrt:1", "xrt:1: ");
        check_text("xrt:1+csim", "csim: ");
    }
}

/* ---- XRT's own profile ---------------------------------------------------------------------- */

/* Column `column` (from 0) of the row that begins with a name and holds a kind, of summary.csv. */
static double csv_number(const char *text, const char *name, const char *kind, unsigned column)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        char row[512];
        line += *line == '\n';
        snprintf(row, sizeof row, "%.*s", (int)strcspn(line, "\n"), line);
        char *at = strstr(row, name);
        if (!at || !strstr(row, kind))
            continue;
        at = row;
        for (unsigned i = 0; i < column && at; i++)
            at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
        return at ? strtod(at, NULL) : -1;
    }
    return -1;
}

/*
 * XRT prints six digits. The transfers of every port are exact, and so are the bytes of the port
 * with the most of them, which stand in a table of megabytes of their own: below 1 MB six digits
 * are all. The others have their mean size, cut to whole bytes.
 */
static void check_port(const char *text, const char *port, const char *kind, uint64_t bursts,
                       uint64_t bytes)
{
    enum { TRANSFERS = 5, MEAN_KB = 8 };
    CU_ASSERT_EQUAL((uint64_t)csv_number(text, port, kind, TRANSFERS), bursts);
    CU_ASSERT_EQUAL((uint64_t)(csv_number(text, port, kind, MEAN_KB) * 1000 + 0.5), bytes / bursts);
}

static uint64_t top_bytes(const char *text, unsigned column)
{
    const char *table = strstr(text, "Top Data Transfer: Kernels to Global Memory");
    return table ? (uint64_t)(csv_number(table, "sl_core_1,", "", column) * 1e6 + 0.5) : 0;
}

static void check_summary(const char *path, const struct sl_device_counters *c, bool weights_first)
{
    enum { TOTAL_WRITE = 6, TOTAL_READ = 7 };
    static char text[CLI_MAX_OUTPUT];
    const struct sl_port_counters *top = weights_first ? &c->w[0] : &c->ctl;
    cli_read(path, text);
    check_port(text, "sl_core_1/m_axi_w0", "READ", c->w[0].read_bursts, c->w[0].read_bytes);
    check_port(text, "sl_core_1/m_axi_ctl", "READ", c->ctl.read_bursts, c->ctl.read_bytes);
    check_port(text, "sl_core_1/m_axi_ctl", "WRITE", c->ctl.write_bursts, c->ctl.write_bytes);
    CU_ASSERT(top->read_bytes > 0 && top->read_bytes < 1000000);
    CU_ASSERT_EQUAL(top_bytes(text, TOTAL_READ), top->read_bytes);
    CU_ASSERT_EQUAL(top_bytes(text, TOTAL_WRITE), top->write_bytes);
}

static void the_profile_of_xrt_counts_the_bytes_that_the_device_counts(void)
{
    static struct fault_scene s;
    static struct core_rig rig;
    struct sl_device_counters c;
    char dir[256], path[300], device[SL_DEVICE_NAME];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/summary.csv", dir);
    snprintf(device, sizeof device, "xrt,summary=%.200s", path);
    if (!is_there())
        return;
    CU_ASSERT_FATAL(fault_full_scene(&s, device));
    CU_ASSERT_EQUAL_FATAL(sl_device_counters(s.rig.dev, &c), 0);
    fault_close(&s);
    check_summary(path, &c, false);
    plain_rig(&rig, device, 1024, 8192);
    CU_ASSERT_EQUAL_FATAL(sl_device_counters(rig.dev, &c), 0);
    rig_close(&rig);
    check_summary(path, &c, true);
}

/* ---- failures ------------------------------------------------------------------------------- */

/* Whether a file of /proc holds a text, zeros or not. */
static bool holds(const char *process, const char *file, const char *text)
{
    static char data[1 << 16];
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", process, file);
    FILE *f = fopen(path, "r");
    const size_t n = f ? fread(data, 1, sizeof data, f) : 0;
    if (f)
        fclose(f);
    return memmem(data, n, text, strlen(text));
}

/* A process of that name that a program started for an emulated card; 0: none. */
static pid_t find_process(const char *name, pid_t program)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;
    char folder[64];
    snprintf(folder, sizeof folder, "/tmp/sluice-%d-", (int)program);
    for (struct dirent *e; proc && !found && (e = readdir(proc));)
        if (isdigit((unsigned char)e->d_name[0]) && holds(e->d_name, "comm", name) &&
            holds(e->d_name, "environ", folder))
            found = (pid_t)atoi(e->d_name);
    if (proc)
        closedir(proc);
    return found;
}

static void no_process_is_left(pid_t program)
{
    for (unsigned i = 0; i < 250 && find_process("sl_", program); i++)
        poll(NULL, 0, 20);
    CU_ASSERT_EQUAL(find_process("sl_", program), 0);
}

static void nothing_is_left(pid_t program)
{
    char folder[64];
    no_process_is_left(program);
    snprintf(folder, sizeof folder, "sluice-%d-", (int)program);
    DIR *tmp = opendir("/tmp");
    for (struct dirent *e; tmp && (e = readdir(tmp));)
        CU_ASSERT_NOT_EQUAL(strncmp(e->d_name, folder, strlen(folder)), 0);
    if (tmp)
        closedir(tmp);
}

static void a_card_that_fails_is_an_error_within_the_deadline(void)
{
    static const struct {
        const char *device, *why;
    } cases[] = {{"xrt,die=30", "the emulated card ended"},
                 {"xrt,hang=30,deadline=300", "no answer before the deadline"},
                 {"xrt,fault=read-error@20000", "BUS_ERROR"},
                 {"xrt,fault=dead@20000,timeout=3000", "memory did not answer"}};
    for (unsigned i = 0; is_there() && i < sizeof cases / sizeof cases[0]; i++) {
        static struct cli_result r;
        char line[512];
        snprintf(line, sizeof line, RUN "--device %s", cases[i].device);
        cli_run(&r, line);
        CU_ASSERT(r.code == 4 || r.code == 1);
        if (!strstr(r.err, cases[i].why) || !strstr(r.err, "; hint: "))
            printf("\n  %s -> %d %s", line, r.code, r.err);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, cases[i].why));
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "; hint: "));
        nothing_is_left(r.pid);
    }
}

static void the_cpu_takes_over_with_the_same_text(void)
{
    static const char *const device[] = {"xrt,die=30 --on-device-error cpu",
                                         "xrt,hang=31,deadline=300 --on-device-error cpu",
                                         "xrt,fault=read-error@20000 --on-device-error cpu",
                                         "sim,fault=dead@30000,timeout=3000 --on-device-error cpu",
                                         "xrt:0+xrt:1,die=5 --on-device-error cpu"};
    for (unsigned i = 0; is_there() && i < sizeof device / sizeof device[0]; i++)
        check_text(device[i], "the CPU took over from ");
}

static bool every_one(uint32_t expert)
{
    (void)expert;
    return true;
}

/* In prefill while experts pass through the card, and in decode while others move in; and where
 * memory holds few of those that the CPU then has to have. */
static void a_card_may_die_while_experts_move(void)
{
    static const struct {
        const char *device;
        uint64_t n_slot; /* 0: all are in memory */
    } cases[] = {{"xrt,die=9", 0}, {"xrt,die=8", 1}, {"xrt,die=12", 20}, {"xrt,die=36", 40}};
    char dir[RIG_PATH];
    if (!is_there())
        return;
    float *want = logits_new(), *got = logits_new();
    logits_convert(dir, "models/demo-hunyuan", "q8");
    struct sl_model_params params = {.path = dir, .device = "csim"};
    logits_of(&params, want, NULL);
    params.resident = "4";
    params.keep = "lru";
    params.dense = "cpu";
    params.cpu_takes_over = true;
    sl_stream_forced = every_one;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_session_stats stats;
        params.device = cases[i].device;
        params.host_memory = 0;
        params.host_memory = cases[i].n_slot ? logits_memory(&params, cases[i].n_slot) : 0;
        logits_of(&params, got, &stats);
        CU_ASSERT(stats.placement.streamed > 0);
        if (memcmp(want, got, LOGITS_BYTES))
            printf("\n  %s with %u slots\n", cases[i].device, (unsigned)cases[i].n_slot);
        CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
    }
    sl_stream_forced = NULL;
    free(want);
    free(got);
}

/* At any moment, by kill -9. */
static void a_killed_card_costs_no_text(void)
{
    static struct cli_result want;
    static char got[CLI_MAX_OUTPUT], err[CLI_MAX_OUTPUT];
    char dir[256], out_path[300], err_path[300];
    if (!is_there())
        return;
    struct sl_rng rng = sl_rng_open("kill", 1);
    cli_run(&want, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 60 --device csim");
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
        snprintf(out_path, sizeof out_path, "%s/out", dir);
        snprintf(err_path, sizeof err_path, "%s/err", dir);
        const pid_t pid = cli_start("run -m models/demo-hunyuan --prompt=In_the_beginning -n 60 "
                                    "--device xrt --on-device-error cpu",
                                    NULL, out_path, err_path);
        /* The prompt stands there when the model is loaded. */
        got[0] = 0;
        for (unsigned ms = 0; ms < 20000 && !got[0]; ms += 5) {
            poll(NULL, 0, 5);
            if (access(out_path, F_OK) == 0)
                cli_read(out_path, got);
        }
        poll(NULL, 0, (int)sl_rng_range(&rng, 50, 900));
        const pid_t board = find_process("sl_board", pid);
        CU_ASSERT_FATAL(board > 0 && kill(board, SIGKILL) == 0);
        const int code = cli_finish(pid);
        cli_read(out_path, got);
        cli_read(err_path, err);
        if (code)
            printf("\n  -> %d %s", code, err);
        CU_ASSERT_EQUAL(code, 0);
        CU_ASSERT_STRING_EQUAL(got, want.out);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, "the emulated card ended"));
        nothing_is_left(pid);
    }
}

/* The program itself is killed: what it started goes with it. */
static void a_killed_program_leaves_no_process(void)
{
    char dir[256], out_path[300], err_path[300];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out_path, sizeof out_path, "%s/out", dir);
    snprintf(err_path, sizeof err_path, "%s/err", dir);
    if (!is_there())
        return;
    const pid_t pid = cli_start(RUN "--device xrt,hang=2", NULL, out_path, err_path);
    for (unsigned ms = 0; ms < 20000 && !find_process("sl_board", pid); ms += 5)
        poll(NULL, 0, 5);
    poll(NULL, 0, 300);
    CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
    cli_finish(pid);
    no_process_is_left(pid);
    /* The next one sweeps its folder away. */
    struct sl_device *dev = NULL;
    CU_ASSERT_EQUAL(sl_device_open(&dev, "xrt"), 0);
    sl_device_close(&dev);
    nothing_is_left(pid);
}

static void wrong_names_are_refused(void)
{
    static const char *const names[] = {"xrt,",
                                        "xrt:",
                                        "xrt:x",
                                        "xrt:8",
                                        "xrt,xclbin=",
                                        "xrt,xclbin=/nonexistent",
                                        "xrt,xclbin=README.md",
                                        "xrt,die=0",
                                        "xrt,die=x",
                                        "xrt,deadline=0",
                                        "xrt,bogus",
                                        "xrt,mem=no",
                                        "xrt,dpi",
                                        "xrt,wave=x",
                                        "xrt:0,4",
                                        "xrt:4294967296999",
                                        "xrt,fault=read-error@1:9",
                                        "xrt,summary=/nonexistent/summary.csv",
                                        "xrt,summary=/tmp"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sl_device *dev = NULL;
        const int err = sl_device_open(&dev, names[i]);
        if (err == 0)
            printf("\n  %s is taken\n", names[i]);
        CU_ASSERT(err < 0);
        CU_ASSERT_PTR_NULL(dev);
        CU_ASSERT(sl_error_message()[0] && sl_error_hint()[0]);
    }
}

static const struct sl_case cases[] = {
    {"records_have_the_cycles_and_stalls_of_the_same_core_in_process",
     records_have_the_cycles_and_stalls_of_the_same_core_in_process},
    {"uploads_and_the_core_overlap", uploads_and_the_core_overlap},
    {"the_text_is_that_of_the_core_in_c", the_text_is_that_of_the_core_in_c},
    {"it_works_without_the_helper_that_shortens_pauses",
     it_works_without_the_helper_that_shortens_pauses},
    {"two_cards_share_the_work", two_cards_share_the_work},
    {"the_profile_of_xrt_counts_the_bytes_that_the_device_counts",
     the_profile_of_xrt_counts_the_bytes_that_the_device_counts},
    {"a_card_that_fails_is_an_error_within_the_deadline",
     a_card_that_fails_is_an_error_within_the_deadline},
    {"the_cpu_takes_over_with_the_same_text", the_cpu_takes_over_with_the_same_text},
    {"a_card_may_die_while_experts_move", a_card_may_die_while_experts_move},
    {"a_killed_card_costs_no_text", a_killed_card_costs_no_text},
    {"a_killed_program_leaves_no_process", a_killed_program_leaves_no_process},
    {"wrong_names_are_refused", wrong_names_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_xrt = {"xrt", cases};
