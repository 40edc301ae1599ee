"""The rows of docs/results.md: what is trained on what, and the published number."""

import dataclasses
from typing import Literal

import zoo
from train.data import Data
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe

FIXED, DYNAMIC = Data("binarized_mnist"), Data("mnist", binarise="dynamic")


RED_WINE = Data("red_wine")


CENTRED = zoo.Bernoulli(centre=0.13)  # about the mean of a pixel of MNIST


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: what is trained on what, and the number that was published.

    Attributes:
      name: of the recipe that it starts from.
      recipes: what is trained: one recipe, or one for each fold.
      unit: of the numbers; "nats" of a split or "% error", lower is better.
      published: the number in the paper, in that unit; None where there is none.
      number: which number of results.json is the row's.
      after: the row whose run is trained first, and whose weights this one starts from.
    """

    name: str
    recipes: tuple[Recipe, ...]
    published: float | None
    unit: str = "nats"
    number: Literal["nats", "nats_standardised", "ensemble", "error"] = "nats"
    after: str | None = None

    @property
    def target(self) -> str:
        """The published number, as the table prints it."""
        return "-" if self.published is None else f"{self.at_most}{self.published:.2f}"

    @property
    def at_most(self) -> str:
        """What stands before the numbers of a row: <= of a model that knows a bound only."""
        return "<= " if self.recipes[0].model.knows == "bound" else ""


def _row(name, data, published, number="nats", preset="paper", after=None, **changes):
    recipe = dataclasses.replace(RECIPES[name][preset], data=data, **changes)
    unit = "% error" if number == "error" else "nats"
    if recipe.model.knows == "bound":
        draws = "1 draw" if recipe.draws == 1 else f"{recipe.draws:,} draws"
        unit = f"nats (bound, {draws})"
    return Row(name, (recipe,), published, unit, number, after)


ROWS: dict[str, Row] = {
    "fvsbn": _row(
        "fvsbn",
        FIXED,
        97.45,
        model=zoo.FVSBN(head=CENTRED, ordering=zoo.Ordering("random", seed=1)),
        steps=20_000,
    ),
    "nade": _row(
        "nade", FIXED, 88.33, steps=15_000, learning_rate=4e-3
    ),  # long enough to overfit; the best is kept
    "made": _row(
        "made",
        FIXED,
        88.40,
        model=zoo.MADE(hidden=(8000,), head=CENTRED),
        steps=9_000,
        weight_decay=0.1,
        patience=0,
    ),
    "made_2x4000": _row(
        "made",
        FIXED,
        86.64,
        "ensemble",
        model=zoo.MADE(hidden=(4000, 4000), head=CENTRED, num_masks=4, num_orderings=4),
        steps=24_000,
        weight_decay=0.1,
        ema=0.9998,
        validate_ensemble=True,
        calibrate=True,
        patience=3,
        eval_every=1000,
    ),
    "eonade": _row("eonade", FIXED, 85.10, "ensemble"),
    "nade_dynamic": _row("nade", DYNAMIC, 84.0, steps=40_000, learning_rate=4e-3),
    "made_dynamic": _row(
        "made",
        DYNAMIC,
        83.8,
        model=zoo.MADE(hidden=(8000,)),
        steps=25_000,
        batch_size=200,
        learning_rate=1.5e-3,
        weight_decay=0.02,
        patience=0,
        eval_every=1000,
    ),
    "gated_pixel_cnn_dynamic": _row(
        "gated_pixel_cnn",
        DYNAMIC,
        81.5,
        steps=43_032,
        batch_size=64,
        learning_rate=1e-3,
        eval_every=5000,
    ),
    "pixel_cnn_pp_dynamic": _row(
        "pixel_cnn_pp",
        DYNAMIC,
        78.2,
        preset="cpu",
        model=zoo.PixelCNNpp(features=24, blocks=1, dropout=0.0),
        steps=9_000,
        eval_every=1_000,
    ),  # a CPU's size
    "pixel_cnn_pp_dynamic_twice": _row(
        "pixel_cnn_pp",
        DYNAMIC,
        78.2,
        preset="cpu",
        after="pixel_cnn_pp_dynamic",
        model=zoo.PixelCNNpp(features=24, blocks=1, dropout=0.0),
        steps=9_000,
        learning_rate=1.5e-3,
        eval_every=1_000,
    ),  # goes on from the row above, with a rate that falls once more
    "nade_categorical": _row("nade_categorical", Data("digits"), None, preset="cpu"),
    "rnade": Row(
        "rnade",
        tuple(
            dataclasses.replace(RECIPES["rnade"]["paper"], data=Data("red_wine", fold=k))
            for k in range(10)
        ),
        9.36,
        "nats of the standardised columns, mean over 10 folds",
        "nats_standardised",
    ),
    "maf": Row(
        "maf",
        tuple(
            dataclasses.replace(RECIPES["maf"]["paper"], data=Data("red_wine", fold=k))
            for k in range(10)
        ),
        None,
        "nats of the standardised columns, mean over 10 folds",
        "nats_standardised",
    ),
    "ram": _row("ram", Data("mnist"), 1.12, "error"),
    "ram_translated": _row(
        "ram",
        Data("translated", digits="mnist"),
        1.22,
        "error",
        model=zoo.RAM(image_shape=(60, 60), glimpse_size=12, scales=3),
    ),
    "vae": _row("vae", DYNAMIC, 86.76),
    "iwae_5": _row("iwae", DYNAMIC, 85.54, model=zoo.VAE(weights=5)),
    "iwae_50": _row(
        "iwae",
        DYNAMIC,
        84.78,
        after="iwae_5",
        model=zoo.VAE(weights=50, resample=True),
        steps=60_000,
        learning_rate=1e-3,
        eval_every=5_000,
    ),  # goes on from 5 weights
    "diffusion_grey": _row(
        "diffusion",
        Data("mnist"),
        None,
        preset="cpu",
        model=zoo.Diffusion(
            denoiser="unet",
            features=16,
            blocks=1,
            loss="simple",
            head=zoo.DiscretizedLogisticMixture(1, 256, 1),
        ),
        steps=3_000,
        batch_size=64,
        eval_every=1_500,
        checkpoint_every=250,
        draws=10,
    ),
    "draw_network": _row(
        "draw_network", FIXED, 87.40, preset="cpu", steps=12_000, eval_every=1_000
    ),  # the paper's 64 steps, here 10
    "draw_network_attention": _row("draw_network", FIXED, 80.97),
}
