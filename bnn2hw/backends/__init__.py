"""From a streamed graph to sources."""

from bnn2hw.backends import hls, verilog

BACKENDS = {"verilog": verilog.render, "hls": hls.render}
"""By name, the function that renders a streamed graph; it also takes `summary` and `device`."""

__all__ = ["BACKENDS"]
