"""Explore designs of one model: a study over rates, bits, targets and styles."""
