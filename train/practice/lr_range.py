"""The learning-rate range test: the loss after a few updates at rates on a log scale.

L. Smith, Cyclical learning rates for training neural networks, WACV 2017. Here every rate begins
with the same weights and sees the same batches, so that the rates can be compared.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.data import Dataset
from train.engine.prepare import training_batches
from train.practice.short_runs import constant_rate, updates
from train.recipe.recipe import Recipe

LAST = 0.1  # of the updates, at least 5, whose mean loss counts
WARMUP = 0.2  # of the updates, over which the rate rises
SHARE = 0.9  # of the greatest fall of the loss, which the suggested rate reaches
RISEN = 1.5  # times the first loss, from where on a rate is not tried to the end


class Tried(NamedTuple):
    """A rate that was tried.

    Attributes:
      rate: the learning rate.
      loss: mean nats of the last updates; infinite where the loss rose or was no number.
    """

    rate: float
    loss: float


class RangeTest(NamedTuple):
    """What the test found.

    Attributes:
      first: nats before the first update.
      tried: the rates in rising order.
    """

    first: float
    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried:
        """The rate with the lowest loss."""
        return min(self.tried, key=lambda each: each.loss)

    @property
    def suggested(self) -> float | None:
        """The rate to begin with: the lowest at which the loss fell by at least `SHARE` of what it
        fell by at the best rate. None where no rate made the loss fall.

        What is best for a few updates is too high for a long training, which ends in a valley
        that high rates step over.

        Example:
          >>> RangeTest(10.0, (Tried(0.001, 8.0), Tried(0.01, 5.0), Tried(0.1, 4.9))).suggested
          0.01
          >>> RangeTest(10.0, (Tried(0.001, 11.0), Tried(0.01, 12.0))).suggested
        """
        fall = self.first - self.best.loss
        if not fall > 0:
            return None
        return next(each.rate for each in self.tried if self.first - each.loss >= SHARE * fall)

    def __str__(self) -> str:
        """The suggestion in words, with the flag."""
        if self.suggested is None:
            return (
                f"no rate made the loss fall from {self.first:.4g} nats: run the check, or try "
                "other rates by --lowest and --highest."
            )
        rising = [each.rate for each in self.tried if not each.loss < self.first]
        above = [rate for rate in rising if rate > self.best.rate]
        bound = f"; from {above[0]:.2g} on it does not fall" if above else ""
        edges = (self.tried[0].rate, self.tried[-1].rate)
        flags = dict(zip(edges, ("--lowest", "--highest"), strict=True))
        flag = flags.get(self.best.rate)
        edge = f" The best rate is the last one tried: extend the range by {flag}." if flag else ""
        return (
            f"the loss is lowest at {self.best.rate:.2g} ({self.best.loss:.4g} nats){bound}. "
            f"Try --learning-rate {self.suggested:.2g}.{edge}"
        )


def rates_between(lowest: float, highest: float, count: int) -> list[float]:
    """Rates on a log scale, two digits each.

    Raises:
      ValueError: they are no range.

    Example:
      >>> rates_between(1e-4, 1e-2, 5)
      [0.0001, 0.00032, 0.001, 0.0032, 0.01]
    """
    if not 0 < lowest < highest < math.inf:
        raise ValueError(
            f"the rates must rise from above 0: got --lowest {lowest:g} --highest {highest:g}."
        )
    if count < 3:
        raise ValueError(f"--rates must be at least 3; got {count}.")
    return [float(f"{rate:.2g}") for rate in np.geomspace(lowest, highest, count)]


def lr_range(
    recipe: Recipe,
    dataset: Dataset,
    rates: list[float],
    num_updates: int,
    report: Callable[[Tried], None] = lambda tried: None,
) -> RangeTest:
    """Trains for `num_updates` at every rate, each time from the same weights on the same batches.

    Args:
      recipe: the training; its model has the shape of the data.
      dataset: the data as its model reads them.
      rates: in rising order.
      num_updates: at each rate; the rate rises over the first fifth of them.
      report: called with every rate that was tried.
    """
    # Adam's change of the weights is proportional to the rate, so one program at rate 1 serves all.
    at_one = constant_rate(recipe, learning_rate=1.0, steps=num_updates)
    batches = training_batches(at_one, dataset)
    first, tried = math.nan, []
    for rate in rates:
        losses: list[float] = []
        rising = _warm(rate, max(1, round(WARMUP * num_updates)))
        for progress in updates(at_one, dataset, batches, rising):
            losses.append(progress.loss)
            if not progress.loss < RISEN * abs(losses[0]) + 1:
                break
        first = losses[0]
        whole = len(losses) == num_updates and math.isfinite(losses[-1])
        last = losses[-max(5, round(LAST * num_updates)) :]
        tried.append(Tried(rate, float(np.mean(last)) if whole else math.inf))
        report(tried[-1])
    return RangeTest(first, tuple(tried))


def _warm(rate, warmup):
    return lambda step: np.float32(rate * min(1, (step + 1) / warmup))


def picture(test: RangeTest, path: Path) -> None:
    """Draws the loss against the rate to a PNG.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    kept = [each for each in test.tried if math.isfinite(each.loss)]
    axes.plot(*zip(*kept, strict=True), marker="o") if kept else None
    axes.axhline(test.first, color="grey", linestyle=":", label="before training")
    for each in test.tried:
        if not math.isfinite(each.loss):
            axes.axvline(each.rate, color="tab:red", alpha=0.3, label="the loss rose")
    if test.suggested is not None:
        axes.axvline(test.suggested, color="tab:green", label=f"suggested: {test.suggested:.2g}")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys())
    axes.set(xscale="log", xlabel="learning rate", ylabel="nats after a few updates")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
