"""`python -m benchmarks.families RUN RUN ...`: the same images by every family of models.

For each run: what its model knows of log p(x), its number, how long it took to train and to draw, and
a row of its samples in one picture. Runs of one data set belong together.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jaxtyping import UInt8

import sample
import zoo
from sample.media.pixels import as_images
from sample.pictures.figures import new_figure
from train.engine.report import duration
from train.engine.run_folder import load_data
from train.runs.folder import Run
from zoo.cli import called, command
from zoo.core.model_files import find_run

ACROSS = 12  # samples in a row of the picture
WORDS = {"exact": "exact", "bound": "bound", "none": "none"}


@dataclasses.dataclass(frozen=True)
class Options:
    """A table and a picture of runs of different families."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Run folders, or names of models: their newest runs."""
    out: Path = Path("docs/families.png")
    """The picture."""
    num: int = 1_000
    """How many images are drawn, with the clock running."""


@dataclasses.dataclass(frozen=True)
class Family:
    """One run: the lines of the table, and what is shown.

    Attributes:
      name: of the run's folder.
      model: the class of its model.
      knows: exact, bound or none.
      number: what its results say, in words.
      trained: how long the training took, and on what.
      drawing: seconds for so many images, without compilation.
      images: the first of them.
    """

    name: str
    model: str
    knows: str
    number: str
    trained: str
    drawing: float
    images: UInt8[np.ndarray, "n h w ..."]


def family_of(word: str, num: int) -> tuple[Family, Any]:
    """A run as a family, and its data set.

    Raises:
      ValueError: the run is not finished, or its model draws no images.
    """
    run = Run(find_run(word).parent)
    _, recipe = run.name_and_recipe()
    model, variables = zoo.load(run.model)
    if model.kind != "images":
        raise ValueError(
            f"{run.folder}: {type(model).__name__} describes {model.kind}, not images."
        )
    if not run.results.exists():
        raise ValueError(f"{run.folder} is not finished: continue it by --resume first.")
    results = json.loads(run.results.read_text(encoding="utf-8"))
    dataset = load_data(run, recipe)
    context = None if dataset.test.context is None else np.arange(num) % model.num_classes

    def draw():
        drawn = sample.draw(model, variables, jax.random.key(0), num, context=context)
        return np.asarray(jax.block_until_ready(drawn.x))

    draw()
    began = time.perf_counter()
    x = draw()
    seconds = time.perf_counter() - began
    family = Family(
        run.folder.name,
        type(model).__name__,
        WORDS[model.knows],
        number_of(results),
        f"{duration(results['seconds'])} ({results['hardware']})",
        seconds,
        as_images(model, x)[:ACROSS],
    )
    return family, dataset


def number_of(results: dict[str, Any]) -> str:
    """The number of results.json in words.

    Example:
      >>> number_of({"knows": "bound", "nats": 95.8, "standard_error": 0.3, "draws": 5000})
      '<= 95.80 +- 0.30 nats (bound, 5,000 draws)'
    """
    knows = results.get("knows", "exact")
    if knows == "none":
        return f"no likelihood; {results['watched_name']} {results['watched']:.4g}"
    nats = f"{results['nats']:.2f} +- {results['standard_error']:.2f} nats"
    return nats if knows == "exact" else f"<= {nats} (bound, {results['draws']:,} draws)"


def table(families: list[Family], num: int) -> str:
    """The families as a table in Markdown."""
    head = f"| run | model | knows | test | seconds to draw {num:,} | training |"
    rows = [
        f"| {each.name} | {each.model} | {each.knows} | {each.number} | {each.drawing:.3g} | "
        f"{each.trained} |"
        for each in families
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def picture(families: list[Family], data: UInt8[np.ndarray, "n h w ..."], path: Path) -> None:
    """A row of images for each family, and one of the data above them."""
    rows = [("test images", data[:ACROSS])] + [
        (f"{each.name}\n{each.knows}", each.images) for each in families
    ]
    figure = new_figure(figsize=(ACROSS * 0.75 + 2, len(rows) * 0.8))
    all_axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (label, images) in zip(all_axes, rows, strict=True):
        edge = [(1, 1), (1, 1), (0, 0)][: images.ndim - 1]
        strip = np.concatenate([np.pad(each, edge) for each in images], axis=1)
        axes.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main(options: Options) -> None:
    """Prints the table and writes the picture."""
    if not options.runs:
        raise ValueError("name at least one run.")
    found = [family_of(word, options.num) for word in options.runs]
    families, datasets = [each for each, _ in found], [dataset for _, dataset in found]
    if len(names := {dataset.name for dataset in datasets}) > 1:
        raise ValueError(
            f"the runs are of different data, {' and '.join(sorted(names))}: name runs of one."
        )
    model, _ = zoo.open(options.runs[0])
    picture(families, as_images(model, datasets[0].test.x[:ACROSS]), options.out)
    print(table(families, options.num))
    print(f"picture: {options.out}")


if __name__ == "__main__":
    command(main, Options, called("benchmarks.families"), "--out FILE")
