"""From a model to a graph in real form."""
