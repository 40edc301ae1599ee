"""Scores: the surprise of sites, metrics of texts."""
