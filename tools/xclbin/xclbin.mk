# SPDX-License-Identifier: Apache-2.0
#   make xclbin PLATFORM=u50 KERNEL=rtl TARGET=hw_emu [P=1] [T=1]
# makes $(BUILD)/xclbin/sl_core_<platform>_p<P>t<T>_<kernel>_hw_emu.xclbin.

PLATFORM ?= u50
KERNEL   ?= rtl
TARGET   ?= hw_emu

XCLBIN_TOOL_OBJ := $(patsubst tools/xclbin/%.c,$(BUILD)/tools/xclbin/%.o,$(wildcard tools/xclbin/*.c)) \
                   $(BUILD)/host/accel/xclbin.o $(BUILD)/host/base/err.o $(BUILD)/host/base/file.o

$(BUILD)/slxclbin: $(XCLBIN_TOOL_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ $(shell pkg-config --libs libzip jansson libxxhash)

$(BUILD)/tools/xclbin/%.o: tools/xclbin/%.c
	@mkdir -p $(@D)
	$(HOSTCC) -Itools/xclbin -c -o $@ $<

XCLBIN_FILE = $(BUILD)/xclbin/sl_core_$(PLATFORM)_p$(P)t$(T)_$(KERNEL)_$(TARGET).xclbin
XCLBIN_CORE = $(BUILD)/sim/sl_sim_p$(P)t$(T).so

.PHONY: xclbin
xclbin: ## A container for a card (PLATFORM=u50|u55c|u280 KERNEL=rtl|hls TARGET=hw|hw_emu P= T=)
	@$(MAKE) --no-print-directory -s $(XCLBIN_FILE)

$(BUILD)/xclbin/sl_core_$(PLATFORM)_p$(P)t$(T)_rtl_hw_emu.xclbin: $(BUILD)/slxclbin $(BUILD)/sl_board $(XCLBIN_CORE)
	@mkdir -p $(@D)
	$(BUILD)/slxclbin pack $(PLATFORM) $(P)x$(T) rtl $(BUILD)/sl_board $(XCLBIN_CORE) $@
