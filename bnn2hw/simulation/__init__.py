"""Run a design and compare every stream with golden: Verilog in Verilator, HLS as a C++ program."""
