"""Pictures of what a classifier says of images and frames."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from sample.pictures.figures import new_figure
from sample.pictures.glimpse_paths import draw_path
from zoo.foundation.arguments import array, checked, strings

COLUMNS, FRAMES = 5, 8  # images, or frames, side by side


@checked()
def save_labelled(
    path: str | os.PathLike,
    images: UInt8[np.ndarray, "num *axes"],
    titles: list[str],
    right: list[bool] | None = None,
    centres: Float[np.ndarray, "..."] | None = None,
    sides: Sequence[int] = (),
) -> Path:
    """Writes images to a PNG file, each with a title, and with the glimpses that a model took of it;
    of frames a row of some of them.

    Args:
      path: the file.
      images: uint8 [num, height, width(, 3)], or frames [num, frames, height, width(, 3)].
      titles: a text for each.
      right: whether a text is true; what is not is drawn in red.
      centres: (row, column) of each glimpse in pixels, [num, glimpses, 2], as
        `zoo.glimpse_centres` returns them.
      sides: the side of the patch of each scale of a glimpse, in pixels.

    Returns:
      The path.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: there is not a title, or not a path of glimpses, for each image.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> images = np.zeros((2, 8, 8), np.uint8)
      >>> sample.save_labelled("labels.png", images, ["cat (75 %)", "dog"], [True, False]).name
      'labels.png'
    """
    images, titles = array(images, "images"), strings(titles, "titles")
    if len(images) != len(titles) or not titles or not 3 <= images.ndim <= 5:
        raise ValueError(
            f"expected images [num, height, width(, 3)] or frames, and a title for each; got shape "
            f"{list(images.shape)} and {len(titles)} titles."
        )
    if centres is not None and (np.ndim(centres) != 3 or len(centres) != len(images)):
        raise ValueError(
            f"expected centres [{len(images)}, glimpses, 2]; got shape {list(np.shape(centres))}."
        )
    images = images[..., 0] if images.shape[-1] == 1 else images
    films = images.ndim - (images.shape[-1] == 3) == 4
    pictures = [_film(each) for each in images] if films else list(images)
    columns = 1 if films else min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    size = (1.2 * FRAMES, 1.5 * rows) if films else (1.7 * columns, 1.9 * rows)
    figure = new_figure(figsize=size, layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.axis("off")
        if i < len(pictures):
            axes.imshow(pictures[i], cmap="gray", vmin=0, vmax=255)
            colour = "black" if right is None or right[i] else "red"
            axes.set_title(titles[i].replace("$", r"\$"), fontsize=8, color=colour)
            if centres is not None:
                draw_path(axes, np.asarray(centres[i]), sides)
    figure.savefig(path, dpi=120)
    return Path(path)


def _film(frames):
    """Some frames [frames, height, width, ...] side by side, with a grey line between them."""
    chosen = np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int)
    line = np.full((frames.shape[1], 1, *frames.shape[3:]), 128, np.uint8)
    parts = [part for i in chosen for part in (frames[i], line)]
    return np.concatenate(parts[:-1], axis=1)
