"""Training: recipes, data, the update step, the loop and the evaluation."""

import train.kinds
