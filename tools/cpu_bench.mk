# SPDX-License-Identifier: Apache-2.0
# Speed of the CPU's plain matrices; not part of the tests. build/cpu_bench [TURNS [K]]
$(BUILD)/cpu_bench: tools/cpu_bench.c $(LIB_OBJ) $(HLS_OBJ)
	$(HOSTCC) -o $@ $(filter %.c %.o,$^) $(LDLIBS)
