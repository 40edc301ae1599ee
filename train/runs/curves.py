"""Learning curves as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PANELS: dict[str, dict[str, str | None]] = {
    "nats": {
        "train_nats": "train",
        "valid_nats": "validation (averaged weights)",
        "train_loss": "train (loss)",
        "valid_watched": "validation (averaged weights)",
    },
    "learning rate": {"learning_rate": None},
    "gradient norm": {"gradient_norm": None},
}


def curves(records: list[dict[str, Any]], path: Path) -> None:
    """Draws the metrics of a run to a PNG; see `figure_of`."""
    figure_of(records).savefig(path, dpi=120)


def figure_of(records: list[dict[str, Any]]) -> Any:
    """A matplotlib figure of nats, learning rate and gradient norm, step by step.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    if any("valid_nats" in record for record in records):  # a loss shares no axis with nats
        records = [{k: v for k, v in record.items() if k != "train_loss"} for record in records]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axes, (title, series) in zip(
        figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True
    ):
        for key, label in series.items():
            points = [(record["step"], record[key]) for record in records if key in record]
            if not points:
                continue
            axes.plot(
                *zip(*points, strict=True), label=label, marker="." if len(points) < 50 else None
            )
        without = title == "nats" and any("train_loss" in record for record in records)
        axes.set(title="loss (no likelihood)" if without else title, xlabel="step")
        axes.grid(alpha=0.3)
        if any(series.values()) and axes.lines:
            axes.legend()
    if nats := sorted(
        record[key] for record in records for key in _PANELS["nats"] if key in record
    ):
        low, high = (
            nats[0],
            nats[len(nats) * 9 // 10],
        )  # the first steps would flatten everything after them
        margin = (high - low) / 20 + 0.1
        figure.axes[0].set_ylim(low - margin, high + margin)
    return figure


def compared(rows: Sequence[tuple[str, Sequence[list[dict[str, Any]]]]], path: Path) -> None:
    """Draws the validation of several runs to a PNG: a colour for each row, a line for each run.

    Args:
      rows: the label of each row, and the metrics of each of its runs.
      path: the file.

    Raises:
      ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, seen = figure.subplots(), list[float]()
    for i, (label, runs) in enumerate(rows):
        for number, records in enumerate(runs):
            key = next((k for k in ("valid_nats", "valid_watched") for r in records if k in r), "")
            points = [(record["step"], record[key]) for record in records if key in record]
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            once = label if number == 0 else None  # in the legend
            axes.plot(steps, values, color=f"C{i % 10}", label=once, marker=".", alpha=0.8)
            seen += values
    axes.set(title="validation (averaged weights)", xlabel="step", ylabel="nats or loss")
    axes.grid(alpha=0.3)
    if seen:
        axes.legend()
        low, high = min(seen), sorted(seen)[len(seen) * 9 // 10]
        axes.set_ylim(low - (high - low) / 20 - 0.1, high + (high - low) / 20 + 0.1)
    figure.savefig(path, dpi=120)
