# SPDX-License-Identifier: Apache-2.0
# The device process inside an emulation xclbin: XRT's calls answered by the simulated core.
BOARD_OBJ := $(patsubst sim/board/%.c,$(BUILD)/sim/board/%.o,$(wildcard sim/board/*.c)) \
             $(BUILD)/host/accel/sim_options.o $(BUILD)/host/base/err.o

$(BUILD)/sl_board: $(BOARD_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ -ldl

$(BUILD)/sim/board/%.o: sim/board/%.c
	@mkdir -p $(@D)
	$(HOSTCC) -Isim/board -c -o $@ $<
