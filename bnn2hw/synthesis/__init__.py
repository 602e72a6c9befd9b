"""Take a design through Yosys, nextpnr and a packer, and count what they used."""
