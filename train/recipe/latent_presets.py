"""The recipes of models that draw from noise."""

from typing import Any

import zoo
from train.data import Data
from train.recipe.recipe import Recipe

_DYNAMIC = Data("mnist", binarise="dynamic")

_PLAYERS: dict[str, Any] = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "momentum": 0.5,
    "eval_every": 1_000,
}
_TABLE: dict[str, Any] = {
    "steps": 2_000,
    "weight_decay": 1.0,
    "clip": 10.0,
    "eval_every": 20,
    "patience": 40,
}

LATENT_RECIPES: dict[str, dict[str, Recipe]] = {
    "vae": {
        "cpu": Recipe(zoo.VAE(), steps=30_000, learning_rate=2e-3, eval_every=2_000),
        "paper": Recipe(
            zoo.CATALOGUE["vae"].paper,
            _DYNAMIC,
            steps=400_000,
            learning_rate=2e-3,
            eval_every=10_000,
            draws=5_000,
        ),
    },
    "iwae": {
        "cpu": Recipe(zoo.VAE(weights=5), steps=15_000, learning_rate=2e-3, eval_every=1_500),
        "paper": Recipe(
            zoo.CATALOGUE["iwae"].paper,
            _DYNAMIC,
            steps=400_000,
            learning_rate=2e-3,
            eval_every=10_000,
            draws=5_000,
        ),
    },
    "gan": {
        "cpu": Recipe(zoo.GAN(hidden=(512, 512), penalty=20.0), **_PLAYERS, steps=8_000),
        "paper": Recipe(zoo.CATALOGUE["gan"].paper, **_PLAYERS, steps=50_000),
    },
    "wgan_gp": {
        "cpu": Recipe(zoo.GAN(hidden=(512, 512), loss="wasserstein"), **_PLAYERS, steps=8_000),
        "paper": Recipe(zoo.CATALOGUE["wgan_gp"].paper, **_PLAYERS, steps=50_000),
    },
    "maf": {
        "cpu": Recipe(zoo.MAF((13,), hidden=(50,)), Data("wine"), **_TABLE, batch_size=24),
        "paper": Recipe(zoo.MAF(), Data("red_wine"), **_TABLE, batch_size=100),
    },
    "autoencoder": {
        "cpu": Recipe(zoo.Autoencoder(), steps=10_000, learning_rate=2e-3),
        "paper": Recipe(zoo.CATALOGUE["autoencoder"].paper, Data("mnist"), steps=100_000),
    },
    "diffusion": {
        "cpu": Recipe(
            zoo.Diffusion(prediction="levels", features=512), steps=10_000, eval_every=1_000
        ),
        "paper": Recipe(
            zoo.CATALOGUE["diffusion"].paper,
            Data("cifar10"),
            steps=800_000,
            batch_size=128,
            learning_rate=2e-4,
            schedule="constant",
            warmup=5_000,
            clip=1.0,
            ema=0.9999,
            eval_every=10_000,
            draws=1_000,
        ),
    },
    "draw_network": {
        "cpu": Recipe(
            zoo.DRAW(glimpses=10),
            steps=2_500,
            learning_rate=2e-3,
            clip=10.0,
            eval_every=500,
            draws=1,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["draw_network"].paper,
            Data("binarized_mnist"),
            steps=200_000,
            momentum=0.5,
            clip=10.0,
            eval_every=5_000,
            draws=1,
        ),
    },
}
