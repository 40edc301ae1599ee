"""The cards of the weights in the box, and the picture of README."""
