"""Small changes of sources, and whether the tests find them."""
