"""Put a design on a device: bitstreams, the serial shell, host drivers, files for AMD's tools."""
