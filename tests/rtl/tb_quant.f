abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_quant.sv
tests/rtl/tb_quant.sv
tests/rtl/tb_quant.c
tests/rtl/num_cases.c
tests/ref/ref_num.c
