"""The quantized Keras layer set: Larq's names and meanings on Keras 3."""
