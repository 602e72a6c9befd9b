"""Connect folded ops: width converters, FIFOs and their depths."""
