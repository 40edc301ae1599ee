"""The recipes of models that draw from noise."""

import zoo
from train.data import Data
from train.recipe.recipe import Recipe

_DYNAMIC = Data("mnist", binarise="dynamic")

LATENT_RECIPES: dict[str, dict[str, Recipe]] = {
    "vae": {
        "cpu": Recipe(zoo.VAE(), steps=30_000, learning_rate=2e-3, eval_every=2_000),
        "paper": Recipe(
            zoo.CATALOGUE["vae"].paper, _DYNAMIC, steps=200_000, eval_every=5_000, draws=5_000
        ),
    },
    "iwae": {
        "cpu": Recipe(zoo.VAE(weights=5), steps=15_000, learning_rate=2e-3, eval_every=1_500),
        "paper": Recipe(
            zoo.CATALOGUE["iwae"].paper, _DYNAMIC, steps=200_000, eval_every=5_000, draws=5_000
        ),
    },
    "autoencoder": {
        "cpu": Recipe(zoo.Autoencoder(), steps=10_000, learning_rate=2e-3),
        "paper": Recipe(zoo.CATALOGUE["autoencoder"].paper, Data("mnist"), steps=100_000),
    },
}
