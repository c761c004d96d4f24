rtl/sl_div_ports.sv
tests/rtl/tb_div_ports.sv
