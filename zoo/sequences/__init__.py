"""Models of sequences: text and sound."""
