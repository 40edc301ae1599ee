"""Engines: a model and a key in, values and their likelihood out."""
