"""From a streamed graph to sources."""
