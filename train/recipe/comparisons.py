"""The comparisons of docs/practice.md: one training with snapshots against independent trainings."""

import dataclasses

import zoo
from train.data import Data
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is trained for a comparison.

    Attributes:
      name: of the model.
      recipe: of one run; the others have other seeds, fewer steps or cycles.
      count: how many cycles, and how many runs of other seeds.
    """

    name: str
    recipe: Recipe
    count: int = 5


COMPARISONS: dict[str, Comparison] = {
    "snapshots": Comparison(
        "made", dataclasses.replace(RECIPES["made"]["cpu"], steps=2_000, eval_every=200)
    ),
    "snapshots_digits": Comparison(
        "made",
        Recipe(
            zoo.MADE((8, 8), hidden=(200,), head=zoo.Categorical(17)),
            Data("digits"),
            steps=2_000,
            learning_rate=3e-3,
            ema=0.99,
            eval_every=50,
        ),
    ),
    "snapshots_cnn": Comparison(
        "cnn", dataclasses.replace(RECIPES["cnn"]["cpu"], steps=500, eval_every=100)
    ),
}
