abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
tests/rtl/tb_num.sv
tests/rtl/tb_num.c
tests/rtl/num_cases.c
tests/ref/ref_num.c
tests/ref/ref_slab.c
