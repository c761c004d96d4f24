# SPDX-License-Identifier: Apache-2.0
# What rtl/ has to pass beside the tests of its results.

.PHONY: rtl-lint
rtl-lint: ## Three parsers and the style of rtl/
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
