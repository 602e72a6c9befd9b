"""Read Keras 3 models."""
