"""The same networks in PyTorch, to measure against."""
