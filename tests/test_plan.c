/* SPDX-License-Identifier: Apache-2.0 */
/* What `sluice plan` says beside what the modelled device takes for the same model. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_rig.h"
#include "fabric/stream.h"
#include "sched/cpu_rate.h"
#include "test_main.h"

static bool within(double got, double want, double share)
{
    return fabs(got - want) <= share * fabs(want);
}

static json_t *call(const char *line)
{
    static struct cli_result r;
    cli_run(&r, line);
    if (r.code)
        printf("%s: %s", line, r.err);
    CU_ASSERT_EQUAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    return o;
}

static double value(const json_t *o, const char *phase, const char *part)
{
    return json_number_value(json_object_get(json_object_get(o, phase), part));
}

/* ---- beside the device ---------------------------------------------------------------------- */

/* A model, a core with its link and the host's rate, where what is. */
struct setting {
    const char *model, *format, *shape, *options;
    const char *cpu, *dense; /* 1e9 bytes a second */
    const char *resident;
};

#define HUNYUAN "models/demo-hunyuan"
#define YUAN "models/demo-yuan"
static const struct setting settings[] = {
    {HUNYUAN, "q8", "1x1", "mem=hbm", "2", "device", "16"},
    {HUNYUAN, "nf4", "1x1", "mem=ddr", "2", "auto", "8"},
    {HUNYUAN, "fp8", "4x1", "mem=hbm", "0.5", "cpu", "4"},
    {HUNYUAN, "nf4", "4x4", "mem=hbm,pcie=26,pcie_us=2", "40", "device", "16"},
    {HUNYUAN, "q8", "4x4", "mem=ideal,launch_us=10", "2", "device", "0"},
    {HUNYUAN, "nf4", "16x1", "mem=hbm,pcie=3,pcie_us=20", "0.2", "auto", "12"},
    {HUNYUAN, "q8", "16x4", "mem=ddr,pcie=1", "10", "device", "15"},
    {HUNYUAN, "fp8", "28x1", "mem=hbm,launch_us=20", "1", "cpu", "0"},
    {HUNYUAN, "int4", "28x1", "mem=hbm,launch_us=0", "5", "auto", "8"},
    {HUNYUAN, "mxfp4", "8x2", "mem=hbm,pcie=1", "2", "device", "1"},
    {YUAN, "q8", "1x1", "mem=hbm", "2", "device", "32"},
    {YUAN, "nf4", "1x1", "mem=ddr,launch_us=5", "1", "auto", "16"},
    {YUAN, "fp8", "4x1", "mem=hbm", "0.3", "cpu", "8"},
    {YUAN, "nf4", "4x4", "mem=hbm,pcie=26,pcie_us=1", "0.1", "device", "4"},
    {YUAN, "q8", "4x4", "mem=ideal", "20", "auto", "0"},
    {YUAN, "nf4", "16x1", "mem=hbm,pcie=1,pcie_us=5", "1", "device", "24"},
    {YUAN, "q8", "16x4", "mem=ddr", "0.5", "cpu", "28"},
    {YUAN, "fp8", "28x1", "mem=hbm,launch_us=200", "0.2", "auto", "0"},
    {YUAN, "int4", "28x1", "mem=hbm,launch_us=0", "3", "device", "20"},
    {YUAN, "mxfp4", "2x8", "mem=hbm,pcie=4,launch_us=10", "0.1", "auto", "1"},
};
enum { N_SETTING = sizeof settings / sizeof settings[0], N_PREDICT = 13, N_PHASE = 2 };
static const char *const phases[N_PHASE] = {"prefill", "decode"};

/* Residency stays what it was: a plan knows no other. Long enough that all experts are chosen, as a
 * plan takes them for equally popular. */
static json_t *run(const struct setting *s)
{
    static const char prompt[] =
        "In_the_beginning_God_created_the_heaven_and_the_earth._And_the_earth_was_without_form,_"
        "and_void;_and_darkness_was_upon_the_face_of_the_deep._And_the_Spirit_of_God_moved_upon_"
        "the_face_of_the_waters._And_God_said,_Let_there_be_light:_and_there_was_light._And_God_"
        "saw_the_light,_that_it_was_good:_and_God_divided_the_light_from_the_darkness._And_God_"
        "called_the_light_Day,_and_the_darkness_he_called_Night._And_the_evening_and_the_morning_"
        "were_the_first_day.";
    char line[1024];
    snprintf(line, sizeof line,
             "run -m %s --format %s --prompt=%s -n %d --temp 0 --json --explain --keep static "
             "--dense %s --resident %s --device model:%s,%s,cpu=%s",
             s->model, s->format, prompt, N_PREDICT, s->dense, s->resident, s->shape, s->options,
             s->cpu);
    return call(line);
}

static json_t *plan(const struct setting *s, json_int_t n_prompt, double hit)
{
    unsigned p, t;
    char line[512];
    CU_ASSERT_EQUAL_FATAL(sscanf(s->shape, "%ux%u", &p, &t), 2);
    snprintf(line, sizeof line,
             "plan %s --format %s --json --dense %s --resident %s --routing hit:%.9f --host "
             "gbps=%s --prompt-tokens %d --cards gb=1,ports=%u,columns=%u,%s",
             s->model, s->format, s->dense, s->resident, hit, s->cpu, (int)n_prompt, p, t,
             s->options);
    return call(line);
}

/* The share of the difference, which has to be below `near`. The device does not see attention,
 * which the CPU computes. */
static double difference(const struct setting *s, const json_t *got, const char *phase, double near)
{
    char hit[16], rate_name[32];
    const json_int_t n_prompt = json_integer_value(json_object_get(got, "prefill_tokens"));
    const json_t *expected = json_object_get(got, "expected");
    snprintf(hit, sizeof hit, "%s_hit", phase);
    snprintf(rate_name, sizeof rate_name, "%s_tokens_per_s", phase);
    json_t *said = plan(s, n_prompt, json_number_value(json_object_get(expected, hit)));
    const double want = value(json_object_get(got, "virtual_time"), phase, "tokens_per_s");
    const double tokens = strcmp(phase, "decode") ? (double)n_prompt : 1;
    const double rate =
        tokens / (value(said, phase, "total_s") - value(said, phase, "cpu_attention_s"));
    if (!within(rate, want, 0.1))
        printf("%s %s %s %s cpu %s dense %s resident %s: %s planned %.1f tok/s, modelled %.1f\n",
               s->model, s->format, s->shape, s->options, s->cpu, s->dense, s->resident, phase,
               rate, want);
    CU_ASSERT(within(rate, want, near));
    /* `run` says the same of its own device. */
    CU_ASSERT(within(json_number_value(json_object_get(expected, rate_name)), rate, 1e-6));
    json_decref(said);
    return fabs(rate - want) / want;
}

static void a_plan_agrees_with_the_modelled_device(void)
{
    double worst[N_PHASE] = {0};
    json_int_t streamed = 0, on_cpu = 0, n = 0;
    for (unsigned i = 0; i < N_SETTING; i += SL_THIN(3), n++) {
        json_t *got = run(&settings[i]);
        const json_t *placement = json_object_get(got, "placement");
        streamed += json_integer_value(json_object_get(placement, "streamed")) > 0;
        on_cpu += json_integer_value(json_object_get(placement, "on_cpu")) > 0;
        for (unsigned p = 0; p < N_PHASE; p++)
            worst[p] = fmax(worst[p], difference(&settings[i], got, phases[p], 0.1));
        json_decref(got);
    }
    CU_ASSERT(streamed >= n / 4);
    CU_ASSERT(on_cpu >= n / 2);
    printf("%d settings, experts sent in %d, on the CPU in %d; largest difference: prefill %.2f "
           "%%, decode %.2f %%\n",
           (int)n, (int)streamed, (int)on_cpu, 100 * worst[0], 100 * worst[1]);
}

/* Random settings. Real choices fall on fewer experts than a plan assumes, so a prompt may differ
 * by more where a slow CPU computes them. */
static void a_plan_agrees_in_many_settings(void)
{
    enum { N = 100 };
    static const char *const formats[] = {"nf4", "int4", "mxfp4", "q8", "fp8"};
    static const char *const memories[] = {"hbm", "ddr", "ideal"};
    static const char *const dense[] = {"auto", "cpu", "device"};
    const char *is_long = getenv("SL_LONG");
    unsigned above[N_PHASE] = {0};
    double worst[N_PHASE] = {0}, sum[N_PHASE] = {0};
    if (!is_long || strcmp(is_long, "1")) {
        CU_PASS("SL_LONG=1 plans 100 settings");
        return;
    }
    struct sl_rng rng = sl_rng_open("plan", 1);
    for (unsigned i = 0; i < N; i++) {
        char shape[16], options[64], cpu[16], resident[16];
        const bool yuan = sl_rng_next(&rng) % 2;
        snprintf(shape, sizeof shape, "%ux%u", 1 + (unsigned)(sl_rng_next(&rng) % 28),
                 1u << sl_rng_next(&rng) % 5);
        snprintf(options, sizeof options, "mem=%s,pcie=%.2f,pcie_us=%u,launch_us=%u",
                 memories[sl_rng_next(&rng) % 3], pow(2, (double)(sl_rng_next(&rng) % 7) - 1),
                 (unsigned)(sl_rng_next(&rng) % 20), (unsigned)(sl_rng_next(&rng) % 150));
        snprintf(cpu, sizeof cpu, "%.3f", 0.1 * pow(2, (double)(sl_rng_next(&rng) % 9)));
        snprintf(resident, sizeof resident, "%u", (unsigned)(sl_rng_next(&rng) % (yuan ? 33 : 17)));
        const struct setting s = {.model = yuan ? YUAN : HUNYUAN,
                                  .format = formats[sl_rng_next(&rng) % 5],
                                  .shape = shape,
                                  .options = options,
                                  .cpu = cpu,
                                  .dense = dense[sl_rng_next(&rng) % 3],
                                  .resident = resident};
        json_t *got = run(&s);
        for (unsigned p = 0; p < N_PHASE; p++) {
            const double d = difference(&s, got, phases[p], p ? 0.1 : 0.25);
            worst[p] = fmax(worst[p], d);
            sum[p] += d / N;
            above[p] += d > 0.1;
        }
        json_decref(got);
    }
    CU_ASSERT(above[0] <= N / 10);
    for (unsigned p = 0; p < N_PHASE; p++)
        printf("%d settings, %s: differences of %.2f %% as a mean, at most %.2f %%, %u above 10 "
               "%%\n",
               N, phases[p], 100 * sum[p], 100 * worst[p], above[p]);
}

/* Card and CPU end together: hand-made times, one token each. */
static void experts_are_sent_as_long_as_it_pays(void)
{
    static const struct {
        struct sl_stream_costs costs;
        uint32_t n;
    } cases[] = {
        {{.send_s = 1, .cpu_s = 1}, 2},              /* 1 <= 4, 2 <= 3, 3 > 2 */
        {{.send_s = 0, .cpu_s = 1}, 4},              /* a link that takes nothing */
        {{.send_s = 5, .cpu_s = 1}, 0},              /* the CPU is through before */
        {{.send_s = 1, .cpu_s = 0}, 0},              /* it is not known what the CPU takes */
        {{.card_s = 2, .cpu_s = 1}, 1},              /* 2 <= 4, 4 > 3 */
        {{.send_s = 1, .cpu_s = 1, .held_s = 3}, 2}, /* 3 <= 4, 3 <= 3, 3 > 2 */
    };
    static const uint32_t n_tok[] = {1, 1, 1, 1};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_EQUAL(sl_stream_count(&cases[i].costs, n_tok, 4), cases[i].n);
    CU_ASSERT_EQUAL(sl_stream_count(&cases[0].costs, n_tok, 0), 0);
}

/* ---- places --------------------------------------------------------------------------------- */

static double place(const json_t *o, unsigned i, const char *where)
{
    return json_number_value(
        json_object_get(json_array_get(json_object_get(o, "places"), i), where));
}

enum { ROUTER, DENSE, SHARED, ROUTED };

/* The bytes of Yuan 2.0-M32 in nf4 are 4.25 bits of 3 * 2048 * 8192 weights, 24 * 32 experts; a
 * U55C has 28 of its 32 channels of 512 MiB behind the ports. */
static void weights_are_where_they_fit(void)
{
    static const char *const cards[] = {"u55c", "2xu55c", "u280"};
    const double routed = 24 * 32 * (3.0 * 2048 * 8192 * 4.25 / 8);
    for (unsigned i = 0; i < 3; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "plan tests/configs/yuan2-m32.json --format nf4 --json --cards %s --host "
                 "gb=4,gbps=40,disk=2",
                 cards[i]);
        json_t *o = call(line);
        const double card = place(o, ROUTED, "card_bytes"), host = place(o, ROUTED, "host_bytes");
        const double disk = place(o, ROUTED, "disk_bytes");
        CU_ASSERT(within(card + host + disk, routed, 0.001));
        const double room = (i == 1 ? 2 : 1) * 28 * (i == 2 ? 256 : 512) * 1048576.0;
        const double on_cards = card + place(o, DENSE, "card_bytes") +
                                place(o, SHARED, "card_bytes") + place(o, ROUTER, "card_bytes");
        CU_ASSERT(on_cards <= room);
        /* No further expert of each layer would fit, but where all do. */
        CU_ASSERT(on_cards + routed / 32 > room || within(card, routed, 0.001));
        CU_ASSERT(host + place(o, DENSE, "host_bytes") <= 4e9);
        CU_ASSERT_EQUAL(disk > 0, value(o, "decode", "disk_s") > 0);
        json_decref(o);
    }
}

static void what_holds_is_named(void)
{
    static const struct {
        const char *line, *bound;
    } cases[] = {
        {"--cards 2xu55c,launch_us=5 --dense device --host gbps=100", "hbm"},
        {"--cards 2xu55c --dense device --host gbps=100", "launch"},
        {"--cards 2xu55c,launch_us=5000 --dense device --host gbps=100", "launch"},
        {"--cards 2xu55c,pcie_us=3000 --dense device --host gbps=100", "pcie"},
        {"--cards u55c --resident 0 --host gbps=20", "cpu"},
        {"--cards u55c --resident 0 --host gb=1,gbps=100,disk=1", "disk"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "plan tests/configs/yuan2-m32.json --format nf4 --json %s",
                 cases[i].line);
        json_t *o = call(line);
        CU_ASSERT_STRING_EQUAL(
            json_string_value(json_object_get(json_object_get(o, "decode"), "bound")),
            cases[i].bound);
        json_decref(o);
    }
}

/* Popular experts first: more of the choices are resident. */
static void routing_is_an_assumption(void)
{
    static const char base[] =
        "plan tests/configs/yuan2-m32.json --format nf4 --json --resident 16 --host gbps=40";
    char line[256];
    json_t *uniform = call(base);
    snprintf(line, sizeof line, "%s --routing zipf:1", base);
    json_t *zipf = call(line);
    snprintf(line, sizeof line, "%s --routing zipf:0", base);
    json_t *flat = call(line);
    CU_ASSERT(within(json_number_value(json_object_get(uniform, "hit")), 0.5, 1e-9));
    CU_ASSERT(within(json_number_value(json_object_get(flat, "hit")), 0.5, 1e-9));
    /* H(16) / H(32), harmonic numbers. */
    CU_ASSERT(within(json_number_value(json_object_get(zipf, "hit")), 3.3807290 / 4.0584952, 1e-6));
    CU_ASSERT(value(zipf, "decode", "tokens_per_s") > value(uniform, "decode", "tokens_per_s"));
    json_decref(uniform);
    json_decref(zipf);
    json_decref(flat);
}

static void what_cannot_be_is_refused(void)
{
    static const char *const bad[] = {
        "--cards v80",           "--cards 0xu50",        "--cards u50,ports=29",
        "--cards u50,",          "--cards ports=4",      "--host gb",
        "--host gbps=0",         "--host ram=5",         "--routing zipf",
        "--routing hit:2",       "--resident 33",        "--cards u50,gb=x",
        "--cards u50,columns=3", "--cards u50,pcie=none"};
    static struct cli_result r;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "plan tests/configs/yuan2-m32.json --format nf4 %s", bad[i]);
        cli_run(&r, line);
        CU_ASSERT_EQUAL(r.code, 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "error: USAGE"));
    }
    cli_run(&r, "plan tests/configs/hunyuan-large-instruct.json --cards u50");
    CU_ASSERT_NOT_EQUAL(r.code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "do not fit"));
    cli_run(&r, "plan tests/configs/yuan2-m32.json --format nf4 --resident 32 --host gbps=40");
    CU_ASSERT_NOT_EQUAL(r.code, 0);
}

/* ---- beside a run --------------------------------------------------------------------------- */

/* What a token reads: of 16 routed experts one. */
static void the_cpu_is_expected_to_read_its_bytes(void)
{
    json_t *o = call("run -m models/demo-hunyuan --format nf4 --prompt=In_the -n 4 --temp 0 "
                     "--device cpu --json --explain");
    json_t *p =
        call("plan models/demo-hunyuan --format nf4 --dense cpu --resident 0 --json --cards "
             "gb=1 --host gbps=1");
    const json_t *e = json_object_get(o, "expected");
    const double bytes = place(p, ROUTER, "card_bytes") + place(p, DENSE, "host_bytes") +
                         place(p, SHARED, "card_bytes") + place(p, ROUTED, "host_bytes") / 16;
    const double gbps = json_number_value(json_object_get(e, "cpu_gbps"));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(e, "by")), "memory");
    CU_ASSERT(gbps > 0);
    CU_ASSERT(json_number_value(json_object_get(e, "cpu_gmacs")) > 0);
    /* The KV cache of some positions is read too. */
    CU_ASSERT(within(json_number_value(json_object_get(e, "decode_tokens_per_s")),
                     gbps * 1e9 / bytes, 0.01));
    json_decref(p);
    json_decref(o);
}

/* nf4 of 2048 columns: 34 beats hold two rows, so 1.88 weights a byte. */
static void many_tokens_cost_what_multiplying_takes(void)
{
    const double weights = 2 * 2048 / (34.0 * 64);
    static const double n[] = {1, 2, 32, 64, 65, 100, 128};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) {
        const double tasks = ceil(n[i] / 64);
        /* Multiplying for a token takes as long as reading; no time; twice as long. */
        CU_ASSERT(within(sl_cpu_rate_work(n[i], SL_FORMAT_NF4, 3, 3 * weights), n[i], 1e-9));
        CU_ASSERT(within(sl_cpu_rate_work(n[i], SL_FORMAT_NF4, 3, 1e9), tasks, 1e-9));
        CU_ASSERT(within(sl_cpu_rate_work(n[i], SL_FORMAT_NF4, 3, 0), tasks, 1e-9));
        CU_ASSERT(within(sl_cpu_rate_work(n[i], SL_FORMAT_NF4, 3, 1.5 * weights),
                         tasks + (n[i] - tasks) * 127 / 63, 1e-9));
    }
    CU_ASSERT(sl_cpu_rate_multiply(sl_cpu_ops_best(), 2, SL_FORMAT_NF4) > 0);
    CU_ASSERT(sl_cpu_rate_multiply(sl_cpu_ops_best(), 1, SL_FORMAT_FP8) > 0);
}

/* Two convolutions over two tokens, 2048 to 1024 channels and back, in BF16, in each of 24 layers;
 * the rest of attention grows with the positions. */
static void yuans_filter_is_read_for_every_token(void)
{
    const double filter = 24 * (2.0 * 2048 * 1024 + 2.0 * 1024 * 2048) * 2;
    double bytes[2];
    for (int i = 0; i < 2; i++) {
        json_t *p = call(i ? "plan tests/configs/yuan2-m32.json --host gbps=50 --json -c 2000"
                           : "plan tests/configs/yuan2-m32.json --host gbps=50 --json -c 1000");
        bytes[i] = value(p, "decode", "cpu_attention_s") * 50e9;
        json_decref(p);
    }
    CU_ASSERT(within(2 * bytes[0] - bytes[1], filter, 1e-6));
}

static void what_is_expected_is_told_with_explain(void)
{
    static const struct {
        const char *options;
        bool told;
    } cases[] = {{"--device cpu --explain", true},
                 {"--device model:4x4,cpu=1 --resident 4 --explain", true},
                 {"--device model:4x4", false},
                 {"--device csim --explain", false},
                 {"--device model:4+model:4 --explain", false}};
    static struct cli_result r;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "run -m models/demo-yuan --prompt=In_the -n 2 %s",
                 cases[i].options);
        cli_run(&r, line);
        CU_ASSERT_EQUAL(r.code, 0);
        CU_ASSERT_EQUAL(strstr(r.err, "\nexpected: prefill ") != NULL, cases[i].told);
    }
}

static const struct sl_case cases[] = {
    {"a_plan_agrees_with_the_modelled_device", a_plan_agrees_with_the_modelled_device},
    {"a_plan_agrees_in_many_settings", a_plan_agrees_in_many_settings},
    {"experts_are_sent_as_long_as_it_pays", experts_are_sent_as_long_as_it_pays},
    {"the_cpu_is_expected_to_read_its_bytes", the_cpu_is_expected_to_read_its_bytes},
    {"many_tokens_cost_what_multiplying_takes", many_tokens_cost_what_multiplying_takes},
    {"yuans_filter_is_read_for_every_token", yuans_filter_is_read_for_every_token},
    {"what_is_expected_is_told_with_explain", what_is_expected_is_told_with_explain},
    {"weights_are_where_they_fit", weights_are_where_they_fit},
    {"what_holds_is_named", what_holds_is_named},
    {"routing_is_an_assumption", routing_is_an_assumption},
    {"what_cannot_be_is_refused", what_cannot_be_is_refused},
    {NULL, NULL},
};
const struct sl_suite suite_plan = {"plan", cases};
