"""Grids of images, PNG and GIF files."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from zoo.foundation.arguments import array, checked


@checked(columns=1, gap=0)
def grid(
    images: np.ndarray, columns: int | None = None, gap: int = 1
) -> UInt8[np.ndarray, "height width *channels"]:
    """Images [num, height, width(, 3)] side by side in rows of `columns` (about square by default)."""
    images = pixels_of(images, "images", 3)
    num, height, width = images.shape[:3]
    columns = columns or math.ceil(math.sqrt(num))
    rows = -(-num // columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, *images.shape[3:]),
        128,
        np.uint8,
    )
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = image
    return sheet


@checked(scale=1)
def save_png(path: str | os.PathLike, picture: np.ndarray, scale: int = 1) -> Path:
    """Writes a uint8 picture [height, width(, 3)] to a PNG file, every pixel `scale` times as wide
    and as high.
    """
    from PIL import Image

    picture = pixels_of(picture, "a picture", 2)
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(picture).save(path, format="PNG")
    return Path(path)


@checked(scale=1, rate=1, pause=0)
def save_gif(
    path: str | os.PathLike,
    pictures: np.ndarray,
    scale: int = 1,
    rate: int = 12,
    pause: float = 2.0,
) -> Path:
    """Writes uint8 pictures [frames, height, width(, 3)] to a GIF file that loops for ever.

    Args:
      path: the file.
      pictures: the frames.
      scale: every pixel is this many pixels wide and high.
      rate: frames a second.
      pause: seconds for which the last frame is shown.
    """
    from PIL import Image

    pictures = pixels_of(pictures, "pictures", 3)
    frames = (
        Image.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1)) for picture in pictures
    )
    durations = [1000 // rate] * (len(pictures) - 1) + [round(1000 * pause)]  # milliseconds
    next(frames).save(
        path, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0
    )
    return Path(path)


def pixels_of(values: Any, name: str, axes: int) -> UInt8[np.ndarray, "..."]:
    """Pixels as an array of so many axes, or of one more of 3 colours.

    Raises:
      ValueError: they are none.
    """
    pixels = array(values, name)
    grey = pixels.ndim == axes or (pixels.ndim == axes + 1 and pixels.shape[-1] == 3)
    if not grey or not pixels.size or pixels.dtype != np.uint8:
        shape = ", ".join(["num", "height", "width"][-axes:])
        raise ValueError(
            f"{name} must hold uint8 of shape [{shape}] or [{shape}, 3], as sample.as_images "
            "gives them; "
            f"got {pixels.dtype} of shape {list(pixels.shape)}."
        )
    return pixels
