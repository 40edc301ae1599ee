"""Reads the pixels of image files for a model, perhaps resized, in grey or in colour."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, Shaped

import zoo
from sample.media.pixels import image_shape
from zoo.formats.arrays import as_pixels, cast, check_size, map_array
from zoo.formats.pictures import brightness, fit_picture, picture_files, read_picture
from zoo.foundation.arguments import checked

FIT = ", or add --fit (in Python fit=True), which does it for pictures"


class Loaded(NamedTuple):
    """Images from files.

    Attributes:
      x: pixels or values, [num, ...].
      said: what was done to the pictures, in words; "" if nothing was.
    """

    x: Integer[np.ndarray, "num *shape"]
    said: str


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
    return load_pixels(model, path, num, fit=False).x


def load_pixels(
    model: zoo.Generative, path: str | os.PathLike, num: int | None = None, fit: bool = True
) -> Loaded:
    """The pixels of the first `num` images of a file or folder, and what was done to them.

    Args:
      model: a model of images, of captions or of labels.
      path: a picture file, a folder of pictures or an .npy.
      num: reads only the first `num` images; all by default.
      fit: whether pictures are resized and turned into grey or colour as the model needs them; if
        not, others are refused.

    Raises:
      ValueError: as for `read_images`.

    Example:
      >>> import sample, zoo
      >>> path = sample.save_png("0.png", np.full((8, 6), 7, np.uint8))
      >>> x, said = load_pixels(zoo.NADE((2, 2)), path)
      >>> x.tolist(), said
      ([[[7, 7], [7, 7]]], '1 of 1 resized to 2x2, the middle of each')
    """
    path = Path(os.path.expanduser(path))
    files = _files(model, path)[:num]
    if not files:
        x, said = _mapped(model, path)
        check_size(8 * x[:num].size, path)
        return Loaded(cast(x[:num], np.int64, path), said)
    check_size(len(files) * math.prod(image_shape(model)), path)
    read = [_picture(model, file, fit) for file in files]
    return Loaded(np.stack([pixels for pixels, _ in read]), _said(model, [was for _, was in read]))


def stream_pixels(
    model: zoo.Generative, path: Path, size: int, fit: bool = False
) -> Iterator[tuple[list[str], Integer[np.ndarray, "size height width *channels"]]]:
    """Names and pixels of the images that `read_pixels` reads, `size` at a time; an .npy of integers
    stays in its file. `fit` resizes pictures and turns them into grey or colour.
    """
    files = _files(model, path)
    x = np.zeros(0) if files else _mapped(model, path)[0]
    for start in range(0, len(files) or len(x), size):
        part = slice(start, start + size)
        if files:
            names = [file.name for file in files[part]]
            yield names, np.stack([_picture(model, file, fit, FIT)[0] for file in files[part]])
        else:
            pixels = cast(x[part], np.int64, path)
            yield [str(i) for i in range(start, start + len(pixels))], pixels


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


def _picture(model, path, fit, otherwise=""):
    """The pixels of a picture file, and the shape that it has there; a message says what else than
    resizing it helps.
    """
    mode, pixels = read_picture(path)
    was, wanted = pixels.shape, image_shape(model)
    if fit:
        mode, pixels = fit_picture(mode, pixels, wanted[:2], len(wanted) == 3)
    _check_shape(model, pixels.shape, path, otherwise)
    return brightness(mode, pixels), was


def _said(model, shapes):
    """What `_picture` did to pictures of these shapes, in words."""
    wanted = image_shape(model)
    resized = sum(shape[:2] != wanted[:2] for shape in shapes)
    recoloured = sum(len(shape) != len(wanted) for shape in shapes)
    size, colour = f"{wanted[0]}x{wanted[1]}", "colour" if wanted[2:] else "grey"
    parts = {f"resized to {size}, the middle of each": resized, f"turned into {colour}": recoloured}
    return ", ".join(f"{n} of {len(shapes)} {what}" for what, n in parts.items() if n)


def _mapped(model: zoo.Generative, path: Path) -> tuple[Shaped[np.ndarray, "num ..."], str]:
    """Images of an .npy, which stay in the file until they are used if they are integers, and how
    real numbers are read.
    """
    x, said = map_array(path), ""
    if not x.size:
        raise ValueError(f"{path} is empty: its shape is {list(x.shape)}.")
    x = x[None] if x.ndim == 2 or x.shape == image_shape(model) else x
    if not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))):
        raise ValueError(
            f"{path} has the shape {list(x.shape)}; expected [num, height, width] or [num, "
            "height, width, 3]."
        )
    x = x[..., 0] if x.shape[3:] == (1,) else x
    _check_shape(model, x.shape[1:], path)
    if x.dtype.kind == "f":  # all of them decide what the numbers mean
        check_size(8 * x.size, path)
        arrays, said = as_pixels({"images": x}, path)
        x = arrays["images"]
    return x, said


def _check_shape(model, got, path, otherwise=""):
    wanted = image_shape(model)
    if tuple(got) != wanted:
        kinds = ["colour" if shape[2:] else "grey" for shape in (wanted, got)]
        expected, found = (f"{shape[0]}x{shape[1]}" for shape in (wanted, got))
        if kinds[0] != kinds[1]:
            expected, found = f"{expected} {kinds[0]}", f"{found} {kinds[1]}"
        raise ValueError(
            f"the checkpoint describes {expected} images (height x width), {path} has {found}: "
            f"make them {expected}{otherwise}."
        )
