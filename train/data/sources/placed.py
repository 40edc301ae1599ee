"""Digits at random places of a larger image, alone or between pieces of other digits.

Each image of the validation and test splits is a function of the split and its index. A training
digit gets a new place, and new clutter, every time it is used.
"""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8

from train.data.dataset import Data, DataError, Dataset, Split, generator
from train.data.sources.embedded import mnist_1bit
from train.data.sources.standard import standard

PIECE = 8  # pixels of a side of a piece of clutter
CHUNK = 1_000  # images that are made at once


def translated(data: Data) -> Dataset:
    """A digit at a random place of an empty image of data.canvas x data.canvas pixels.

    Source: V. Mnih et al., Recurrent models of visual attention, NeurIPS 2014.
    """
    return _placed(data, 0)


def cluttered(data: Data) -> Dataset:
    """The same, with `data.clutter` pieces of 8x8 pixels, cut out of other digits of the split.

    A pixel that is covered several times has the greatest of the values.
    """
    if data.clutter < 1:
        raise DataError(
            f"cluttered: --data.clutter must be at least 1; got {data.clutter}: without clutter "
            "take --data.name translated"
        )
    return _placed(data, data.clutter)


def _placed(data: Data, pieces: int) -> Dataset:
    source = dataclasses.replace(data, name=data.digits)
    digits = mnist_1bit(source) if data.digits == "mnist_1bit" else standard(source)
    side, canvas = digits.train.x.shape[1], data.canvas
    if not side <= canvas <= 1024:
        raise DataError(
            f"{data.name}: --data.canvas must be from {side}, the side of a digit, to 1024 pixels; "
            f"got {canvas}"
        )
    train, valid, test = (
        _made(split, canvas, pieces, number)
        for number, split in enumerate((digits.train, digits.valid, digits.test))
    )
    clutter = f", {pieces} pieces of clutter" if pieces else ""
    description = (
        f"{digits.description}, each digit at a random place of {canvas}x{canvas} pixels{clutter} "
        "(training: new places in every epoch)"
    )
    labels = train.context
    assert labels is not None, "digits have labels"

    def redraw(random, index):
        """The training examples at `index`, at new places."""
        return Split(place(digits.train.x, index, canvas, pieces, random), labels[index])

    return Dataset(
        data.name, description, train, valid, test, digits.num_levels, digits.num_classes,
        redraw=redraw,
    )  # fmt: skip


def _made(split: Split, canvas: int, pieces: int, number: int) -> Split:
    """All examples of a split; those of chunk i are a function of (number of the split, i)."""
    x = np.empty((len(split.x), canvas, canvas), np.uint8)
    for i, start in enumerate(range(0, len(x), CHUNK)):
        index = np.arange(start, min(start + CHUNK, len(x)))
        x[index] = place(split.x, index, canvas, pieces, generator(number, i))
    return Split(x, split.context)


def place(
    digits: UInt8[np.ndarray, "N side side"],
    index: Int[np.ndarray, " batch"],
    canvas: int,
    pieces: int,
    random: np.random.Generator,
) -> UInt8[np.ndarray, "batch canvas canvas"]:
    """The digits at `index`, each at a random place of an image, between pieces of random digits.

    Example:
      >>> import numpy as np
      >>> digits = np.ones((3, 2, 2), np.uint8)
      >>> images = place(digits, np.array([0, 2]), 5, 0, np.random.default_rng(0))
      >>> images.shape, images.sum((1, 2)).tolist()
      ((2, 5, 5), [4, 4])
    """
    count, side = len(index), digits.shape[1]
    images = np.zeros((count, canvas, canvas), np.uint8)
    _paste(images, digits[index], random.integers(canvas - side + 1, size=(count, 2)))
    piece = min(PIECE, side)
    for _ in range(pieces):
        others = digits[random.integers(len(digits), size=count)]
        cuts = _windows(random.integers(side - piece + 1, size=(count, 2)), piece)
        corners = random.integers(canvas - piece + 1, size=(count, 2))
        _paste(images, others[cuts], corners)
    return images


def _paste(images, patches, corners):
    """Puts patch i into image i with its upper left corner (row, column) at corners[i]."""
    where = _windows(corners, patches.shape[1])
    images[where] = np.maximum(images[where], patches)


def _windows(corners, side):
    """The index of a window of every image: arrays that broadcast to [batch, side, side]."""
    rows, columns = (corners[:, axis, None] + np.arange(side) for axis in range(2))
    return np.arange(len(corners))[:, None, None], rows[:, :, None], columns[:, None, :]
