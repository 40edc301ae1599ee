"""Pictures of a search: parallel coordinates, and what each field contributes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.practice.search import Outcome
from train.practice.space import Dimension


def parallel(space: Sequence[Dimension], outcomes: Sequence[Outcome], path: Path) -> None:
    """Draws every trial as a line over its values to its nats, dark if good; one that was stopped
    early ends before the nats.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    nats = np.array([each.nats for each in outcomes if not each.stopped])
    low, high = float(nats.min()), float(max(nats.max(), nats.min() + 1e-9))
    figure = Figure(figsize=(1.6 * len(space) + 3, 4), layout="constrained")
    axes = figure.subplots()
    for outcome in sorted(outcomes, key=lambda each: -each.nats):
        places = [each.place(outcome.values[each.name]) for each in space]
        if outcome.stopped:
            axes.plot(range(len(space)), places, color="0.85", zorder=0)
            continue
        share = (outcome.nats - low) / (high - low)
        colour = colormaps["viridis"](share)
        axes.plot(range(len(space) + 1), [*places, share], color=colour, zorder=2 - share)
    for column, each in enumerate(space):
        for place, label in _ticks(each):
            axes.text(column + 0.03, place, label, fontsize=8, zorder=3)
    for place, value in ((0, low), (1, high)):
        axes.text(len(space) + 0.03, place, f"{value:.4g}", fontsize=8)
    names = [each.name for each in space]
    axes.set_xticks(range(len(space) + 1), [*names, "validation nats"], fontsize=8)
    axes.set(yticks=[], xlim=(-0.1, len(space) + 0.4), ylim=(-0.05, 1.05))
    for column in range(len(space) + 1):
        axes.axvline(column, color="black", linewidth=0.8, zorder=1)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.savefig(path, dpi=110)


def importance(shares: Mapping[str, float], path: Path) -> None:
    """Draws how much of the spread of nats each dimension explains, as bars.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 0.5 * len(shares) + 1), layout="constrained")
    axes = figure.subplots()
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names])
    axes.set(xlabel="importance", xlim=(0, None))
    figure.savefig(path, dpi=110)


def _ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """(place, label) of the values to write beside an axis."""
    values: list[Any] = list(dimension.choices) or dimension.grid(4)
    return [
        (dimension.place(value), value if dimension.choices else f"{value:.2g}") for value in values
    ]
