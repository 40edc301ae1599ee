"""Models of labels given images or frames."""
