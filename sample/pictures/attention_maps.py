"""Pictures of attention weights."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from sample.pictures.figures import new_figure
from zoo.foundation.arguments import array, checked, shown, strings

COLOUR = (1.0, 0.35, 0.1)  # of attention on a picture
DIM = 0.6  # how bright the picture is below it


@checked()
def save_alignment(
    path: str | os.PathLike,
    weights: Float[np.ndarray, "tokens places"],
    written: Sequence[str],
    source: Sequence[str],
) -> Path:
    """Writes a heat map of an alignment to a PNG file: one row per output token, one column per
    source token.

    Args:
      path: the file.
      weights: attention weights [tokens, source tokens]; rows sum to 1.
      written: the output tokens, one per row.
      source: the source tokens, one per column.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the weights have another shape.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> weights, written, source = np.eye(2), ["le", "chat"], ["the", "cat"]
      >>> sample.save_alignment("alignment.png", weights, written, source).name
      'alignment.png'
    """
    weights, written, source = (
        array(weights, "weights"),
        strings(written, "written"),
        strings(source, "source"),
    )
    if weights.shape != (len(written), len(source)) or not weights.size:
        raise ValueError(
            f"an alignment of {len(source)} tokens read and {len(written)} written needs weights "
            f"of shape {[len(written), len(source)]}, none of them 0; got {list(weights.shape)}."
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
    """Writes an image to a PNG file, and again for each token of its caption: dimmed, with the
    attention weights of that token in colour, the largest of them framed and stated.

    Args:
      path: the file.
      image: uint8 [height, width] or [height, width, 3]; 0 is black, 255 white.
      weights: attention weights [tokens, rows, columns] over the grid, summing to 1 per token.
      written: the tokens of the caption.
      centres: the centre of each row and each column of the grid, in pixels.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: image, weights, tokens and centres do not fit together.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> image, weights = np.zeros((8, 8), np.uint8), np.full((1, 2, 2), 0.25)
      >>> centres = np.array([2.0, 6.0]), np.array([2.0, 6.0])
      >>> sample.save_gaze("gaze.png", image, weights, ["cat"], centres).name
      'gaze.png'
    """
    weights, written, image = (
        array(weights, "weights"),
        strings(written, "written"),
        array(image, "an image"),
    )
    if weights.ndim != 3 or len(weights) != len(written) or not weights.size:
        raise ValueError(
            f"weights must have shape {[len(written), 'rows', 'columns']}, one map per token; got "
            f"{list(weights.shape)}."
        )
    if image.ndim not in (2, 3) or not isinstance(centres, tuple | list) or len(centres) != 2:
        raise ValueError(
            "expected an image [height, width(, 3)] and centres, a pair of arrays for rows and "
            f"columns; got an image of shape {list(image.shape)} and {shown(centres)}."
        )
    centres = array(centres[0], "centres"), array(centres[1], "centres")
    if [each.shape for each in centres] != [(size,) for size in weights.shape[1:]]:
        raise ValueError(
            f"weights of shape {list(weights.shape)} need {list(weights.shape[1:])} centres of rows "
            f"and columns; got {list(map(len, centres))}."
        )
    columns = min(5, len(written) + 1)
    rows = -(-(len(written) + 1) // columns)
    figure = new_figure(figsize=(2.2 * columns, 2.5 * rows), layout="constrained")
    height, width = image.shape[:2]
    (top, bottom), (left, right) = (
        _ends(*each) for each in zip(centres, (height, width), strict=True)
    )
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.axis("off")
        if i <= len(written):
            pixels = image if i == 0 else (DIM * image).astype(np.uint8)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        if 0 < i <= len(written):
            layer, where = _layer(weights[i - 1]), (left, right, bottom, top)
            axes.imshow(layer, extent=where, interpolation="bilinear")
            axes.add_patch(_frame(weights[i - 1], where))
            axes.set(xlim=(0, width), ylim=(height, 0))
            axes.set_title(f"{_shown(written[i - 1])}  {weights[i - 1].max():.2f}", fontsize=12)
    figure.savefig(path, dpi=120)
    return Path(path)


def _layer(weights):
    """Returns weights [rows, columns] as a coloured layer, the clearer the smaller they are."""
    layer = np.empty((*weights.shape, 4))
    layer[..., :3] = COLOUR
    layer[..., 3] = 0.75 * weights / max(float(weights.max()), 1e-12)
    return layer


def _frame(weights, where):
    """Returns the frame of the cell with the largest weight."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = where
    high, wide = ((bottom - top) / len(weights), (right - left) / weights.shape[1])
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    corner = left + column * wide, top + row * high
    return Rectangle(corner, wide, high, fill=False, edgecolor="white", linewidth=1)


def _ends(centres, size):
    """Returns the edges of a row of equal cells, given their centres and the size of the image."""
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else size / 2
    return centres[0] - half, centres[-1] + half


def _shown(token):
    """Returns a token as a label: spaces are visible, `$` starts no formula."""
    return "␣" if token == " " else token.replace("$", r"\$")
