rtl/gen/sl_table_pkg.sv
rtl/sl_exp_neg.sv
tests/rtl/tb_exp_neg.sv
tests/rtl/tb_exp_neg.c
tests/ref/ref_num.c
