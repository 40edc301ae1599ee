"""Scores: surprise of sites, metrics of texts."""
