"""Put a design on a device: bitstream, serial shell, clocks, host driver, simulated board, files for AMD tools."""
