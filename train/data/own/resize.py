"""Images in another size, or in grey, as the user chose."""

import dataclasses

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import Data, DataError, Dataset, Split
from train.data.quantise import brightness
from zoo.formats.pictures import fit_picture


def target(data: Data) -> tuple[int, int] | None:
    """(height, width) that --data.size asks for; None: the images keep their size.

    Raises:
      DataError: no image has that size.
    """
    if not data.size:
        return None
    if len(data.size) > 2 or min(data.size) < 1 or max(data.size) > 4096:
        said = " ".join(map(str, data.size))
        raise DataError(f"--data.size is one side, or height and width, of 1..4096; got {said}")
    return data.size[0], data.size[-1]


def asked(data: Data) -> bool:
    """Whether images shall be changed in size or colour."""
    return bool(data.size) or data.grey


def resized(
    x: UInt8[np.ndarray, "N height width *channels"], data: Data
) -> UInt8[np.ndarray, "N *shape"]:
    """Images of 256 greys or colours in the size and colour that `data` asks for."""
    mode, size, colour = "RGB" if x.ndim == 4 else "L", target(data), False if data.grey else None
    if (size is None or x.shape[1:3] == size) and (colour is None or mode == "L"):
        return x
    return np.stack([fit_picture(mode, image, size, colour)[1] for image in x])


def fitted(dataset: Dataset, data: Data) -> Dataset:
    """A data set with its images in the size and colour that `data` asks for; they then have 256
    levels.
    """
    shape, levels = dataset.train.x.shape[1:], dataset.num_levels
    size = target(data)
    grows = size is not None and shape[:2] != size
    if not grows and not (data.grey and shape[2:]):
        return dataset

    assert levels is not None, "images have levels"

    def function(split: Split) -> Split:
        return split._replace(x=resized(brightness(split.x, levels), data))

    what = f"resized to {size[0]}x{size[1]}" if grows and size else "in grey"
    return dataclasses.replace(
        dataset.map(function), num_levels=256, description=f"{dataset.description}, {what}"
    )
