"""The recipes, by model: `cpu` trains in minutes on a laptop, `paper` follows the publication."""

from typing import Any

import zoo
from train.data import Data
from train.recipe.context_presets import CONTEXT_RECIPES
from train.recipe.latent_presets import LATENT_RECIPES
from train.recipe.recipe import Recipe

_DIGITS = Data("digits")
_WINE = Recipe(
    zoo.RNADE((13,), recurring=True),
    Data("wine"),
    steps=1_000,
    batch_size=20,
    learning_rate=5e-3,
    weight_decay=0.694,  # of tables in general: train/kinds/table.py
    clip=10.0,
    ema=0.995,
    eval_every=25,
    patience=20,
)

_DOCS, _SHAKESPEARE = Data("python_docs"), Data("tiny_shakespeare")


def _text(model: zoo.Generative, data: Data = _DOCS, **changes: Any) -> Recipe:
    """A recipe for characters: gradients are clipped at norm 1, as recurrent networks need."""
    return Recipe(
        model, data, **{"batch_size": 32, "clip": 1.0, "ema": 0.99, "eval_every": 200, **changes}
    )


_SOUND: dict[str, Any] = {
    "batch_size": 4,
    "clip": 1.0,
    "ema": 0.99,
    "eval_every": 500,
    "learning_rate": 2e-3,
}
_SMALL: dict[str, Any] = {
    "features": 32,
    "skip": 64,
    "dilations": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "cycles": 1,
}
_16_BIT: dict[str, Any] = {
    "companding": "linear",
    "head": zoo.DiscretizedLogisticMixture(10, 2**16, 1, -12.0),
}

RECIPES: dict[str, dict[str, Recipe]] = {
    "fvsbn": {
        "cpu": Recipe(zoo.FVSBN(), steps=6_000, learning_rate=2e-3),
        "paper": Recipe(zoo.CATALOGUE["fvsbn"].paper, steps=55_000),
    },
    "pixel_cnn": {
        "cpu": Recipe(
            zoo.PixelCNN(features=24, blocks=4, kernel_size=7, out_features=32),
            steps=9_000,
            batch_size=32,
            learning_rate=3e-3,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["pixel_cnn"].paper, steps=200_000, batch_size=16, learning_rate=5e-4
        ),
    },
    "gated_pixel_cnn": {
        "cpu": Recipe(
            zoo.GatedPixelCNN(features=16, layers=6, kernel_size=5, out_features=32),
            steps=4_000,
            batch_size=32,
            learning_rate=3e-3,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["gated_pixel_cnn"].paper, steps=200_000, batch_size=16, learning_rate=5e-4
        ),
    },
    "row_lstm": {
        "cpu": Recipe(zoo.RowLSTM(layers=3), steps=9_000, batch_size=32, learning_rate=5e-3),
        "paper": Recipe(
            zoo.CATALOGUE["row_lstm"].paper, steps=200_000, batch_size=16, learning_rate=1e-3
        ),
    },
    "diagonal_bilstm": {
        "cpu": Recipe(zoo.DiagonalBiLSTM(layers=2), steps=8_000, batch_size=32, learning_rate=5e-3),
        "paper": Recipe(
            zoo.CATALOGUE["diagonal_bilstm"].paper, steps=200_000, batch_size=16, learning_rate=1e-3
        ),
    },
    "pixel_transformer": {
        "cpu": Recipe(
            zoo.PixelTransformer(
                features=32, layers=2, heads=1, kernel_size=15, attention="strided"
            ),
            steps=5_000,
            batch_size=32,
            learning_rate=6e-3,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["pixel_transformer"].paper,
            steps=400_000,
            batch_size=64,
            learning_rate=1e-3,
        ),
    },
    "pixel_cnn_pp": {
        "cpu": Recipe(
            zoo.PixelCNNpp(features=16, blocks=1, dropout=0.0),
            steps=3_000,
            batch_size=32,
            learning_rate=2e-3,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["pixel_cnn_pp"].paper,
            Data("cifar10"),
            steps=200_000,
            batch_size=64,
            ema=0.9995,
        ),
    },
    "nade": {
        "cpu": Recipe(zoo.NADE(), steps=5_000, learning_rate=4e-3),
        "paper": Recipe(zoo.CATALOGUE["nade"].paper, steps=110_000, learning_rate=2e-3),
    },
    "made": {
        "cpu": Recipe(zoo.MADE(), steps=22_000),
        "paper": Recipe(zoo.CATALOGUE["made"].paper, steps=110_000, patience=30),
    },
    "nade_categorical": {
        "cpu": Recipe(
            zoo.NADE((8, 8), hidden=100, head=zoo.Categorical(17)),
            _DIGITS,
            steps=4_000,
            weight_decay=0.1,
            eval_every=12,
            patience=20,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["nade_categorical"].paper,
            _DIGITS,
            steps=10_000,
            weight_decay=0.1,
            eval_every=12,
            patience=40,
        ),
    },
    "rnade": {
        "cpu": _WINE,
        "paper": Recipe(
            zoo.RNADE((11,), hidden=50, head=zoo.MixtureOfGaussians(20, 0.01)),
            Data("red_wine"),
            steps=2_000,
            learning_rate=1e-2,
            weight_decay=0.1,
            clip=10.0,
            ema=0.995,
            eval_every=24,
            patience=25,
        ),
    },
    "eonade": {  # in random orderings: the raster is no typical one
        "cpu": Recipe(
            zoo.EoNADE(layers=1, num_orderings=8, ordering=zoo.Ordering("random")),
            steps=22_000,
            eval_every=2_000,
        ),
        "paper": Recipe(
            zoo.CATALOGUE["eonade"].paper.clone(ordering=zoo.Ordering("random")),
            steps=200_000,
            batch_size=400,
            learning_rate=2e-3,
            weight_decay=0.15,
            corrected_decay=True,
            eval_every=20_000,
        ),
    },
    "rnn": {
        "cpu": _text(zoo.RNN((64,), layers=1), steps=6_000, learning_rate=1e-3),
        "paper": _text(zoo.RNN((128,)), _SHAKESPEARE, steps=10_000),
    },
    "gru": {
        "cpu": _text(zoo.GRU((64,), layers=1, dropout=0.2), steps=2_000, learning_rate=2e-3),
        "paper": _text(
            zoo.GRU((128,), dropout=0.5), _SHAKESPEARE, steps=10_000, learning_rate=2e-3
        ),
    },
    "lstm": {
        "cpu": _text(zoo.LSTM((64,), layers=1, dropout=0.2), steps=2_000, learning_rate=3e-3),
        "paper": _text(
            zoo.LSTM((128,), dropout=0.5), _SHAKESPEARE, steps=10_000, learning_rate=2e-3
        ),
    },
    "attention_lstm": {
        "cpu": _text(zoo.AttentionLSTM((128,), features=256), steps=1_500, learning_rate=4e-3),
        "paper": _text(
            zoo.CATALOGUE["attention_lstm"].paper, _SHAKESPEARE, steps=10_000, learning_rate=2e-3
        ),
    },
    "transformer": {
        "cpu": _text(
            zoo.Transformer(
                (256,), 128, 4, heads=4, window=128, dropout=0.1
            ),  # longer than the window, as texts are
            steps=3_000,
            batch_size=8,
            learning_rate=2e-3,
        ),
        "paper": _text(
            zoo.CATALOGUE["transformer"].paper,
            _SHAKESPEARE,
            steps=5_000,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.1,
        ),
    },
    "wavenet": {
        "cpu": Recipe(zoo.WaveNet((2000,), **_SMALL), Data("tones"), steps=4_000, **_SOUND),
        "paper": Recipe(
            zoo.CATALOGUE["wavenet"].paper, Data("spoken_digit"), steps=200_000, **_SOUND
        ),
    },
    "wavenet_16bit": {
        "cpu": Recipe(
            zoo.WaveNet((2000,), **_SMALL, **_16_BIT), Data("tones"), steps=4_000, **_SOUND
        ),
        "paper": Recipe(
            zoo.CATALOGUE["wavenet_16bit"].paper, Data("spoken_digit"), steps=200_000, **_SOUND
        ),
    },
    **CONTEXT_RECIPES,
    **LATENT_RECIPES,
}
