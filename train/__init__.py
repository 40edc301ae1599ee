"""Training: recipes, data, the update step, the loop and the evaluation."""

from pathlib import Path

import train.kinds
from train.data import Data, DataError
from train.engine.figures import Evaluation
from train.engine.fitting import Fitted, evaluate, fit
from train.engine.loop import NonFiniteError
from train.recipe.recipe import Recipe
from train.runs.history import History

__all__ = [
    "Data",
    "DataError",
    "Evaluation",
    "Fitted",
    "History",
    "NonFiniteError",
    "Recipe",
    "evaluate",
    "fit",
]

# `python -m train.NAME` runs train/commands/NAME.py.
__path__.append(str(Path(__file__).parent / "commands"))
