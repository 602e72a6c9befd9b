"""Take a design through Yosys, nextpnr and a packer, and count the cells that it takes."""
