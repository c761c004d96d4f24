abi/gen/sl_abi_pkg.sv
rtl/gen/sl_table_pkg.sv
rtl/sl_num_pkg.sv
rtl/sl_scale.sv
rtl/boards/sl_uart.sv
rtl/boards/sl_row_engine.sv
rtl/boards/sl_ice40_row.sv
