"""The version of bnn2hw, in a module that every room may import."""

VERSION = "0.1.0"
