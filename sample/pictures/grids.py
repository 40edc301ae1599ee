"""Grids of images; PNG and GIF files."""

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
    """Places images side by side.

    Args:
      images: uint8 [num, height, width] or [num, height, width, 3].
      columns: images per row; by default the grid is about square.
      gap: grey pixels between images.

    Returns:
      uint8 [height, width] or [height, width, 3].

    Raises:
      ValueError: `images` are not uint8 images, or a number is out of range.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sample.grid(np.zeros((3, 2, 2), np.uint8), columns=3, gap=1).shape
      (4, 10)
    """
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
    """Writes a picture to a PNG file.

    Args:
      path: the file.
      picture: uint8 [height, width] or [height, width, 3].
      scale: magnification of every pixel.

    Returns:
      The path.

    Raises:
      ValueError: `picture` is not a uint8 picture, or `scale` is below 1.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sample.save_png("grid.png", np.zeros((4, 4), np.uint8), scale=2).name
      'grid.png'
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
    """Writes an endless animation to a GIF file.

    Args:
      path: the file.
      pictures: uint8 [frames, height, width] or [frames, height, width, 3].
      scale: magnification of every pixel.
      rate: frames per second.
      pause: seconds to show the last frame.

    Returns:
      The path.

    Raises:
      ValueError: `pictures` are not uint8 pictures, or a number is out of range.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sample.save_gif("drawn.gif", np.zeros((3, 4, 4), np.uint8)).name
      'drawn.gif'
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
    """Validates the pixel format: uint8 with `axes` axes, and possibly one more of 3 colours.

    Raises:
      ValueError: the values have another format.
    """
    pixels = array(values, name)
    grey = pixels.ndim == axes or (pixels.ndim == axes + 1 and pixels.shape[-1] == 3)
    if not grey or not pixels.size or pixels.dtype != np.uint8:
        shape = ", ".join(["num", "height", "width"][-axes:])
        raise ValueError(
            f"{name} must hold uint8 of shape [{shape}] or [{shape}, 3], as sample.as_images "
            f"returns them; got {pixels.dtype} of shape {list(pixels.shape)}."
        )
    return pixels
