"""Sequences of frames with labels: digits that move, digits that change, or your own file.

The context of an example is its frames, uint8 [frames, height, width(, 3)], 0 black and 255 white;
an example is its label [1], or a label for each frame [frames].
"""

import dataclasses
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int

from train.data.dataset import (
    Data,
    DataError,
    Dataset,
    Split,
    content_keys,
    generator,
    take,
    thirds,
)
from train.data.sources.embedded import mnist_1bit

COUNTS = (6_000, 1_000, 1_000)  # sequences for training, validation and test
FRAMES, SIZE, DIGIT = 20, 24, 14  # frames, pixels of a frame, pixels of a digit at half size
SEEN = 0.15  # the share of a digit's pixels that a frame shows


def moving_digits(data: Data) -> Dataset:
    """A digit of the embedded MNIST, at half size, moves on a straight line and bounces off the
    edges; each of 20 frames shows 15 % of its pixels. The label is the digit. Training sequences are
    drawn again whenever they are used, unless `data.train` asks for a few.
    """
    return _made(data, "moving MNIST digits", changes=False)


def changing_digits(data: Data) -> Dataset:
    """The same, but at a random frame another digit takes the place of the first. The label of each
    frame is the digit that it shows.
    """
    return _made(data, "moving MNIST digits that change once, a label for each frame", changes=True)


def frames(data: Data) -> Dataset:
    """Your own sequences: an .npz with `frames`, uint8 [N, frames, height, width(, 3)], and
    `labels` [N] or [N, frames], split 80/10/10 so that equal sequences stay together.
    """
    from zoo.formats.arrays import read_arrays

    if data.path is None:
        raise DataError("frames needs your own data: pass --data.path FILE.npz")
    path = Path(os.path.expanduser(data.path))
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise DataError(str(error)) from None
    if set(arrays) != {"frames", "labels"}:
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected frames and labels"
        )
    x, context = arrays["labels"], arrays["frames"]
    if context.ndim not in (4, 5) or context.dtype != np.uint8 or not context.size:
        raise DataError(
            f"{path}: frames are {context.dtype} {list(context.shape)}; expected uint8 [N, frames, "
            "height, width] or [N, frames, height, width, 3]"
        )
    if x.dtype.kind not in "iu" or x.shape not in (context.shape[:1], context.shape[:2]):
        raise DataError(
            f"{path}: labels are {x.dtype} {list(x.shape)}; expected integers "
            f"{list(context.shape[:1])} or {list(context.shape[:2])}"
        )
    if x.min() < 0 or x.max() >= 2**16:
        raise DataError(f"{path} has labels from {x.min()} to {x.max()}; they are 0..K-1")
    whole = Split(x.reshape(len(x), -1).astype(np.int32), context)
    parts = thirds(content_keys(context), f"{path} holds {len(x)} sequences")
    return _dataset(data, data.name, [take(whole, part) for part in parts], int(x.max()) + 1)


def _made(data, title, changes):
    digits = mnist_1bit(data)
    halves = [_halved(split) for split in (digits.train, digits.valid, digits.test)]
    splits = [
        _sequences(split, count, generator(4, seed), changes)
        for seed, (split, count) in enumerate(zip(halves, COUNTS, strict=True))
    ]
    title = f"{title} ({FRAMES} frames, {SEEN:.0%} of the pixels seen, seeded)"
    dataset = _dataset(data, title, splits, 10)
    if data.train:
        return dataset

    def redraw(random, index):
        """As many new training sequences."""
        return _sequences(halves[0], len(index), random, changes)

    return dataclasses.replace(dataset, redraw=redraw)


def _dataset(data, title, splits, classes):
    text = f"labels of {title}, {classes} classes, test split of {len(splits[2].x):,}"
    train, valid, test = splits
    return Dataset(data.name, text, train, valid, test, num_levels=classes, num_classes=classes)


def _halved(split: Split) -> Split:
    """Digits at half size, a pixel being as bright as the brightest of four."""
    return split._replace(x=split.x.reshape(-1, DIGIT, 2, DIGIT, 2).max((2, 4)))


def _sequences(split: Split, count: int, random: np.random.Generator, changes: bool) -> Split:
    """Sequences of random digits of a split, which are at half size."""
    last = SIZE - DIGIT
    assert split.context is not None
    which = random.integers(len(split.x), size=(count, 2))
    change = random.integers(1, FRAMES, size=count) if changes else np.full(count, FRAMES)
    start = random.integers(last + 1, size=(count, 2))
    speed = random.integers(1, 4, size=(count, 2)) * random.choice([-1, 1], size=(count, 2))
    made = np.zeros((count, FRAMES, SIZE, SIZE), np.uint8)
    rows, side = np.arange(count)[:, None, None], np.arange(DIGIT)
    labels = np.empty((count, FRAMES), np.int32)
    for t in range(FRAMES):
        now = which[np.arange(count), (t >= change).astype(int)]
        corner = reflected(start + speed * t, last)
        down, across = corner[:, 0, None] + side, corner[:, 1, None] + side
        seen = random.random((count, DIGIT, DIGIT), np.float32) < SEEN
        made[rows, t, down[:, :, None], across[:, None, :]] = split.x[now] * seen * np.uint8(255)
        labels[:, t] = split.context[now]
    return Split(labels if changes else labels[:, :1], made)


def reflected(place: Int[np.ndarray, "..."], last: int) -> Int[np.ndarray, "..."]:
    """Places on a line that is folded at 0 and at `last`.

    Example:
      >>> reflected(np.array([-1, 0, 3, 4, 7]), 3).tolist()
      [1, 0, 3, 2, 1]
    """
    turn = place % (2 * last)
    return np.minimum(turn, 2 * last - turn)
