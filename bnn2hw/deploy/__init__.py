"""Put a design on a device: bitstream, serial shell and clock, host driver, simulated board, hand-over to AMD's tools."""
