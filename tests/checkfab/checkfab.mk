# SPDX-License-Identifier: Apache-2.0
# checkfab: every operation x implementation x format x shape class beside the reference of tests/ref.
FAB_SRC := $(wildcard tests/checkfab/*.c tests/ref/*.c) tests/core_rig.c tests/core_scene.c tests/rng.c

$(BUILD)/checkfab: $(FAB_SRC:%.c=$(BUILD)/%.o) $(LIB_OBJ) $(HLS_OBJ)
	$(CC) $(SANFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: checkfab
checkfab: $(BUILD)/checkfab ## Build checkfab: operations x implementations x formats x shapes

.PHONY: checkfab-selftest
checkfab-selftest: $(BUILD)/checkfab ## Wrong bits that checkfab must find
	@tests/checkfab/selftest.sh $(BUILD)/checkfab
