# SPDX-License-Identifier: Apache-2.0
# What tools/check_tokenizers.sh compares with other tokenizers.
$(BUILD)/tokenize_lines: tools/tokenize_lines.c $(LIB_OBJ) $(HLS_OBJ)
	$(HOSTCC) -o $@ $(filter %.c %.o,$^) $(LDLIBS)
