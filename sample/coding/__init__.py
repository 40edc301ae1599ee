"""Lossless compression by a model's own conditionals."""
