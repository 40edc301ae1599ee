"""The same networks in PyTorch, for comparison."""
