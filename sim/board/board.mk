# SPDX-License-Identifier: Apache-2.0
# The device process inside an emulation xclbin: XRT's calls answered by the simulated core.
BOARD_OBJ := $(patsubst sim/board/%.c,$(BUILD)/sim/board/%.o,$(filter-out %/nosleep.c %/posted.c,$(wildcard sim/board/*.c))) \
             $(BUILD)/host/accel/sim_options.o $(BUILD)/host/accel/link.o $(BUILD)/host/base/err.o $(BUILD)/host/base/number.o

$(BUILD)/sl_board: $(BOARD_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ -ldl -lm

$(BUILD)/sim/board/%.o: sim/board/%.c
	@mkdir -p $(@D)
	$(HOSTCC) -Isim/board -c -o $@ $<

# Preloaded into the process that holds an emulated card.
$(BUILD)/libsl_nosleep.so: sim/board/nosleep.c sim/board/posted.c sim/board/rpc.c sim/board/rpc.h sim/board/shown.h sim/sl_sim.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared -Isim -fvisibility=hidden -o $@ $(filter %.c,$^) -ldl

# The process that holds a card for a program. Nothing instrumented: the helper is preloaded into it.
DEVICE_HOST_OBJ := $(patsubst %,$(BUILD)/host/%.o,device_host/main card/xrt card/opencl card/opencl_api card/xclbin base/err base/file)
$(BUILD)/sl_device_host: $(DEVICE_HOST_OBJ) | $(BUILD)/sl_core.cl
	$(CC) $(SANFLAGS) -o $@ $^ -ldl -lpthread

# The core's C as one file of OpenCL C, which platforms without an xclbin compile at run time.
$(BUILD)/sl_core.cl: tools/hls/flatten.awk hls/core.cl $(wildcard hls/*.[ch] hls/*.def abi/*.h abi/*.def abi/gen/*.h)
	@mkdir -p $(@D)
	awk -v path="hls abi" -f $< hls/core.cl > $@.part && mv $@.part $@
