"""The command line, one file per group of commands.

Modules of this room import the compiler inside functions, so that `bnn2hw --help` starts at once.
"""
