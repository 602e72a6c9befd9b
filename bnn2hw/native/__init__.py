"""Run a network as compiled C++ on this processor: bit-packed, exact, the fast way to values."""
