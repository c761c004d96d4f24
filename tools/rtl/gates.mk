# SPDX-License-Identifier: Apache-2.0
# What rtl/ has to pass beside the tests of its results.

.PHONY: rtl-lint
rtl-lint: $(BUILD)/slxclbin ## Three parsers and the style of rtl/
	@tools/rtl/lint.sh $(BUILD)

SYNTH_CONFIGS ?= 1x1 1x4 1x16 4x1 4x4 16x1 28x1
SYNTH_UNITS   ?=
.PHONY: synth
synth: ## Resources of the core by Yosys, against their budget (SYNTH_CONFIGS="1x1 4x4", SYNTH_UNITS="sl_post sl_dot")
	@tools/rtl/synth.py $(BUILD) --configs "$(SYNTH_CONFIGS)" --units "$(SYNTH_UNITS)"

BOARDS ?= ice40 ecp5
.PHONY: bitstreams
bitstreams: ## Bitstreams by open tools (BOARDS="ice40 ecp5", SEEDS="1 2 3"; minutes)
	@SEEDS="$(SEEDS)" bitstreams/build.sh $(BUILD) $(BOARDS)

PROOFS ?=
.PHONY: rtl-prove
rtl-prove: ## Prove handshakes, FIFOs and bursts of rtl/ by induction (rtl/formal; PROOFS="sl_fifo sl_axi_read")
	@tools/rtl/prove.sh $(BUILD) $(PROOFS)

.PHONY: rtl-coverage
rtl-coverage: ## Lines of rtl/ that checkfab and the unit tests reach, faults of the memory included; fails on one neither reached nor explained
	@tools/rtl/coverage.py $(BUILD)

MUTANTS     ?= 6
MUTANT_SEED ?= 1
.PHONY: rtl-mutate
rtl-mutate: ## Change rtl/ in one place at a time: do the tests notice? (MUTANTS=6 of each module, 0: all; MUTANT_SEED=1)
	@tools/rtl/mutate.py $(BUILD) --sample $(MUTANTS) --seed $(MUTANT_SEED)

RANDOM_SEEDS ?= 1 2 3 4
.PHONY: rtl-random
rtl-random: $(BUILD)/checkfab ## checkfab on a core that wakes up with random contents (RANDOM_SEEDS="1 2 3 4")
	@$(MAKE) --no-print-directory -s sim RANDOM=1
	@tools/rtl/random.sh $(BUILD) $(RANDOM_SEEDS)
