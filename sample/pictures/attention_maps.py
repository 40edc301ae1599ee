"""Pictures of where a model looked."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from zoo.foundation.arguments import array, checked, shown, strings


@checked()
def save_alignment(
    path: str | os.PathLike,
    weights: Float[np.ndarray, "tokens places"],
    written: Sequence[str],
    source: Sequence[str],
) -> Path:
    """Writes a heat map of an alignment to a PNG: a row for each token written, a column for each
      token read.

    Args:
      path: the file.
      weights: of the places, rows sum to 1.
      written: the tokens of the rows.
      source: the tokens of the columns.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: not a row for each token written, or a
      column for each read.
    """
    weights, written, source = (
        array(weights, "weights"),
        strings(written, "written"),
        strings(source, "source"),
    )
    if weights.shape != (len(written), len(source)) or not weights.size:
        raise ValueError(
            f"an alignment of {len(source)} tokens read and {len(written)} written needs weights "
            "of shape "
            f"{[len(written), len(source)]}, none of them 0; got {list(weights.shape)}."
        )
    words = max(map(len, (*written, *source))) > 1
    figure = new_figure(
        figsize=(1.6 + 0.28 * len(source), 1.6 + 0.28 * len(written)), layout="constrained"
    )
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(
        range(len(source)), [_shown(token) for token in source], rotation=90 if words else 0
    )
    axes.set_yticks(range(len(written)), [_shown(token) for token in written])
    axes.set(xlabel="read", ylabel="written")
    figure.colorbar(image, label="weight")
    figure.savefig(path, dpi=120)
    return Path(path)


@checked()
def save_gaze(
    path: str | os.PathLike,
    image: UInt8[np.ndarray, "height width *channels"],
    weights: Float[np.ndarray, "tokens rows columns"],
    written: Sequence[str],
    centres: tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " columns"]],
) -> Path:
    """Writes an image to a PNG once for each token of its caption, bright where the model looked
    when it wrote that.

    Args:
      path: the file.
      image: 0 black, 255 white.
      weights: of the places of the grid, each token's sum to 1.
      written: the tokens.
      centres: the middle of each row and each column of the grid, in pixels.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: not a map of weights for each token.
    """
    weights, written, image = (
        array(weights, "weights"),
        strings(written, "written"),
        array(image, "an image"),
    )
    if weights.ndim != 3 or len(weights) != len(written) or not weights.size:
        raise ValueError(
            f"{len(written)} tokens need as many maps of weights, at least one; got "
            f"{list(weights.shape)}."
        )
    if image.ndim not in (2, 3) or not isinstance(centres, tuple | list) or len(centres) != 2:
        raise ValueError(
            "a picture needs an image [height, width(, 3)] and the centres of its rows and of "
            "its columns, a pair; "
            f"got an image of shape {list(image.shape)} and {shown(centres)}."
        )
    centres = array(centres[0], "centres"), array(centres[1], "centres")
    if [each.shape for each in centres] != [(size,) for size in weights.shape[1:]]:
        raise ValueError(
            f"weights of shape {list(weights.shape)} need as many centres; got "
            f"{list(map(len, centres))}."
        )
    columns = min(7, len(written) + 1)
    rows = -(-(len(written) + 1) // columns)
    figure = new_figure(figsize=(1.5 * columns, 1.7 * rows), layout="constrained")
    height, width = image.shape[:2]
    (top, bottom), (left, right) = (
        _ends(*each) for each in zip(centres, (height, width), strict=True)
    )
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.axis("off")
        if i <= len(written):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        if 0 < i <= len(written):
            where = (left, right, bottom, top)
            axes.imshow(
                weights[i - 1], cmap="hot", alpha=0.6, extent=where, interpolation="bilinear"
            )
            axes.set(xlim=(0, width), ylim=(height, 0))
            axes.set_title(_shown(written[i - 1]), fontsize=9)
    figure.savefig(path, dpi=120)
    return Path(path)


def new_figure(**options: Any) -> Any:
    """A figure of matplotlib that belongs to no window.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "this picture needs matplotlib: pip install 'autoregressive-zoo[plots]'."
        ) from None
    return Figure(**options)


def _ends(centres, size):
    """Where the first of places begins and the last one ends."""
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else size / 2
    return centres[0] - half, centres[-1] + half


def _shown(token):
    """A token as a label: a space that can be seen, no formula."""
    return "␣" if token == " " else token.replace("$", r"\$")
