"""Reads image files as a model needs them: resized, in grey or colour, binarised or requantised."""

import math
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Integer

from sample.media.pixels import image_shape, levels
from zoo.formats.arrays import as_pixels, cast, check_size, map_array
from zoo.formats.pictures import brightness, fit_picture, picture_files, read_picture

Binarise = Literal["none", "dynamic", "threshold"]


class Loaded(NamedTuple):
    """Images from files.

    Attributes:
      x: pixels or values, [num, ...].
      said: what was done to the pictures, in words; "" if nothing was.
    """

    x: Integer[np.ndarray, "num *shape"]
    said: str


def load_images(
    model: Any,
    path: str | os.PathLike,
    num: int | None = None,
    fit: bool = True,
    binarise: Binarise = "none",
    seed: int = 0,
) -> Loaded:
    """What `read_images` returns, of pictures that are fitted to the model, and what was done to
    them.
    """
    path = Path(os.path.expanduser(path))
    x, said = load_pixels(model, path, num, fit)
    pictures = path.suffix != ".npy"
    if binarise != "none":
        x, how = _binarised(model, x, path, pictures, binarise, seed), f"binarised ({binarise})"
    else:
        greys = {"greys": bool(said), "requantise": fit} if pictures else {}
        x, how = _values(model, x, path, pictures, **greys)
    said = ", ".join(filter(None, (said, how)))
    return Loaded(x.reshape(-1, *model.site_shape, *model.head.event_shape), said)


def load_pixels(
    model: Any, path: str | os.PathLike, num: int | None = None, fit: bool = True
) -> Loaded:
    """What `read_pixels` returns, of pictures that are fitted, and what was done to them."""
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
            f"{path} holds no pictures; expected files with a suffix such as .png or .jpg."
        )
    check_size(len(files) * math.prod(image_shape(model)), path)
    read = [_picture(model, file, fit) for file in files]
    return Loaded(np.stack([pixels for pixels, _ in read]), _said(model, [was for _, was in read]))


def _picture(model, path, fit):
    """The pixels of a picture, and the shape that it had in its file."""
    mode, pixels = read_picture(path)
    was, wanted = pixels.shape, image_shape(model)
    if fit:
        mode, pixels = fit_picture(mode, pixels, wanted[:2], len(wanted) == 3)
    _check_shape(model, pixels.shape, path)
    return brightness(mode, pixels), was


def _said(model, shapes):
    """What `_picture` did to pictures of these shapes, in words."""
    wanted = image_shape(model)
    resized = sum(shape[:2] != wanted[:2] for shape in shapes)
    recoloured = sum(len(shape) != len(wanted) for shape in shapes)
    size, colour = f"{wanted[0]}x{wanted[1]}", "colour" if wanted[2:] else "grey"
    parts = {f"resized to {size}, the middle of each": resized, f"turned into {colour}": recoloured}
    return ", ".join(f"{n} of {len(shapes)} {what}" for what, n in parts.items() if n)


def _array(model, path, num):
    x, said = map_array(path), ""
    x = x[None] if x.ndim == 2 or x.shape == image_shape(model) else x
    if not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))) or not x.size:
        raise ValueError(
            f"{path} has the shape {list(x.shape)}; expected [num, height, width] or [num, "
            "height, width, 3]."
        )
    x = x[..., 0] if x.shape[3:] == (1,) else x
    _check_shape(model, x.shape[1:], path)
    check_size(8 * x[:num].size, path)
    if x.dtype.kind == "f":
        arrays, said = as_pixels({"images": x}, path)  # all of them decide what the numbers mean
        x = arrays["images"]
    return Loaded(cast(x[:num], np.int64, path), said)


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


def _values(model, x, path, pictures, greys=False, requantise=False):
    """Levels or brightnesses as levels, and what was done to them; a picture means brightnesses
    where both fit, and nothing else if it was made to fit (`greys`).
    """
    bright, found = levels(model), np.unique(x)
    as_levels = found[0] >= 0 and found[-1] < len(bright)
    if np.isin(found, bright).all() and (pictures or not as_levels):
        return np.searchsorted(bright, x), ""
    if as_levels and not greys:
        return cast(x, np.int64, path), ""
    if requantise and len(bright) > 2:
        return x.astype(np.int64) * len(bright) // 256, f"requantised to {len(bright)} levels"
    head = type(model.head).__name__
    binarise = "; --binarise threshold or dynamic makes bits of greys" if len(bright) == 2 else ""
    raise ValueError(
        f"{path} has {len(found)} levels from {found[0]} to {found[-1]}, but the checkpoint's "
        f"{head} head has "
        f"{len(bright)}: 0..{len(bright) - 1}, or in a picture their brightnesses, "
        f"{_list(bright)}{binarise}."
    )


def _binarised(model, grey, path, pictures, how, seed):
    """Greys 0..255 as bits."""
    if len(levels(model)) != 2:
        raise ValueError(
            f"--binarise is for models of 2 levels, and this one has {len(levels(model))}: drop it."
        )
    if not pictures and grey.max() < 2:
        raise ValueError(f"{path} has 2 levels already: drop --binarise.")
    if grey.min() < 0 or grey.max() > 255:
        raise ValueError(f"{path} has greys from {grey.min()} to {grey.max()}; expected 0..255.")
    if how == "threshold":
        return (grey > 127).astype(np.int64)
    uniform = np.random.Generator(np.random.Philox(seed)).integers(255, size=grey.shape)
    return (uniform < grey).astype(np.int64)  # of 0..254, below grey with probability grey/255


def _list(bright):
    return (
        ", ".join(map(str, bright))
        if len(bright) <= 4
        else f"{bright[0]}, {bright[1]}, ..., {bright[-1]}"
    )
