abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_dot.sv
tests/rtl/tb_dot.sv
tests/rtl/tb_dot.c
tests/ref/ref_num.c
tests/ref/ref_slab.c
