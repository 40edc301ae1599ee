"""Transfer learning by how many labels there are: digits 5 to 9, after digits 0 to 4."""

import itertools
from pathlib import Path

import zoo
from train.data import Data
from train.recipe.recipe import Recipe

BEFORE, TASK = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
SIZES, SEEDS = (50, 500, 5_000), (0, 1, 2)
CLASSES = zoo.Categorical(len(TASK))
_CNN = zoo.CNN(head=CLASSES, dropout=0.5, shift=2)

# What is trained first, on digits 0 to 4: a classifier, and a model of the images alone.
PRETRAINED = {
    "cnn": Recipe(
        _CNN, Data(classes=BEFORE), steps=1_500, learning_rate=2e-3, ema=0.99, eval_every=500
    ),
    "made": Recipe(zoo.MADE(), Data(classes=BEFORE), steps=4_000, eval_every=1_000),
}

# Column of the table: (model of the task, what its encoder comes from, the encoder's rate).
METHODS = {
    "from scratch": (_CNN, None, 1.0),
    "fine-tuned": (_CNN, "cnn", 0.1),
    "frozen features": (_CNN, "cnn", 0.0),
    "frozen features of a MADE": (
        zoo.Probe(head=CLASSES, encoder=zoo.MADE(), dropout=0.5),
        "made",
        0.0,
    ),
}


def tasks(folder: Path) -> dict[tuple[str, int, int], Recipe]:
    """The recipe of each (method, number of labels, seed), all of the same length.

    Args:
      folder: where the runs of `PRETRAINED` lie, by name.
    """
    return {
        (method, size, seed): Recipe(
            model,
            Data(classes=TASK, train=size, train_seed=seed),
            encoder=None if source is None else str(folder / source),
            encoder_rate=rate,
            steps=400,
            batch_size=50,
            learning_rate=2e-3,
            ema=0.99,
            eval_every=100,
            seed=seed,
        )
        for (method, (model, source, rate)), size, seed in itertools.product(
            METHODS.items(), SIZES, SEEDS
        )
    }
