"""The recipes, by model: `cpu` trains in minutes on a laptop, `paper` follows the publication."""

import zoo
from train.recipe import Recipe

RECIPES: dict[str, dict[str, Recipe]] = {
    "fvsbn": {
        "cpu": Recipe(zoo.FVSBN(), steps=11_000, learning_rate=2e-3),
        "paper": Recipe(zoo.CATALOGUE["fvsbn"].paper, steps=55_000),
    },
    "nade": {
        "cpu": Recipe(zoo.NADE(), steps=7_000, learning_rate=4e-3),
        "paper": Recipe(zoo.CATALOGUE["nade"].paper, steps=110_000, learning_rate=2e-3),
    },
    "made": {
        "cpu": Recipe(zoo.MADE(), steps=15_000),
        "paper": Recipe(zoo.CATALOGUE["made"].paper, steps=110_000, patience=30),
    },
}
