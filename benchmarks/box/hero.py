"""`python -m benchmarks.box.hero`: the picture of README: test digits beside draws of the best model in
the box, both with their nats.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

import sample
import zoo
from sample.media.pixels import as_images
from sample.pictures.figures import new_figure
from train.engine.run_folder import load_data
from train.runs.folder import Run
from zoo.cli import called, command
from zoo.core.model_files import find_run
from zoo.foundation.packages import BOX

COLUMNS = 8
DATA = "mnist_1bit"


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws test images beside draws of a model, with their nats."""

    run: Annotated[str | None, tyro.conf.Positional] = None
    """A run of a model of images; by default the one in the box with the fewest nats of the test
    digits that come with the project.
    """
    out: Path = Path("docs/samples.png")
    """The PNG file."""
    num: int = 48
    """How many of each."""
    seed: int = 0
    """Seed of the draws, the first ones of their key."""


def best(box: Path = BOX) -> str:
    """The exact model of images in the box with the fewest test nats, of those that were tested on the
    digits that come with the project: nats of other data cannot be compared with them.

    Raises:
      ValueError: the box has none with numbers.
    """
    found = {}
    for path in box.glob("*/results.json"):
        results = json.loads(path.read_text("utf-8"))
        _, recipe = Run(path.parent).name_and_recipe()
        here = results["unit"] == "example" and recipe.data.name == DATA
        if here and results.get("knows") == "exact":
            found[path.parent] = results["nats"]
    if not found:
        raise ValueError(f"{box} has no model of images with test numbers: name a run.")
    return str(min(found, key=lambda folder: found[folder]))


def draw_figure(options: Options) -> str:
    """Writes the picture; returns the line to print."""
    run = Run(find_run(options.run or best()).parent)
    name, recipe = run.name_and_recipe()
    model, variables = zoo.load(run.model)
    test = load_data(run, recipe).test.x[: options.num]
    drawn = sample.draw(model, variables, jax.random.key(options.seed), options.num)
    sides = []
    for x, what in ((test, "test images"), (drawn.x, f"draws of {name}")):
        nats = -np.asarray(zoo.log_prob(model, variables, x), np.float64)
        error = nats.std(ddof=1) / np.sqrt(len(nats))
        sides.append((x, f"{len(x)} {what}: {nats.mean():.1f} +- {error:.1f} nats"))
    figure = new_figure(figsize=(9, 3.9), layout="constrained")
    for axes, (x, caption) in zip(figure.subplots(1, 2), sides, strict=True):
        sheet = sample.grid(as_images(model, x), columns=COLUMNS)
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(caption, y=-0.08, fontsize=11)
    figure.savefig(options.out, dpi=110, format="png")
    return f"{' beside '.join(caption for _, caption in sides)}: {options.out}"


def main(options: Options) -> None:
    """Draws the picture."""
    if options.num < 2:
        raise ValueError(f"--num must be at least 2; got {options.num}.")
    print(draw_figure(options))


if __name__ == "__main__":
    command(main, Options, called("benchmarks.box.hero"), "--out FILE")
