abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_kv_step.sv
tests/rtl/tb_kv_step.sv
tests/rtl/tb_kv_step.c
tests/ref/ref_num.c
