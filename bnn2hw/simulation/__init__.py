"""Run a design and compare every stream with golden: Verilator for Verilog, a C simulation for HLS."""
