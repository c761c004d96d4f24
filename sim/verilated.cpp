// SPDX-License-Identifier: Apache-2.0
// C interface of the Verilated core (model.h).
#include "model.h"

#include <cstdio>
#include <new>

#include "Vsl_core.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace
{
/* Names the signals above the registers' scope; the context must outlive the core. */
struct Context {
    VerilatedContext v;
    Context(int64_t reset_seed, bool trace)
    {
        char seed[48];
        snprintf(seed, sizeof seed, "+verilator+seed+%d",
                 static_cast<int>(reset_seed % 0x7FFFFFFF) + 1);
        const char *args[] = {"sl_sim", "+verilator+rand+reset+2", seed};
        if (reset_seed >= 0)
            v.commandArgs(3, args);
        v.traceEverOn(trace);
    }
};

template <class T> uint8_t *bytes_of(T &pin)
{
    return reinterpret_cast<uint8_t *>(&pin);
}
} // namespace

struct sl_model {
    Context context;
    Vsl_core core;
    bool registers_driven = true;
#if VM_TRACE
    VerilatedFstC fst;
#endif
    explicit sl_model(int64_t reset_seed)
        : context{reset_seed, VM_TRACE != 0}, core{&context.v, "TOP"}
    {
    }
};

sl_model *sl_model_open(sl_pins *pins, int64_t reset_seed)
{
    sl_model *model = new (std::nothrow) sl_model{reset_seed};
    if (!model)
        return nullptr;
    Vsl_core &core = model->core;
    pins->ctl_rdata = bytes_of(core.m_axi_ctl_rdata);
    pins->ctl_wdata = bytes_of(core.m_axi_ctl_wdata);
    pins->w_rdata = bytes_of(core.m_axi_w_rdata);
    pins->w_araddr = bytes_of(core.m_axi_w_araddr);
    pins->w_arlen = bytes_of(core.m_axi_w_arlen);
    return model;
}

void sl_model_close(sl_model *model)
{
    if (model)
        model->core.final();
    delete model;
}

/* The register port, which rests most of the time. */
static void drive_registers(Vsl_core &core, const sl_pins *pins)
{
    core.s_axi_control_awvalid = pins->s_awvalid;
    core.s_axi_control_awaddr = pins->s_awaddr;
    core.s_axi_control_wvalid = pins->s_wvalid;
    core.s_axi_control_wdata = pins->s_wdata;
    core.s_axi_control_wstrb = 0xF;
    core.s_axi_control_bready = pins->s_bready;
    core.s_axi_control_arvalid = pins->s_arvalid;
    core.s_axi_control_araddr = pins->s_araddr;
    core.s_axi_control_rready = pins->s_rready;
}

static void see_registers(const Vsl_core &core, sl_pins *pins)
{
    pins->s_awready = core.s_axi_control_awready;
    pins->s_wready = core.s_axi_control_wready;
    pins->s_bvalid = core.s_axi_control_bvalid;
    pins->s_arready = core.s_axi_control_arready;
    pins->s_rvalid = core.s_axi_control_rvalid;
    pins->s_rdata = core.s_axi_control_rdata;
}

void sl_model_settle(sl_model *model, sl_pins *pins)
{
    Vsl_core &core = model->core;
    const bool registers = pins->s_busy || model->registers_driven;
    if (registers)
        drive_registers(core, pins);
    model->registers_driven = pins->s_busy;
    core.ap_clk = 0;
    core.ap_rst_n = pins->rst_n;
    core.m_axi_ctl_arready = pins->ctl_arready;
    core.m_axi_ctl_rvalid = pins->ctl_rvalid;
    core.m_axi_ctl_rresp = pins->ctl_rresp;
    core.m_axi_ctl_rlast = pins->ctl_rlast;
    core.m_axi_ctl_awready = pins->ctl_awready;
    core.m_axi_ctl_wready = pins->ctl_wready;
    core.m_axi_ctl_bvalid = pins->ctl_bvalid;
    core.m_axi_ctl_bresp = pins->ctl_bresp;
    core.m_axi_w_arready = pins->w_arready;
    core.m_axi_w_rvalid = pins->w_rvalid;
    core.m_axi_w_rlast = pins->w_rlast;
    core.m_axi_w_rresp = pins->w_rresp;
    core.eval_step();
    if (registers)
        see_registers(core, pins);
    pins->interrupt = core.__SYM__interrupt; /* a word of SystemC, so Verilator renames it */
    pins->ctl_arvalid = core.m_axi_ctl_arvalid;
    pins->ctl_araddr = core.m_axi_ctl_araddr;
    pins->ctl_arlen = core.m_axi_ctl_arlen;
    pins->ctl_rready = core.m_axi_ctl_rready;
    pins->ctl_awvalid = core.m_axi_ctl_awvalid;
    pins->ctl_awaddr = core.m_axi_ctl_awaddr;
    pins->ctl_awlen = core.m_axi_ctl_awlen;
    pins->ctl_wvalid = core.m_axi_ctl_wvalid;
    pins->ctl_wlast = core.m_axi_ctl_wlast;
    pins->ctl_wstrb = core.m_axi_ctl_wstrb;
    pins->ctl_bready = core.m_axi_ctl_bready;
    pins->w_arvalid = core.m_axi_w_arvalid;
    pins->w_rready = core.m_axi_w_rready;
}

void sl_model_tick(sl_model *model)
{
    model->core.ap_clk = 1;
    model->core.eval_step();
}

bool sl_model_wave_open(sl_model *model, const char *path)
{
#if VM_TRACE
    FILE *f = fopen(path, "wb"); /* the library reports no failure */
    if (!f)
        return false;
    fclose(f);
    model->core.trace(&model->fst, 99);
    model->fst.open(path);
    return model->fst.isOpen();
#else
    (void)model;
    (void)path;
    return false;
#endif
}

void sl_model_wave_dump(sl_model *model, uint64_t time)
{
#if VM_TRACE
    model->fst.dump(time);
#else
    (void)model;
    (void)time;
#endif
}

void sl_model_wave_close(sl_model *model)
{
#if VM_TRACE
    model->fst.close();
#else
    (void)model;
#endif
}

bool sl_model_write_coverage(sl_model *model, const char *path)
{
#if VM_COVERAGE
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    fclose(f);
    model->context.v.coveragep()->write(path);
    return true;
#else
    (void)model;
    (void)path;
    return false;
#endif
}
