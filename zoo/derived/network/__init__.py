"""A network as a graph, windows of its arrays, and from which rank on each entry is known."""
