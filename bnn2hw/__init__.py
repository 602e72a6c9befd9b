"""From a binarized neural network in Keras to a verified FPGA accelerator, bit for bit."""

__version__ = "0.1.0"
