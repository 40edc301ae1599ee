"""Training: recipes, data, the update step, the loop and the evaluation."""
