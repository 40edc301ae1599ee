"""Reads which pixels of an image are known."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from zoo.formats.pictures import brightness, read_picture


def read_mask(path: str | os.PathLike, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The white pixels of a picture of black and white ones: those that are known.

    Raises:
      ValueError: there is no picture of that size (height, width), or it is all black or all white,
        or has other colours.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> path = sample.save_png("mask.png", np.array([[0, 255]], np.uint8))
      >>> read_mask(path, (1, 2)).tolist()
      [[False, True]]
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise ValueError(
            f"there is no mask {path}; expected a picture, white where pixels are known."
        )
    pixels = brightness(*read_picture(path))
    if pixels.shape[:2] != tuple(size):
        raise ValueError(
            f"the mask {path} has {pixels.shape[0]}x{pixels.shape[1]} pixels; expected those of the "
            f"model, {size[0]}x{size[1]} (height x width)."
        )
    if not np.isin(pixels, (0, 255)).all():
        raise ValueError(
            f"the mask {path} must be black and white (known) only; it has other colours."
        )
    white = (pixels == 255).reshape(*size, -1).all(-1)
    if white.all() or not white.any():
        what = "white, so nothing is left to draw" if white.all() else "black, so nothing is known"
        raise ValueError(f"the mask {path} is all {what}: paint some pixels in the other colour.")
    return white
