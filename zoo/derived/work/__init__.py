"""The plan at work: buffers, the functions of a decoder, and prompts read in one pass."""
