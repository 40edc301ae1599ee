"""Samples as pictures: uint8 images, grids of them, PNG and GIF files."""

import math
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, UInt8

import zoo
from sample.draw import draw
from zoo.arguments import array, checked
from zoo.arrays import cast
from zoo.checks import kind


@checked(num=1)
def images(
    source: str | os.PathLike | tuple[zoo.Autoregressive, zoo.Variables],
    num: int = 64,
    key: Array | None = None,
    **options: Any,
) -> UInt8[np.ndarray, "num height width *channels"]:
    """Draws images, for a notebook.

    Args:
      source: a checkpoint, a run's folder, a model's name, or a pair (model, variables).
      num: how many.
      key: a key, consumed; `jax.random.key(0)` if None.
      **options: as for `draw`: context, prefix, engine, batch_size.

    Returns:
      uint8 [num, height, width], or [num, height, width, 3] in colour, 0 black and 255 white.
    """
    model, variables = zoo.open(source)
    image_shape(model)
    key = jax.random.key(0) if key is None else key
    return as_images(model, draw(model, variables, key, num, **options).x)


@checked()
def as_images(model: zoo.Autoregressive, x: Any) -> UInt8[np.ndarray, "num height width *channels"]:
    """Values of an image model as uint8 images, its levels spread over 0..255.

    Raises:
      ValueError: the model's sites form no image (height, width), its values are no levels, or `x` holds none of them.
    """
    image_shape(model)
    x, bright = cast(array(x, "x"), np.int64, "x"), levels(model)
    event = (*model.site_shape, *model.head.event_shape)
    if x.shape[1:] != event:
        raise ValueError(f"{kind(model)}: x must have shape [num, {', '.join(map(str, event))}]; got {list(x.shape)}.")
    if x.size and not 0 <= x.min() <= x.max() < len(bright):
        raise ValueError(f"{kind(model)} has levels 0..{len(bright) - 1}; got values from {x.min()} to {x.max()}.")
    pixels = bright[x]
    return pixels[..., 0] if pixels.shape[3:] == (1,) else pixels


def image_shape(model: zoo.Autoregressive) -> tuple[int, ...]:
    """(height, width) of the images that a model draws or describes, or (height, width, 3) in colour.

    Raises:
      ValueError: the model's sites form no image, or its values are no levels.
    """
    if model.kind == "captions":
        return tuple(model.image_shape)
    shape = (*model.site_shape, *model.head.event_shape)
    if model.kind != "images":
        raise ValueError(f"{kind(model)} with sites and values of shape {shape} describes no images.")
    return shape[:2] if shape[2:] == (1,) else shape


def levels(model: zoo.Autoregressive) -> UInt8[np.ndarray, " num_values"]:
    """The brightness 0..255 of each level of an image model."""
    num_values = model.head.num_values
    assert num_values is not None, "an image model has levels"
    return (np.arange(num_values) * 255 // (num_values - 1)).astype(np.uint8)


@checked(columns=1, gap=0)
def grid(images: np.ndarray, columns: int | None = None, gap: int = 1) -> UInt8[np.ndarray, "height width *channels"]:
    """Images [num, height, width(, 3)] side by side in rows of `columns` (about square by default)."""
    images = pixels_of(images, "images", 3)
    num, height, width = images.shape[:3]
    columns = columns or math.ceil(math.sqrt(num))
    rows = -(-num // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, *images.shape[3:]), 128, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = image
    return sheet


@checked(scale=1)
def save_png(path: str | os.PathLike, picture: np.ndarray, scale: int = 1) -> Path:
    """Writes a uint8 picture [height, width(, 3)] to a PNG file, every pixel `scale` times as wide and as high."""
    from PIL import Image

    picture = pixels_of(picture, "a picture", 2)
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(picture).save(path, format="PNG")
    return Path(path)


@checked(scale=1, rate=1, pause=0)
def save_gif(path: str | os.PathLike, pictures: np.ndarray, scale: int = 1, rate: int = 12, pause: float = 2.0) -> Path:
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
    frames = (Image.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1)) for picture in pictures)
    durations = [1000 // rate] * (len(pictures) - 1) + [round(1000 * pause)]  # milliseconds
    next(frames).save(path, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0)
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
            f"{name} must hold uint8 of shape [{shape}] or [{shape}, 3], as sample.as_images gives them; "
            f"got {pixels.dtype} of shape {list(pixels.shape)}."
        )
    return pixels
