"""Predict cycles and resources of a whole graph before any tool runs."""
