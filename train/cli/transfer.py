"""The table of transfer learning: error by method and by how many labels there are."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from train.recipe.recipe import Recipe
from train.recipe.transfer import METHODS, PRETRAINED, SEEDS, SIZES, tasks

Errors = Mapping[tuple[str, int], tuple[float, float]]
"""(mean error in %, its standard error over the seeds) by (method, number of labels)."""


def transfer(train: Callable[[str, Recipe, Path], dict[str, Any]], folder: Path) -> Errors:
    """Trains what the table needs, and what is not there yet.

    Args:
      train: (name of the model, recipe, folder of the run) -> the results of the run.
      folder: where the runs go.
    """
    for name, recipe in PRETRAINED.items():
        train(name, recipe, folder / name)
    errors: dict[tuple[str, int], list[float]] = {}
    for (method, size, seed), recipe in tasks(folder).items():
        name = type(recipe.model).__name__.lower()
        run = folder / f"{method.replace(' ', '_')}-{size}-{seed}"
        errors.setdefault((method, size), []).append(train(name, recipe, run)["error"])
    return {
        cell: (float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(len(each))))
        for cell, each in errors.items()
    }


def table(errors: Errors) -> str:
    """The errors as a table in Markdown, a line for each number of labels."""
    rows = [["labels", *METHODS], ["---"] * (1 + len(METHODS))]
    for size in SIZES:
        cells = [errors[method, size] for method in METHODS]
        rows.append([f"{size:,}", *(f"{mean:.2f} +- {spread:.2f}" for mean, spread in cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(errors: Errors, path: Path) -> None:
    """Writes the errors as curves over the number of labels to a PNG file.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for method in METHODS:
        means, spreads = zip(*(errors[method, size] for size in SIZES), strict=True)
        axes.errorbar(SIZES, means, spreads, marker="o", capsize=3, label=method)
    axes.set(xscale="log", yscale="log", xlabel="labelled digits 5 to 9", ylabel="test error, %")
    axes.set_title(f"transfer from digits 0 to 4, mean of {len(SEEDS)} seeds", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
