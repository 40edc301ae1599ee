"""One update of the weights: the loss of a batch and its gradient."""
