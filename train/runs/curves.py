"""Learning curves as a picture."""

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
