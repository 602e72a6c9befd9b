"""Show people what was compiled."""
