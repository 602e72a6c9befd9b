"""What several ops share: timing and cost helpers, matrix-vector units, ops that treat every vector alike."""
