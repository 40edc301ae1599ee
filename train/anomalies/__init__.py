"""Outliers by a likelihood: scores, how well they tell, what a run is compared with."""
