"""Recipes: what is trained, on what, how long."""
