# SPDX-License-Identifier: Apache-2.0
# The transaction model of the core beside the RTL, launch by launch.
CALIBRATE_SRC := tests/calibrate/calibrate.c tests/tlm_rig.c

$(BUILD)/calibrate: $(CALIBRATE_SRC:%.c=$(BUILD)/%.o) $(LIB_OBJ) $(HLS_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: calibrate
calibrate: $(BUILD)/calibrate ## Table: cycles of the transaction model beside the RTL's (ARGS="DEVICE...")
	@for shape in "1 1" "4 1" "4 4" "16 1" "28 1"; do set -- $$shape; \
	    $(MAKE) --no-print-directory -s sim P=$$1 T=$$2 DPI=1 || exit 1; done
	@$(BUILD)/calibrate $(ARGS)
