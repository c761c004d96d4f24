# SPDX-License-Identifier: Apache-2.0
# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
# BUILD=dir builds elsewhere, CC=clang changes the compiler, SAN=asan|ubsan instruments everything.

SHELL  := /bin/sh
BUILD  ?= build
CC     := gcc
DEVICE ?= sim
ARGS   ?=
LIBS   := jansson libpcre2-8 libutf8proc libxxhash liburing libzip

WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
          -Wmissing-prototypes -Wundef -Wvla -Wcast-align -Werror
SAN    ?=
SANFLAGS := $(if $(filter asan,$(SAN)),-fsanitize=address -fno-omit-frame-pointer) \
            $(if $(filter ubsan,$(SAN)),-fsanitize=undefined -fno-sanitize-recover=all)
STD    := -std=c11 -D_GNU_SOURCE -g -ffp-contract=off $(WARN) $(SANFLAGS) -MMD -MP
CFLAGS ?= -O2
HOSTINC := -Ihost/include -Ihost -Iabi -Ihls
HOSTCC := $(CC) $(STD) $(CFLAGS) $(HOSTINC)
# The definition of each operation and every plain reference are built without vectorisation: see
# docs/decisions on the compiler that misreads signed bytes.
PLAIN  := -fno-tree-vectorize -fno-tree-slp-vectorize
LDLIBS  = $(shell pkg-config --libs $(LIBS)) -lpthread -lm

LIB_SRC   := $(wildcard host/base/*.c host/store/*.c host/engine/*.c host/accel/*.c host/fabric/*.c \
               host/card/*.c host/cache/*.c host/validate/*.c host/bench/*.c host/sched/*.c)
CLI_SRC   := $(wildcard host/cli/*.c)
HLS_SRC   := $(wildcard hls/*.c)
TEST_SRC  := $(wildcard tests/*.c) $(wildcard tests/ref/*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ   := $(CLI_SRC:%.c=$(BUILD)/%.o)
TEST_OBJ  := $(TEST_SRC:%.c=$(BUILD)/%.o)
# One copy of the core per number of weight ports: P is a constant of the hardware.
CSIM_PORTS := 1 4 16 28
HLS_OBJ   := $(foreach p,$(CSIM_PORTS),$(HLS_SRC:hls/%.c=$(BUILD)/hls/p$(p)/%.o))

.PHONY: all
all: $(BUILD)/sluice ## Build the program

$(BUILD)/sluice: $(CLI_OBJ) $(LIB_OBJ) $(HLS_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ $(LDLIBS)

# The tests also reach the command line's parts, which have a main of their own.
$(BUILD)/unit_tests: $(TEST_OBJ) $(filter-out %/main.o,$(CLI_OBJ)) $(LIB_OBJ) $(HLS_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ -lcunit $(LDLIBS)

$(BUILD)/host/%.o: host/%.c
	@mkdir -p $(@D)
	$(HOSTCC) -c -o $@ $<

# Registers of sums are many there, and gcc -O2 moves them about: 3 to 4 % of q8's rate at 16 tokens.
$(BUILD)/host/accel/cpu_avx512_tile.o: host/accel/cpu_avx512_tile.c
	@mkdir -p $(@D)
	$(HOSTCC) $(if $(SAN),,-O3) $(PLAIN) -c -o $@ $<

$(BUILD)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(HOSTCC) $(PLAIN) -Itests -Ihls -c -o $@ $<

define HLS_RULE
$(BUILD)/hls/p$(1)/%.o: hls/%.c
	@mkdir -p $$(@D)
	$(CC) $(STD) $(CFLAGS) $(PLAIN) -Wno-unknown-pragmas -Iabi -Ihls -DSL_P=$(1) -c -o $$@ $$<
endef
$(foreach p,$(CSIM_PORTS),$(eval $(call HLS_RULE,$(p))))

# Simulated devices need their Verilated core: sim[:P[xT]][,dpi] names it.
sim_words  = $(subst $(comma), ,$(1))
sim_ports  = $(subst x, ,$(patsubst sim:%,%,$(filter sim:%,$(firstword $(call sim_words,$(1))))))
sim_device = P=$(or $(word 1,$(call sim_ports,$(1))),1) T=$(or $(word 2,$(call sim_ports,$(1))),1) \
             DPI=$(if $(filter dpi,$(call sim_words,$(1))),1)
comma := ,

# Cards are reached through a process of their own; without one there is the emulated card.
is_card = $(filter xrt xrt:% opencl opencl:%,$(firstword $(call sim_words,$(1))))

.PHONY: run
run: $(if $(call is_card,$(DEVICE)),setup-cards,setup) ## Generate text with the demonstration model on the RTL (DEVICE=csim|sim:4x4|xrt|opencl; ARGS="...")
	@$(MAKE) --no-print-directory -s -j"$$(nproc)" $(BUILD)/sluice
	@$(if $(call is_card,$(DEVICE)),$(MAKE) --no-print-directory -s cards)
	@$(if $(filter sim sim:%,$(firstword $(call sim_words,$(DEVICE)))),$(MAKE) --no-print-directory -s sim $(call sim_device,$(DEVICE)))
	@$(BUILD)/sluice run -m models/demo-hunyuan --device $(DEVICE) $(if $(ARGS),$(ARGS),-p "In the beginning" -n 64)

.PHONY: cards
cards: $(BUILD)/sl_device_host $(BUILD)/libsl_nosleep.so ## What --device xrt and opencl need: their process, and the emulated card
	@$(MAKE) --no-print-directory -s xclbin

.PHONY: setup setup-cards setup-test
setup: ## Install what is missing (Debian packages)
	@tools/setup.sh

setup-cards: ## The same with the runtimes of cards
	@tools/setup.sh cards

setup-test: ## The same with what only tests and gates need
	@tools/setup.sh test

.PHONY: test
test: setup-test ## Everything CI runs; ends with "N passed, M failed"
	@tools/run_tests.sh $(BUILD)

.PHONY: test-long soak
test-long: setup-test ## make test, then whole experts in every format, proofs, fuzzers (at most 80 minutes)
	@MITERS=MITER= tools/run_tests.sh $(BUILD) check rtl unit readme checkfab cards clang sanitized long real prove synth fuzz

SOAK_GROUPS ?= 1000000000
SOAK_ROWS   ?= 1000000
SOAK_IMPL   ?= sim:4x4
soak: setup-test ## Random jobs on the simulated core until SOAK_GROUPS group sums and SOAK_ROWS rows of each format are compared
	@$(MAKE) --no-print-directory -s -j"$$(nproc)" $(BUILD)/checkfab
	@$(MAKE) --no-print-directory -s sim $(call sim_device,$(SOAK_IMPL))
	@$(BUILD)/checkfab --soak --impl $(SOAK_IMPL) --groups $(SOAK_GROUPS) --rows $(SOAK_ROWS)

.PHONY: check
check: check-gen check-headers check-opencl check-vendor ## Quick gate: generated files, dependencies, style, headers, OpenCL front end
	@tools/check_deps.sh
	@tools/check_style.sh

# Each header compiles alone, under both compilers.
.PHONY: check-headers
check-headers:
	@for h in host/include/*.h host/*/*.h abi/*.h; do for cc in gcc clang; do \
	    $$cc $(filter-out -MMD -MP,$(STD)) -Wno-unused-function $(HOSTINC) -fsyntax-only -x c $$h || exit 1; done; done

# Another compiler's warnings; nothing is made.
.PHONY: check-clang
CLANG := clang $(filter-out -MMD -MP,$(STD)) -Wno-unknown-pragmas $(HOSTINC) -Isim -Itests -fsyntax-only
check-clang: ## All warnings of clang
	@printf '%s\n' $(LIB_SRC) $(CLI_SRC) $(TEST_SRC) $(HLS_SRC) $(SIM_PLAIN:%=sim/%.c) $(wildcard sim/board/*.c \
	    tools/*.c tools/xclbin/*.c) | \
	    xargs -P"$$(nproc)" -n 16 $(CLANG) -Itools/xclbin

# What is declared of a vendor's interface, beside its headers where they are installed.
.PHONY: check-vendor
check-vendor:
	@if [ -e /usr/include/xrt/xclbin.h ]; then \
	    $(CC) $(filter-out -MMD -MP,$(STD)) -fsyntax-only -isystem /usr/include/xrt $(HOSTINC) tests/vendor/xrt_api.c; \
	else echo "SKIPPED check-vendor: libxrt-dev is not installed"; fi

.PHONY: gen check-gen
gen: $(BUILD)/abigen ## Renew the files generated from abi/*.def
	$(BUILD)/abigen version abi > abi/gen/sl_abi_version.h
	$(BUILD)/abigen sv abi > abi/gen/sl_abi_pkg.sv
	$(BUILD)/abigen md abi > docs/registers.md
	$(BUILD)/abigen tables abi > rtl/gen/sl_table_pkg.sv

check-gen: $(BUILD)/abigen ## Fail when generated files differ from abi/*.def
	@for f in version:abi/gen/sl_abi_version.h sv:abi/gen/sl_abi_pkg.sv md:docs/registers.md tables:rtl/gen/sl_table_pkg.sv; do \
	    $(BUILD)/abigen $${f%%:*} abi | cmp - $${f#*:} || { echo "error: $${f#*:} is stale; hint: make gen"; exit 1; }; \
	done

$(BUILD)/abigen: tools/abigen.c $(wildcard abi/*.def) $(wildcard hls/*.def)
	@mkdir -p $(@D)
	$(CC) $(STD) -Iabi -Ihls -o $@ $<

# libFuzzer over everything in tests/fuzz; corpora grow in $(BUILD)/fuzz/corpus.
FUZZ_S ?= 60
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzz fuzz-run
fuzz: ## Run each fuzzer for FUZZ_S seconds
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang \
	    "SANFLAGS=-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-pass-failed" fuzz-run

fuzz-run: $(FUZZERS)
	@for f in $(FUZZERS); do mkdir -p $(BUILD)/corpus/$${f##*/}; echo "$${f##*/}"; \
	    $$f -max_total_time=$(FUZZ_S) -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/ $(BUILD)/corpus/$${f##*/} \
	        $$(ls -d tests/fuzz/seeds/$${f##*/} 2>/dev/null) || exit 1; done

$(BUILD)/fuzz_jobs: $(patsubst %,$(BUILD)/tests/%.o,core_rig core_scene rng) \
                   $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/ref/*.c))
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(LIB_OBJ) $(HLS_OBJ)
	$(CC) $(SANFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

.PHONY: clean
clean: ## Remove build products
	rm -rf $(BUILD)

.PHONY: help
help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(filter Makefile %.mk,$(MAKEFILE_LIST))

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
-include rtl/rtl.mk sim/sim.mk sim/board/board.mk tools/xclbin/xclbin.mk tests/rtl/bench.mk tests/checkfab/checkfab.mk tools/rtl/gates.mk tools/store_tools.mk tools/attention_bench.mk tools/tokenize_lines.mk tests/calibrate/calibrate.mk

# The core's sources under other tools. The unoptimised copy judges the compiler (tests/test_compiler.c).
HLS_O0_OBJ := $(patsubst hls/%.c,$(BUILD)/hls/o0/%.o,$(filter-out hls/steps.c,$(HLS_SRC)))
$(BUILD)/unit_tests: $(HLS_O0_OBJ)
$(BUILD)/hls/o0/%.o: hls/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) -O0 -Wno-unknown-pragmas -Iabi -Ihls -DSL_P=1 -DSL_SUFFIX=_o0 -c -o $@ $<

.PHONY: check-opencl error-tables prove hls
check-opencl: ## The core's sources as OpenCL C 1.2 (clang's front end)
	@for p in 1 4; do clang -x cl -cl-std=CL1.2 -D__OPENCL_VERSION__=120 -Xclang -finclude-default-header \
	    -fsyntax-only -Wall -Wextra -Werror -Wno-unknown-pragmas -Iabi -Ihls -DSL_P=$$p hls/core.cl || exit 1; done

error-tables: ## Print section 7 of docs/numerics.md
	@mkdir -p $(BUILD)
	@$(CC) $(filter-out -MMD -MP,$(STD)) -O2 -Wno-unknown-pragmas -Wno-unused-function $(HOSTINC) -Ihls \
	    -o $(BUILD)/error_tables tools/error_tables.c -lm && $(BUILD)/error_tables

prove: ## Prove the bounds of docs/numerics.md section 4 (Frama-C Eva)
	@tools/hls/prove.sh $(BUILD)

hls: ## Synthesise the units with TOOL=vitis or TOOL=bambu, where installed
	@tools/hls/synth.sh "$(TOOL)" $(BUILD)
