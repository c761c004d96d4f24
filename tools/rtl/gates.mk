# SPDX-License-Identifier: Apache-2.0
# What rtl/ has to pass beside the tests of its results.

.PHONY: rtl-lint
rtl-lint: ## Three parsers and the style of rtl/
	@tools/rtl/lint.sh $(BUILD)
