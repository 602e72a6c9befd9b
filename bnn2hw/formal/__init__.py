"""Proofs: properties of generated hardware that a model checker shows for all inputs and all stalls."""

SECONDS = 10
"""Processor time for the proof of a property, unless another is asked for; as much again may give a bound."""
