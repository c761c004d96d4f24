# SPDX-License-Identifier: Apache-2.0
# Models without weights, for measurements at full size: build/make_model (a converted one), build/make_checkpoint (one to
# convert); build/disk_bench DIR. Not part of the tests.
$(BUILD)/make_model $(BUILD)/make_checkpoint $(BUILD)/disk_bench: $(BUILD)/%: tools/%.c tools/synthetic.c tools/synthetic.h \
		$(LIB_OBJ) $(HLS_OBJ)
	$(HOSTCC) -Itools -o $@ $(filter %.c %.o,$^) $(LDLIBS)
