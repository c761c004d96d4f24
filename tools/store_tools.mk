# SPDX-License-Identifier: Apache-2.0
# Large models for measurements: build/make_model CONFIG.json OUT_DIR; build/disk_bench DIR. Not part of the tests.
$(BUILD)/make_model $(BUILD)/disk_bench: $(BUILD)/%: tools/%.c $(LIB_OBJ) $(HLS_OBJ)
	$(HOSTCC) -o $@ $(filter %.c %.o,$^) $(LDLIBS)
