"""Engines turn a model and a key into values and their likelihood."""
