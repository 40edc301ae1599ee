"""`python -m train.lr_range MODEL` tries learning rates on a log scale and suggests one."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from train.cli.options import from_words
from train.engine.prepare import ready
from train.practice.lr_range import lr_range, picture, rates_between
from zoo.cli import called, shell


@dataclasses.dataclass(frozen=True)
class RangeFlags:
    """Which rates are tried."""

    lowest: float = 1e-5
    """The lowest learning rate."""
    highest: float = 1.0
    """The highest learning rate."""
    rates: int = 11
    """How many rates are tried, evenly spaced on a log scale."""
    updates: int = 100
    """How many updates are made at every rate."""
    picture: Path | None = None
    """The file of the picture (default: runs/lr-range/MODEL.png)."""

    def __post_init__(self):
        rates_between(self.lowest, self.highest, self.rates)
        if self.updates < 5:
            raise ValueError(f"--updates must be at least 5; got {self.updates}.")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 1 if the loss falls at no rate."""
    with shell("--picture FILE.png"):
        choice = from_words(called("train.lr_range"), argv, RangeFlags, "Try learning rates of")
        flags = choice.flags
        path = flags.picture or Path("runs") / "lr-range" / f"{choice.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, recipe, dataset = ready(choice.recipe, choice.fixed)
        print(f"{choice.name} on {dataset.description}", file=sys.stderr)
        rates = rates_between(flags.lowest, flags.highest, flags.rates)
        test = lr_range(recipe, dataset, rates, flags.updates, _line)
        print(test)
        try:
            picture(test, path)
            print(f"picture: {path}")
        except ImportError:
            print("no picture: it needs matplotlib (pip install 'autoregressive-zoo[plots]')")
        return int(test.suggested is None)


def _line(tried):
    print(f"rate {tried.rate:<8.2g} {tried.loss:.5g} nats", flush=True)


if __name__ == "__main__":
    sys.exit(main())
