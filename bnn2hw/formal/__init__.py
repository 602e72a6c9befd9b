"""Proofs: properties of generated hardware that a model checker shows for all inputs and all stalls."""
