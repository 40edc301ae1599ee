"""The user's own images as values of a model."""

import math
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int, Integer

import zoo
from sample.media.pixels import image_shape, levels
from zoo.formats.arrays import cast, check_size, map_array
from zoo.formats.pictures import brightness, picture_files, read_picture
from zoo.foundation.arguments import checked


@checked(num=1)
def read_images(
    model: zoo.Autoregressive, path: str | os.PathLike, num: int | None = None
) -> Int[np.ndarray, "num *sites_and_event"]:
    """Reads images for `model`: a picture file, a folder of them (in order of their names), or an
      .npy.

    What is in a folder beside pictures is left out, as their suffixes say it.

    Pictures have the brightnesses of the model's levels, as the pictures that it draws have (0 and
    255 for bits); any picture will do for a model of 256 levels. Arrays [num, height, width(, 3)]
    hold levels from 0, or such brightnesses.

    Args:
      model: an image model.
      path: the file or folder.
      num: only so many, the first; all of them by default.

    Returns:
      levels [num, *site_shape, *event_shape].

    Raises:
      ValueError: there is nothing to read, or it is of another size, colour or number of levels
        than the model's images.
    """
    path = Path(os.path.expanduser(path))
    x = read_pixels(model, path, num)
    values = _values(model, x, path, pictures=path.suffix != ".npy")
    return values.reshape(-1, *model.site_shape, *model.head.event_shape)


@checked(num=1)
def read_pixels(
    model: zoo.Autoregressive, path: str | os.PathLike, num: int | None = None
) -> Integer[np.ndarray, "num height width *channels"]:
    """The numbers in the same files as they are, of the size of the model's images; errors as for
    `read_images`.
    """
    path = Path(os.path.expanduser(path))
    image_shape(model)
    if not path.exists():
        raise ValueError(
            f"there is nothing at {path}; expected a picture, a folder of pictures or an .npy."
        )
    if path.suffix == ".npy":
        return _array(model, path, num)
    files = picture_files(path)[:num] if path.is_dir() else [path]
    if not files:
        raise ValueError(
            f"{path} holds no pictures; expected files with the suffix of one, such as .png or "
            ".jpg."
        )
    check_size(len(files) * math.prod(image_shape(model)), path)
    return np.stack([_picture(model, file) for file in files])


def _picture(model, path):
    mode, pixels = read_picture(path)
    _check_shape(model, pixels.shape, path)
    return brightness(mode, pixels)


def _array(model, path, num):
    x = map_array(path)
    if x.dtype != bool and x.dtype.kind not in "iu":
        raise ValueError(f"{path} holds {x.dtype}; expected levels, integers from 0.")
    x = x[None] if x.ndim == 2 or x.shape == image_shape(model) else x
    if not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))) or not x.size:
        raise ValueError(
            f"{path} has the shape {list(x.shape)}; expected [num, height, width] or [num, "
            "height, width, 3]."
        )
    x = x[..., 0] if x.shape[3:] == (1,) else x
    _check_shape(model, x.shape[1:], path)
    check_size(8 * x[:num].size, path)
    return cast(x[:num], np.int64, path)


def _check_shape(model, got, path):
    wanted = image_shape(model)
    if tuple(got) != wanted:
        kinds = ["colour" if shape[2:] else "grey" for shape in (wanted, got)]
        expected, found = (f"{shape[0]}x{shape[1]}" for shape in (wanted, got))
        if kinds[0] != kinds[1]:
            expected, found = f"{expected} {kinds[0]}", f"{found} {kinds[1]}"
        raise ValueError(
            f"the checkpoint describes {expected} images (height x width), {path} has {found}."
        )


def _values(model, x, path, pictures):
    """Levels, from levels or from their brightnesses; a picture holds brightnesses if it can."""
    bright, found = levels(model), np.unique(x)
    as_levels = found[0] >= 0 and found[-1] < len(bright)
    if np.isin(found, bright).all() and (pictures or not as_levels):
        return np.searchsorted(bright, x)
    if as_levels:
        return cast(x, np.int64, path)
    head = type(model.head).__name__
    raise ValueError(
        f"{path} has {len(found)} levels from {found[0]} to {found[-1]}, but the checkpoint's "
        f"{head} head has "
        f"{len(bright)}: 0..{len(bright) - 1}, or in a picture their brightnesses, {_list(bright)}."
    )


def _list(bright):
    return (
        ", ".join(map(str, bright))
        if len(bright) <= 4
        else f"{bright[0]}, {bright[1]}, ..., {bright[-1]}"
    )
