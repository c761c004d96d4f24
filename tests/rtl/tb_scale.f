abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_scale.sv
tests/rtl/tb_scale.sv
tests/rtl/num_cases.c
tests/ref/ref_num.c
