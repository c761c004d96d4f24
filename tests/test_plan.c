/* SPDX-License-Identifier: Apache-2.0 */
/* What `sluice plan` says beside what the modelled device takes for the same model. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli_rig.h"
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

/* A model, a core with its link, experts on the card; the CPU reads 2 GB/s. */
struct setting {
    const char *model, *format, *shape, *options;
    const char *resident;
};

#define HUNYUAN "models/demo-hunyuan"
#define YUAN "models/demo-yuan"
static const struct setting settings[] = {
    {HUNYUAN, "q8", "1x1", "mem=hbm", "16"},
    {HUNYUAN, "nf4", "1x1", "mem=ddr", "8"},
    {HUNYUAN, "fp8", "4x1", "mem=hbm", "4"},
    {HUNYUAN, "nf4", "4x4", "mem=hbm,pcie=26,pcie_us=2", "16"},
    {HUNYUAN, "q8", "4x4", "mem=ideal,launch_us=10", "0"},
    {HUNYUAN, "nf4", "16x1", "mem=hbm,pcie=3,pcie_us=20", "12"},
    {HUNYUAN, "q8", "16x4", "mem=ddr", "15"},
    {HUNYUAN, "fp8", "28x1", "mem=hbm", "16"},
    {HUNYUAN, "int4", "28x1", "mem=hbm,launch_us=0", "8"},
    {HUNYUAN, "mxfp4", "8x2", "mem=hbm", "1"},
    {YUAN, "q8", "1x1", "mem=hbm", "8"},
    {YUAN, "nf4", "1x1", "mem=ddr,launch_us=5", "4"},
    {YUAN, "fp8", "4x1", "mem=hbm", "2"},
    {YUAN, "nf4", "4x4", "mem=hbm,pcie=26,pcie_us=1", "8"},
    {YUAN, "q8", "4x4", "mem=ideal", "0"},
    {YUAN, "nf4", "16x1", "mem=hbm,pcie=1,pcie_us=5", "6"},
    {YUAN, "q8", "16x4", "mem=ddr", "7"},
    {YUAN, "fp8", "28x1", "mem=hbm", "8"},
    {YUAN, "int4", "28x1", "mem=hbm,launch_us=0", "5"},
    {YUAN, "mxfp4", "2x8", "mem=hbm", "1"},
};
enum { N_SETTING = sizeof settings / sizeof settings[0], N_PREDICT = 13 };

static json_t *run(const struct setting *s)
{
    char line[512];
    snprintf(line, sizeof line,
             "run -m %s --format %s --prompt=In_the_beginning -n %d --temp 0 --json --dense device "
             "--resident %s --device model:%s,%s,cpu=2",
             s->model, s->format, N_PREDICT, s->resident, s->shape, s->options);
    return call(line);
}

static json_t *plan(const struct setting *s, double hit)
{
    unsigned p, t;
    char line[512];
    CU_ASSERT_EQUAL_FATAL(sscanf(s->shape, "%ux%u", &p, &t), 2);
    snprintf(line, sizeof line,
             "plan %s --format %s --json --dense device --resident %s --routing hit:%.9f --host "
             "gbps=2 --cards gb=1,ports=%u,columns=%u,%s",
             s->model, s->format, s->resident, hit, p, t, s->options);
    return call(line);
}

/* Of the decoded tokens' choices: how many are resident, by the time that the CPU took for the
 * others. */
static double hit_of(const json_t *o, const json_t *any)
{
    const double tokens = json_number_value(json_object_get(o, "decode_tokens"));
    const double cpu = json_number_value(
        json_object_get(json_object_get(json_object_get(o, "virtual_time"), "decode"), "cpu_s"));
    const double all = value(any, "decode", "cpu_experts_s"); /* of a token without a hit */
    return 1 - cpu / tokens / all;
}

static void a_plan_agrees_with_the_modelled_device(void)
{
    double worst = 0;
    for (unsigned i = 0; i < N_SETTING; i++) {
        const struct setting *s = &settings[i];
        json_t *got = run(s), *none = plan(s, 0);
        const double hit = hit_of(got, none);
        CU_ASSERT(hit > -1e-6 && hit < 1 + 1e-6);
        json_t *said = plan(s, hit < 0 ? 0 : hit > 1 ? 1 : hit);
        const double want = value(json_object_get(got, "virtual_time"), "decode", "tokens_per_s");
        /* The device does not see attention, which the CPU computes. */
        const double rate =
            1 / (value(said, "decode", "total_s") - value(said, "decode", "cpu_attention_s"));
        const bool near = within(rate, want, 0.1);
        if (!near)
            printf("%s %s %s %s resident %s: planned %.1f tok/s, modelled %.1f\n", s->model,
                   s->format, s->shape, s->options, s->resident, rate, want);
        CU_ASSERT(near);
        worst = fmax(worst, fabs(rate - want) / want);
        json_decref(got);
        json_decref(none);
        json_decref(said);
    }
    printf("%d settings, largest difference %.2f %%\n", N_SETTING, 100 * worst);
}

/* All experts on the card: nothing of the prompt is hidden from the device. */
static void a_prompt_takes_the_time_of_the_modelled_device(void)
{
    static const char prompt[] =
        "--prompt=In_the_beginning_God_created_the_heaven_and_the_earth._And_the_earth_was_without_"
        "form,_and_void;_and_darkness_was_upon_the_face_of_the_deep._And_God_said,_Let_there_be_"
        "light:_and_there_was_light.";
    static const struct setting s[] = {{HUNYUAN, "q8", "1x1", "mem=hbm", "16"},
                                       {HUNYUAN, "nf4", "16x4", "mem=hbm", "16"},
                                       {YUAN, "nf4", "4x4", "mem=ddr", "8"}};
    for (unsigned i = 0; i < 3; i++) {
        unsigned p, t;
        char line[512];
        CU_ASSERT_EQUAL_FATAL(sscanf(s[i].shape, "%ux%u", &p, &t), 2);
        snprintf(line, sizeof line,
                 "run -m %s --format %s %s -n 1 --json --dense device --device model:%s,%s",
                 s[i].model, s[i].format, prompt, s[i].shape, s[i].options);
        json_t *got = call(line);
        snprintf(line, sizeof line,
                 "plan %s --format %s --json --dense device --host gbps=2 --prompt-tokens %d "
                 "--cards gb=1,ports=%u,columns=%u,%s",
                 s[i].model, s[i].format,
                 (int)json_integer_value(json_object_get(got, "prefill_tokens")), p, t,
                 s[i].options);
        json_t *said = call(line);
        const double want = value(json_object_get(got, "virtual_time"), "prefill", "total_s");
        CU_ASSERT(within(value(said, "prefill", "total_s"), want, 0.1));
        CU_ASSERT_EQUAL(value(said, "prefill", "cpu_experts_s"), 0);
        json_decref(got);
        json_decref(said);
    }
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

static const struct sl_case cases[] = {
    {"a_plan_agrees_with_the_modelled_device", a_plan_agrees_with_the_modelled_device},
    {"a_prompt_takes_the_time_of_the_modelled_device",
     a_prompt_takes_the_time_of_the_modelled_device},
    {"weights_are_where_they_fit", weights_are_where_they_fit},
    {"what_holds_is_named", what_holds_is_named},
    {"routing_is_an_assumption", routing_is_an_assumption},
    {"what_cannot_be_is_refused", what_cannot_be_is_refused},
    {NULL, NULL},
};
const struct sl_suite suite_plan = {"plan", cases};
