# SPDX-License-Identifier: Apache-2.0
# Benches of the RTL's modules. Each tests/rtl/tb_<x>.sv is one; tests/rtl/tb_<x>.f lists its sources, Verilog (packages
# first) and C, one a line. Without a list: the packages, rtl/sl_<x>.sv, the bench, its tb_<x>.c and tests/ref/ref_num.c.
#   make rtl-bench [BENCH="scale quant"] [BENCH_SEED=7] [BENCH_ARGS=+all]
# Registers that no reset touches start with random contents.

BENCH      ?= $(patsubst tests/rtl/tb_%.sv,%,$(wildcard tests/rtl/tb_*.sv))
BENCH_SEED ?= 1
BENCH_ARGS ?=

bench_list = $(if $(wildcard tests/rtl/tb_$(1).f),$(shell sed -e 's/\#.*//' tests/rtl/tb_$(1).f 2>/dev/null),\
                 abi/gen/sl_abi_pkg.sv rtl/gen/sl_table_pkg.sv rtl/sl_num_pkg.sv rtl/sl_$(1).sv tests/rtl/tb_$(1).sv \
                 $(wildcard tests/rtl/tb_$(1).c) tests/ref/ref_num.c)
bench_sv   = $(filter %.sv %.vlt,$(call bench_list,$(1)))
bench_obj  = $(patsubst %.c,$(BUILD)/bench/obj/%.o,$(filter %.c,$(call bench_list,$(1))))

# The sources of benches call each other through DPI: the declarations are theirs.
$(BUILD)/bench/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(STD) -O2 $(PLAIN) -Wno-unknown-pragmas -Iabi -Ihls -Itests \
	    -isystem $$(verilator --getenv VERILATOR_ROOT)/include/vltstd -c -o $@ $<

# Verilator's own part, compiled once for all benches: with its objects in place, its Makefile leaves it alone.
BENCH_RUNTIME := $(patsubst %,$(BUILD)/bench/runtime/%.o,verilated verilated_dpi verilated_timing verilated_threads)
$(BUILD)/bench/runtime/%.o:
	@mkdir -p $(@D)
	root=$$(verilator --getenv VERILATOR_ROOT)/include && g++ -w -I$$root -I$$root/vltstd -DVM_COVERAGE=0 -DVM_SC=0 \
	    -DVM_TRACE=0 -DVM_TRACE_FST=0 -DVM_TRACE_VCD=0 -DVL_TIME_CONTEXT -faligned-new -fcoroutines -Os -c -o $@ $$root/$*.cpp

define BENCH_RULE
$(BUILD)/bench/tb_$(1)/Vtb_$(1): $(call bench_sv,$(1)) $(call bench_obj,$(1)) $(wildcard tests/rtl/tb_$(1).f) $(BENCH_RUNTIME)
	@mkdir -p $$(@D)
	@{ verilator --exe --main --timing --assert -O3 --threads 1 --x-assign unique --x-initial unique -Wno-fatal -Wno-lint \
	    -Wno-style --Mdir $$(@D) --top-module tb_$(1) \
	    $(call bench_sv,$(1)) $(addprefix $(CURDIR)/,$(filter-out /%,$(call bench_obj,$(1)))) \
	    $(filter /%,$(call bench_obj,$(1))) -LDFLAGS "$(SANFLAGS) -lm" && cp $(BENCH_RUNTIME) $$(@D) && \
	    $(MAKE) --no-print-directory -C $$(@D) -f Vtb_$(1).mk VM_PARALLEL_BUILDS=0 OPT_FAST=-O1 \
	    OPT_SLOW=-O0; } >$$(@D)/build.log 2>&1 || \
	    { cat $$(@D)/build.log; rm -f $$@; exit 1; }
	@touch $$@
endef
BENCH_ALL := $(sort $(BENCH) $(patsubst tests/rtl/tb_%.sv,%,$(wildcard tests/rtl/tb_*.sv)))
$(foreach b,$(BENCH_ALL),$(eval $(call BENCH_RULE,$(b))))

.PHONY: rtl-bench
rtl-bench: $(foreach b,$(BENCH),$(BUILD)/bench/tb_$(b)/Vtb_$(b)) ## Benches of the RTL's modules (BENCH="scale quant", BENCH_ARGS=+all)
	@tests/rtl/run_benches.sh $(BUILD)/bench "$(BENCH)" +seed=$(BENCH_SEED) +verilator+rand+reset+2 \
	    +verilator+seed+$(BENCH_SEED) $(BENCH_ARGS)

# The decoders in C as tables, for the proofs about the decoders in Verilog.
$(BUILD)/bench/miter_rom: tests/rtl/miter_rom.c hls/primitives.h abi/tables.def
	@mkdir -p $(@D)
	$(CC) $(STD) -O2 $(PLAIN) -Wno-unknown-pragmas -Wno-unused-function -Iabi -Ihls -o $@ $<

.PHONY: rtl-miter
rtl-miter: $(BUILD)/bench/miter_rom ## Prove the RTL's arithmetic equal to its law (MITER="sat32 rne")
	@tools/rtl/miter.sh $(BUILD) $(MITER)
