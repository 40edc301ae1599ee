"""Pictures of where a model looked."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float


def save_alignment(
    path: str | os.PathLike, weights: Float[np.ndarray, "tokens places"], written: Sequence[str], source: Sequence[str]
) -> Path:
    """Writes a heat map of an alignment to a PNG: a row for each token written, a column for each token read.

    Args:
      path: the file.
      weights: of the places, rows sum to 1.
      written: the tokens of the rows.
      source: the tokens of the columns.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: not a row for each token written, or a column for each read.
    """
    if weights.shape != (len(written), len(source)) or not weights.size:
        raise ValueError(
            f"an alignment of {len(source)} tokens read and {len(written)} written needs weights of shape "
            f"{[len(written), len(source)]}, none of them 0; got {list(weights.shape)}."
        )
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("this picture needs matplotlib: pip install 'autoregressive-zoo[plots]'.") from None

    words = max(map(len, (*written, *source))) > 1
    figure = Figure(figsize=(1.6 + 0.28 * len(source), 1.6 + 0.28 * len(written)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), [_shown(token) for token in source], rotation=90 if words else 0)
    axes.set_yticks(range(len(written)), [_shown(token) for token in written])
    axes.set(xlabel="read", ylabel="written")
    figure.colorbar(image, label="weight")
    figure.savefig(path, dpi=120)
    return Path(path)


def _shown(token):
    """A token that matplotlib's own font can show."""
    return "␣" if token == " " else token.replace("$", r"\$") if token.isascii() or len(token) > 1 else token
