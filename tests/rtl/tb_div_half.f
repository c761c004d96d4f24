rtl/sl_div_half.sv
tests/rtl/tb_div_half.sv
tests/rtl/tb_div_half.c
tests/ref/ref_num.c
