# SPDX-License-Identifier: Apache-2.0
# Designs for cards:
#   make xclbin PLATFORM=u50|u55c|u280 KERNEL=rtl|hls TARGET=hw_emu|hw [P=1] [T=1]
# makes $(BUILD)/xclbin/sl_core_<platform>_p<P>t<T>_<kernel>_<target>.xclbin. hw_emu: XRT's hardware emulation with the
# simulated core inside, by our own packer, or by v++ with TARGET=hw_emu VPP=1. hw: by Vivado and v++ where they are installed.

PLATFORM ?= u50
KERNEL   ?= rtl
TARGET   ?= hw_emu
VPP      ?=

XCLBIN_TOOL_OBJ := $(patsubst tools/xclbin/%.c,$(BUILD)/tools/xclbin/%.o,$(wildcard tools/xclbin/*.c)) \
                   $(BUILD)/host/card/xclbin.o $(BUILD)/host/base/err.o $(BUILD)/host/base/file.o

$(BUILD)/slxclbin: $(XCLBIN_TOOL_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ $(shell pkg-config --libs libzip jansson libxxhash)

$(BUILD)/tools/xclbin/%.o: tools/xclbin/%.c
	@mkdir -p $(@D)
	$(HOSTCC) -Itools/xclbin -c -o $@ $<

xclbin_name = $(BUILD)/xclbin/sl_core_$(PLATFORM)_p$(P)t$(T)_$(KERNEL)_$(TARGET)

.PHONY: xclbin
xclbin: ## A design for a card (PLATFORM=u50|u55c|u280 KERNEL=rtl|hls TARGET=hw_emu|hw P= T=)
	@case "$(KERNEL):$(TARGET):$(VPP)" in \
	rtl:hw_emu:|hls:hw_emu:) $(MAKE) --no-print-directory -s $(xclbin_name).xclbin ;; \
	rtl:sw_emu:*|hls:sw_emu:*) echo "note: software emulation is --device csim: the core of hls/ on the CPU, nothing to build" ;; \
	rtl:hw*|hls:hw*) $(MAKE) --no-print-directory -s xclbin-inputs && \
	    tools/xclbin/vitis.sh $(xclbin_name) $(TARGET) $(KERNEL) ;; \
	*) echo "error: KERNEL=$(KERNEL) TARGET=$(TARGET); hint: KERNEL is rtl or hls, TARGET hw, hw_emu or sw_emu" >&2; exit 2 ;; esac

.PHONY: xclbin-inputs
xclbin-inputs: $(BUILD)/slxclbin ## What Vivado and v++ read for a design: kernel.xml, package.tcl, link.cfg, ...
	@mkdir -p $(xclbin_name)
	@for f in kernel.xml package.tcl sl_core_kernel.sv hls.cfg link.cfg pblock.tcl; do \
	    $(BUILD)/slxclbin print $$f $(PLATFORM) $(P)x$(T) $(KERNEL) >$(xclbin_name)/$$f || exit 1; done
	@echo "$(xclbin_name): kernel.xml package.tcl sl_core_kernel.sv hls.cfg link.cfg pblock.tcl"

$(BUILD)/xclbin/sl_core_$(PLATFORM)_p$(P)t$(T)_rtl_hw_emu.xclbin: $(BUILD)/slxclbin $(BUILD)/sl_board $(BUILD)/sim/sl_sim_p$(P)t$(T).so
	@mkdir -p $(@D)
	$(BUILD)/slxclbin pack $(PLATFORM) $(P)x$(T) rtl $(BUILD)/sl_board $(BUILD)/sim/sl_sim_p$(P)t$(T).so $@

$(BUILD)/xclbin/sl_core_$(PLATFORM)_p$(P)t1_hls_hw_emu.xclbin: $(BUILD)/slxclbin $(BUILD)/sl_board $(BUILD)/xclbin/sl_core_c_p$(P).so
	$(BUILD)/slxclbin pack $(PLATFORM) $(P)x1 hls $(BUILD)/sl_board $(BUILD)/xclbin/sl_core_c_p$(P).so $@

$(BUILD)/xclbin/sl_core_c_p$(P).so: sim/sl_sim_c.c sim/sl_sim.h $(wildcard hls/*.[ch] hls/*.def)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(STD)) -O2 $(PLAIN) -Wno-unknown-pragmas $(HOSTINC) -DSL_P=$(P) -DSL_SIM_P=$(P) -fPIC \
	    -fvisibility=hidden -shared -o $@ sim/sl_sim_c.c $(HLS_SRC)

# Parts that tests look at.
$(BUILD)/unit_tests $(BUILD)/fuzz_rpc: $(BUILD)/sim/board/rpc.o
