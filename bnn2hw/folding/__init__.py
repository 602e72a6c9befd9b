"""Choose how much of each op works in parallel: an exact search over PE, SIMD and pixels per beat."""
