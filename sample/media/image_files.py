"""Reads image files as values of a model: levels, or brightnesses that become levels."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

import zoo
from sample.media.pixel_files import Loaded, load_pixels, stream_pixels
from sample.media.pixels import levels
from zoo.formats.arrays import cast
from zoo.foundation.arguments import checked

Binarise = Literal["none", "dynamic", "threshold"]


@checked(num=1)
def read_images(
    model: zoo.Generative, path: str | os.PathLike, num: int | None = None
) -> Int[np.ndarray, "num *sites_and_event"]:
    """Reads images for `model` from a picture file, a folder of pictures (sorted by name) or an
    .npy file.

    Files in a folder that have no suffix of a picture are skipped. Pictures must have the
    brightnesses of the model's levels, as its own samples have (0 and 255 for bits); a model with
    256 levels accepts any picture. Arrays [num, height, width(, 3)] hold levels from 0, or such
    brightnesses.

    Args:
      model: an image model.
      path: the file or folder.
      num: reads only the first `num` images; all by default.

    Returns:
      Levels [num, *site_shape, *event_shape].

    Raises:
      ValueError: there is nothing to read, or the images differ from the model's in size, colour
        or number of levels.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> path = sample.save_png("0.png", np.eye(4, dtype=np.uint8) * 255)
      >>> sample.read_images(zoo.NADE((4, 4)), path)[0].tolist()
      [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    return load_images(model, path, num, fit=False).x


def load_images(
    model: zoo.Generative,
    path: str | os.PathLike,
    num: int | None = None,
    fit: bool = True,
    binarise: Binarise = "none",
    seed: int = 0,
) -> Loaded:
    """What `read_images` returns, of pictures that are fitted to the model, and what was done to
    them.

    Args:
      model: an image model.
      path: a picture file, a folder of pictures or an .npy.
      num: reads only the first `num` images; all by default.
      fit: whether pictures are resized, turned into grey or colour and requantised.
      binarise: dynamic makes bits with probability grey/255, threshold of greys above 127.
      seed: of the dynamic bits.

    Raises:
      ValueError: as for `read_images`.

    Example:
      >>> import sample, zoo
      >>> path = sample.save_png("0.png", np.full((8, 6), 200, np.uint8))
      >>> x, said = load_images(zoo.NADE((1, 2)), path, binarise="threshold")
      >>> x.tolist(), said
      ([[[1, 1]]], '1 of 1 resized to 1x2, the middle of each, binarised (threshold)')
    """
    path = Path(os.path.expanduser(path))
    x, said = load_pixels(model, path, num, fit)
    found = np.unique(x)
    if binarise != "none":
        random = np.random.Generator(np.random.Philox(seed))
        x, how = _binarised(model, x, found, path, binarise, random), f"binarised ({binarise})"
    else:
        # An .npy of real numbers says how these were read, and was not made to fit.
        made = {"greys": bool(said), "requantise": fit} if path.suffix != ".npy" else {}
        x, how = _values(model, x, found, path, **made)
    return Loaded(_shaped(model, x), ", ".join(filter(None, (said, how))))


def stream_images(
    model: zoo.Generative,
    path: str | os.PathLike,
    size: int,
    binarise: Binarise = "none",
    fit: bool = False,
) -> Iterator[tuple[list[str], Int[np.ndarray, "size *sites_and_event"]]]:
    """Reads the same files as `read_images`, `size` images at a time: a file may be larger than
    memory. They are read twice, as all of them decide whether numbers are levels or brightnesses.
    `fit` resizes pictures, and turns them into grey or colour and into the model's levels.

    Yields:
      (names of the images, levels [size, *site_shape, *event_shape]); the last are perhaps fewer.

    Raises:
      ValueError: as for `read_images`.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> np.save("x.npy", np.zeros((5, 2, 3), np.uint8))
      >>> [x.shape for _, x in stream_images(zoo.NADE((2, 3)), "x.npy", 4)]
      [(4, 2, 3), (1, 2, 3)]
    """
    path = Path(os.path.expanduser(path))
    found = np.zeros(0, np.int64)
    if fit and path.suffix == ".npy":
        raise ValueError(f"--fit is for pictures, and {path} holds an array: drop it.")
    for _, pixels in stream_pixels(model, path, size, fit):
        found = np.union1d(found, pixels)
        if len(found) > 2**16:
            raise ValueError(f"{path} has more than {2**16:,} levels; expected those of the model.")
    random = np.random.Generator(np.random.Philox(0))
    for names, pixels in stream_pixels(model, path, size, fit):
        if binarise == "none":
            x, _ = _values(model, pixels, found, path, greys=fit, requantise=fit)
        else:
            x = _binarised(model, pixels, found, path, binarise, random)
        yield names, _shaped(model, x)


def _shaped(model, x):
    return x.reshape(-1, *model.site_shape, *model.head.event_shape)


def _values(model, x, found, path, greys=False, requantise=False):
    """Levels or brightnesses as levels, by the numbers that were `found` in all images, and what was
    done to them; a picture means brightnesses where both fit, and nothing else if it was made to fit
    (`greys`).
    """
    bright, pictures = levels(model), path.suffix != ".npy"
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


def _binarised(model, grey, found, path, how, random):
    """Greys 0..255 as bits."""
    if len(levels(model)) != 2:
        raise ValueError(
            f"--binarise is for models of 2 levels, and this one has {len(levels(model))}: drop it."
        )
    if path.suffix == ".npy" and found[-1] < 2:
        raise ValueError(f"{path} has 2 levels already: drop --binarise.")
    if found[0] < 0 or found[-1] > 255:
        raise ValueError(f"{path} has greys from {found[0]} to {found[-1]}; expected 0..255.")
    if how == "threshold":
        return (grey > 127).astype(np.int64)
    uniform = random.integers(255, size=grey.shape)
    return (uniform < grey).astype(np.int64)  # of 0..254, below grey with probability grey/255


def _list(bright):
    return (
        ", ".join(map(str, bright))
        if len(bright) <= 4
        else f"{bright[0]}, {bright[1]}, ..., {bright[-1]}"
    )
