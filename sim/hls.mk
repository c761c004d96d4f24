# SPDX-License-Identifier: Apache-2.0
# The units as PandA-Bambu makes them from hls/, behind the core's pins (sim/sl_hls_unit.sv) and under Verilator:
#   make hlsrtl
# makes $(BUILD)/sim/sl_hls_<unit>.so from the Verilog below $(BUILD)/hls/bambu, and that, where it is older than hls/.
# The Verilog carries its tool's licence notices; it stays below $(BUILD).

HLS_UNITS   := expert_ffn router_topk kv_pack
HLSRTL      := $(HLS_UNITS:%=$(BUILD)/sim/sl_hls_%.so)
HLSRTL_SV   := rtl/sl_control.sv sim/sl_hls_port.sv sim/sl_hls_unit.sv
HLS_VERILOG := $(BUILD)/hls/bambu.csv
HLS_INPUT   := $(wildcard hls/*.[ch] hls/*.def abi/*.def abi/*.h abi/gen/*.h) tools/hls/bambu.sh tools/hls/bench.c

.PHONY: hlsrtl
hlsrtl: ## The Verilog that Bambu makes from hls/ as an implementation for checkfab, where Bambu is installed
	@if command -v bambu >/dev/null || $(MAKE) --no-print-directory -s -q $(HLS_VERILOG); then \
	    $(MAKE) --no-print-directory $(HLSRTL); \
	else \
	    echo "SKIPPED hlsrtl: PandA-Bambu is not installed (no bambu in PATH), hls/ has no Verilog to simulate"; \
	fi

$(HLS_VERILOG): $(HLS_INPUT)
	tools/hls/synth.sh bambu $(BUILD)

# The control port has the width of the widest access that the unit makes.
hls_dir   = $(abspath $(BUILD))/hls/bambu/sl_$*_top
hls_flags = --cc --top-module sl_hls_unit --prefix Vsl_core --threads 1 -O3 -Wno-fatal -Wno-lint -Wno-style \
            -Wno-TIMESCALEMOD -Wno-SYMRSVDWORD --x-assign fast --x-initial fast --noassert --output-split 20000 \
            -DSL_HLS_TOP=sl_$*_top $(if $(filter kv_pack,$*),,-DSL_HLS_WEIGHTS)
hls_cc    = -std=c11 -D_GNU_SOURCE $(WARN) -g $(SIM_CFLAGS) -DSL_SIM_P=1 -DSL_SIM_T=1 -DSL_SIM_DPI=0 -DSL_SIM_TRACE=0 \
            -DSL_SIM_RANDOM=0 -DSL_SIM_COVERAGE=0 -I$(CURDIR)/sim -I$(CURDIR)/abi
hls_cxx   = -std=c++17 -Wall -Wextra -g $(SIM_CFLAGS) -faligned-new -I$(CURDIR)/sim -Imodel \
            -isystem $$root/include -isystem $$root/include/vltstd -DVM_SC=0 -DVM_TRACE_VCD=0 -DVM_TRACE=0 -DVM_COVERAGE=0

$(BUILD)/sim/sl_hls_%.so: $(HLS_VERILOG) $(HLSRTL_SV) $(SIM_SRC) $(SIM_HEADERS) sim/verilated.cpp sim/exports.map \
                          tools/hls/unit_verilog.sh
	@mkdir -p $(BUILD)/sim/hls_$*
	tools/hls/unit_verilog.sh $(hls_dir) sl_$*_top >$(BUILD)/sim/hls_$*/unit.v
	width=$$(sed -n 's/.*input \[\([0-9]*\):0\] m_axi_gmem_ctl_rdata;.*/\1/p' $(BUILD)/sim/hls_$*/unit.v | tail -n 1) && \
	    verilator $(hls_flags) -GW_CTL=$$((width + 1)) -CFLAGS "$(SIM_CFLAGS)" -Mdir $(BUILD)/sim/hls_$*/model \
	        $(HLSRTL_SV) $(BUILD)/sim/hls_$*/unit.v
	$(MAKE) --no-print-directory -C $(BUILD)/sim/hls_$*/model -f Vsl_core.mk OPT_FAST=-O2 OPT_SLOW=-O0 OPT_GLOBAL=-O2 \
	    Vsl_core__ALL.a $(SIM_LIBS) >/dev/null
	cd $(BUILD)/sim/hls_$* && root=$$(verilator --getenv VERILATOR_ROOT) && rm -f *.o && \
	    $(CC) $(hls_cc) -c $(addprefix $(CURDIR)/,$(SIM_SRC)) && \
	    g++ $(hls_cxx) -c $(CURDIR)/sim/verilated.cpp -o model.o && \
	    g++ -shared $(SIM_CFLAGS) -static-libgcc -static-libstdc++ -Wl,--version-script=$(CURDIR)/sim/exports.map \
	        -o ../sl_hls_$*.so.part *.o model/Vsl_core__ALL.a $(addprefix model/,$(SIM_LIBS)) && \
	    mv ../sl_hls_$*.so.part ../sl_hls_$*.so
