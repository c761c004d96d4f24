# SPDX-License-Identifier: Apache-2.0
# Speed of attention over the cache; not part of the tests. build/attention_bench [TURNS [POSITIONS [THREADS]]]
$(BUILD)/attention_bench: tools/attention_bench.c $(LIB_OBJ) $(HLS_OBJ)
	$(HOSTCC) -o $@ $(filter %.c %.o,$^) $(LDLIBS)
