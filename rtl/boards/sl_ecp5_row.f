abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_scale.sv
rtl/boards/sl_uart.sv
rtl/sl_dot.sv
rtl/boards/sl_row_wide.sv
rtl/boards/sl_ecp5_row.sv
