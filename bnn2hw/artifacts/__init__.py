"""Keep accelerators on disk: build folders with sources, graph and manifest."""
