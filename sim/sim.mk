# SPDX-License-Identifier: Apache-2.0
# The Verilated core as shared objects, built on demand:
#   make sim P=4 T=1 [DPI=1] [TRACE=1|RANDOM=1|COVERAGE=1]
# makes $(BUILD)/sim/sl_sim_p4t1[_dpi][_trace|_rand|_cov].so. DPI: group sums in C, the same cycles. TRACE: waveforms.
# RANDOM: registers may start with random contents. COVERAGE: line coverage. In TRACE and RANDOM no clock is gated.

P        ?= 1
T        ?= 1
DPI      ?=
TRACE    ?=
RANDOM   ?=
COVERAGE ?=

# What has no Verilator in it is also part of the unit tests.
SIM_PLAIN   := mem mem_ideal mem_hbm mem_ddr dram axi_port gtkw
SIM_SRC     := $(SIM_PLAIN:%=sim/%.c) sim/sl_sim.c
SIM_HEADERS := $(wildcard sim/*.h)
SIM_RTL_F   := rtl/rtl.f
SIM_RTL     := $(shell sed -e 's/#.*//' $(SIM_RTL_F) 2>/dev/null)
SIM_CFLAGS  := -O3 -fPIC -fvisibility=hidden -fno-semantic-interposition

HOSTINC += -Isim
HOSTCC  += -Isim
$(BUILD)/unit_tests: $(SIM_PLAIN:%=$(BUILD)/sim/plain/%.o)
$(BUILD)/sim/plain/%.o: sim/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) -O2 -Isim -c -o $@ $<

.PHONY: sim
sim: $(BUILD)/sim/sl_sim_p$(P)t$(T)$(if $(DPI),_dpi)$(if $(TRACE),_trace,$(if $(RANDOM),_rand,$(if $(COVERAGE),_cov))).so ## The RTL under Verilator for --device sim (P=, T=, DPI=1, TRACE=1)

# From the stem p<P>t<T>[_dpi][_variant].
sim_shape = $(subst t, ,$(patsubst p%,%,$(firstword $(subst _, ,$*))))
sim_p     = $(word 1,$(sim_shape))
sim_t     = $(word 2,$(sim_shape))
sim_has   = $(filter $(1),$(subst _, ,$*))
sim_slow  = $(call sim_has,trace)$(call sim_has,rand)
sim_flags = --cc --top-module sl_core --prefix Vsl_core --threads 1 -O3 -Wno-fatal -Wno-lint -Wno-style \
            -GP=$(sim_p) -GT=$(sim_t) $(if $(call sim_has,dpi),+define+SL_DPI) \
            $(if $(sim_slow),+define+SL_FREE_CLOCKS --x-assign unique --x-initial unique --assert,--x-assign fast --x-initial fast --noassert) \
            $(if $(call sim_has,trace),--trace-fst) $(if $(call sim_has,cov),--coverage-line)
sim_defs  = -DSL_SIM_P=$(sim_p) -DSL_SIM_T=$(sim_t) -DSL_SIM_DPI=$(if $(call sim_has,dpi),1,0) \
            -DSL_SIM_TRACE=$(if $(call sim_has,trace),1,0) -DSL_SIM_RANDOM=$(if $(call sim_has,rand),1,0) \
            -DSL_SIM_COVERAGE=$(if $(call sim_has,cov),1,0)
sim_c     = $(SIM_SRC) $(if $(call sim_has,dpi),sim/dot_dpi.c)
SIM_LIBS  := verilated.o verilated_threads.o
sim_libs  = $(SIM_LIBS) $(if $(call sim_has,dpi),verilated_dpi.o) $(if $(call sim_has,trace),verilated_fst_c.o) \
            $(if $(call sim_has,cov),verilated_cov.o)

sim_cc    = -std=c11 -D_GNU_SOURCE -ffp-contract=off $(WARN) -g -flto $(SIM_CFLAGS) $(sim_defs) -I$(CURDIR)/sim -I$(CURDIR)/abi
sim_cxx   = -std=c++17 -Wall -Wextra -g -flto $(SIM_CFLAGS) -faligned-new -I$(CURDIR)/sim -Imodel \
            -isystem $$root/include -isystem $$root/include/vltstd -DVM_SC=0 -DVM_TRACE_VCD=0 \
            -DVM_TRACE=$(if $(call sim_has,trace),1 -DVM_TRACE_FST=1,0) -DVM_COVERAGE=$(if $(call sim_has,cov),1,0)

# rtl.f lists the sources, packages first. VM_PARALLEL_BUILDS=0: one file to compile, whose headers are read once.
$(BUILD)/sim/sl_sim_%.so: $(SIM_RTL_F) $(SIM_RTL) $(SIM_SRC) $(SIM_HEADERS) sim/verilated.cpp sim/exports.map \
                          sim/sl_dot_dpi.sv sim/dot_dpi.c
	@mkdir -p $(BUILD)/sim/$*
	verilator $(sim_flags) -CFLAGS "$(SIM_CFLAGS)" -Mdir $(BUILD)/sim/$*/model rtl/lint.vlt $(if $(call sim_has,dpi),sim/sl_dot_dpi.sv) $(SIM_RTL)
	$(MAKE) --no-print-directory -C $(BUILD)/sim/$*/model -f Vsl_core.mk VM_PARALLEL_BUILDS=0 \
	    OPT_FAST="-O3 -fno-tree-slp-vectorize" OPT_SLOW=-O1 OPT_GLOBAL=-O3 Vsl_core__ALL.a $(sim_libs) >/dev/null
	cd $(BUILD)/sim/$* && root=$$(verilator --getenv VERILATOR_ROOT) && rm -f *.o && \
	    $(CC) $(sim_cc) -c $(addprefix $(CURDIR)/,$(sim_c)) && \
	    g++ $(sim_cxx) -c $(CURDIR)/sim/verilated.cpp -o model.o && \
	    g++ -shared -flto -O3 $(SIM_CFLAGS) -static-libgcc -static-libstdc++ -Wl,--version-script=$(CURDIR)/sim/exports.map \
	        -o ../sl_sim_$*.so.part *.o model/Vsl_core__ALL.a $(addprefix model/,$(sim_libs)) $(if $(call sim_has,trace),-lz) && \
	    mv ../sl_sim_$*.so.part ../sl_sim_$*.so

-include sim/hls.mk
