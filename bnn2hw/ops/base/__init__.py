"""Code that several ops share: costs, folds, base classes, and the meaning of channels."""
