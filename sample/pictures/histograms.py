"""Histograms of scores."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sample.pictures.figures import new_figure
from zoo.foundation.arguments import array, checked


@checked()
def save_histogram(path: str | os.PathLike, groups: Mapping[str, Any], label: str) -> Path:
    """Writes a PNG file with a histogram of each group over the same bins, as shares of the group.

    Args:
      path: the file.
      groups: numbers [N] by the name of their group; those that are not finite are left out.
      label: what the numbers are.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: no group has a finite number.

    Example:
      >>> import sample
      >>> groups = {"test split": [3.0, 3.5, 4.0], "mine": [5.0]}
      >>> sample.save_histogram("scores.png", groups, "bits/dim").name
      'scores.png'
    """
    numbers = {name: array(each, name).astype(np.float64) for name, each in groups.items()}
    finite = {name: each[np.isfinite(each)] for name, each in numbers.items()}
    every = np.concatenate([*finite.values(), np.zeros(0)])
    if not every.size:
        raise ValueError("there is no finite number to draw.")
    edges = np.histogram_bin_edges(every, bins=60)
    figure = new_figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, each in finite.items():
        if each.size:
            weights = np.full(each.size, 1 / each.size)
            axes.hist(each, edges, weights=weights, alpha=0.6, label=f"{name} ({each.size:,})")
    axes.set_xlabel(label)
    axes.set_ylabel("share")
    axes.legend()
    figure.savefig(path, dpi=100, format="png")
    return Path(path)
