"""Reads image files as values of a model."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Integer

import zoo
from sample.media.pixels import image_shape, levels
from zoo.formats.arrays import cast, check_size, map_array
from zoo.formats.pictures import brightness, picture_files, read_picture
from zoo.foundation.arguments import checked


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
    path = Path(os.path.expanduser(path))
    x = read_pixels(model, path, num)
    return _values(model, x, np.unique(x), path)


def stream_images(
    model: zoo.Generative, path: str | os.PathLike, size: int
) -> Iterator[tuple[list[str], Int[np.ndarray, "size *sites_and_event"]]]:
    """Reads the same files as `read_images`, `size` images at a time: a file may be larger than
    memory. They are read twice, as all of them decide whether numbers are levels or brightnesses.

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
    for _, pixels in _stream_pixels(model, path, size):
        found = np.union1d(found, pixels)
        if len(found) > 2**16:
            raise ValueError(f"{path} has more than {2**16:,} levels; expected those of the model.")
    for names, pixels in _stream_pixels(model, path, size):
        yield names, _values(model, pixels, found, path)


def _stream_pixels(model, path, size):
    """Names and pixels of a picture, a folder or an .npy, `size` images at a time."""
    files = _files(model, path)
    x = np.zeros(0) if files else _mapped(model, path)
    for start in range(0, len(files) or len(x), size):
        part = slice(start, start + size)
        if files:
            names = [file.name for file in files[part]]
            yield names, np.stack([_picture(model, file) for file in files[part]])
        else:
            pixels = cast(x[part], np.int64, path)
            yield [str(i) for i in range(start, start + len(pixels))], pixels


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


@checked(num=1)
def read_pixels(
    model: zoo.Generative, path: str | os.PathLike, num: int | None = None
) -> Integer[np.ndarray, "num height width *channels"]:
    """Reads the same files as `read_images`, but returns the pixels unchanged.

    Args:
      model: a model of images or of captions; its image size is checked.
      path: the file or folder.
      num: reads only the first `num` images; all by default.

    Returns:
      Integers [num, height, width] or [num, height, width, 3].

    Raises:
      ValueError: as for `read_images`.

    Example:
      >>> import numpy as np
      >>> import sample, zoo
      >>> path = sample.save_png("0.png", np.full((4, 4), 7, np.uint8))
      >>> sample.read_pixels(zoo.NADE((4, 4)), path)[0, 0].tolist()
      [7, 7, 7, 7]
    """
    path = Path(os.path.expanduser(path))
    files = _files(model, path)[:num]
    if not files:
        x = _mapped(model, path)[:num]
        check_size(8 * x.size, path)
        return cast(x, np.int64, path)
    check_size(len(files) * math.prod(image_shape(model)), path)
    return np.stack([_picture(model, file) for file in files])


def _files(model, path):
    """The files of pictures at a path; none of an .npy."""
    image_shape(model)
    if not path.exists():
        raise ValueError(
            f"there is nothing at {path}; expected a picture, a folder of pictures or an .npy."
        )
    if path.suffix == ".npy":
        return []
    files = picture_files(path) if path.is_dir() else [path]
    if not files:
        raise ValueError(
            f"{path} holds no pictures; expected files with a suffix such as .png or .jpg."
        )
    return files


def _picture(model, path):
    mode, pixels = read_picture(path)
    _check_shape(model, pixels.shape, path)
    return brightness(mode, pixels)


def _mapped(model, path):
    """Images of an .npy, which stay in the file until they are used."""
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
    return x


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


def _values(model, x, found, path):
    """Converts levels or brightnesses to levels, by the numbers that were `found` in all images; a
    picture means brightnesses where both fit.
    """
    bright, shape = levels(model), (-1, *model.site_shape, *model.head.event_shape)
    as_levels = found[0] >= 0 and found[-1] < len(bright)
    if np.isin(found, bright).all() and (path.suffix != ".npy" or not as_levels):
        return np.searchsorted(bright, x).reshape(shape)
    if as_levels:
        return cast(x, np.int64, path).reshape(shape)
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
