"""Show people what a compiled model is: as text, and as an HTML page."""
