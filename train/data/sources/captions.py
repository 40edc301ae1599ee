"""Images and what they show, in words: scenes of digits, single digits, or your own folder with
captions.tsv.

An example is a caption with its end, int32 [longest caption], filled up with padding (token 0); the
context is its image, uint8 [height, width(, 3)], 0 black and 255 white.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from train.data.dataset import (
    Data,
    DataError,
    Dataset,
    Split,
    content_keys,
    generator,
    shared,
    split_off,
    thirds,
    whole_pairs,
)
from train.data.grouping import frequent_note
from train.data.own.image_folders import read_files
from train.data.sources.embedded import mnist_1bit
from train.data.sources.translations import chosen, code

TRAINED, HELD_OUT = 60_000, 2_000  # scenes
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACES = ("top left", "top right", "bottom left", "bottom right")
DIGIT, SIZE = 28, 64  # pixels
SPLITS = ("train", "valid", "test")


class Scenes(NamedTuple):
    """Images, their captions, and the upper left corner (row, column) of every digit in the order
    of the caption, or -1.
    """

    images: UInt8[np.ndarray, "N height width"]
    captions: list[str]
    corners: Int32[np.ndarray, "N digits 2"]


def scenes(data: Data) -> Dataset:
    """Scenes of 1 to 4 digits of the embedded MNIST, at most one in each quarter; a caption such as
    "two at top left, one at bottom right" names all of them row by row. Training scenes are made of
    training digits only, and so on; seeded.
    """
    digits = mnist_1bit(data)
    splits = (digits.train, digits.valid, digits.test)
    made = [
        _scenes(split, count, seed)
        for seed, (split, count) in enumerate(
            zip(splits, (TRAINED, HELD_OUT, HELD_OUT), strict=True)
        )
    ]
    images, captions, corners = zip(*made, strict=True)
    names = [f"scene {i}" for i in range(len(images[2]))]
    return _dataset(
        data, "scenes of 1 to 4 MNIST digits (1 bit, seeded)", images, captions, names, corners[2]
    )


def digit_words(data: Data) -> Dataset:
    """Single digits of the embedded MNIST and their names: the task on which an encoder of images
    learns what digits are.
    """
    digits = mnist_1bit(data)
    splits = (digits.train, digits.valid, digits.test)
    captions = [[NAMES[label] for label in np.asarray(split.context)] for split in splits]
    names = [f"digit {i}" for i in range(len(digits.test.x))]
    return _dataset(
        data,
        "names of MNIST digits (1 bit)",
        [split.x * np.uint8(255) for split in splits],
        captions,
        names,
    )


def captions(data: Data) -> Dataset:
    """Your own images: a folder `data.path` with captions.tsv, an image's file name and its caption
    on each line.

    An image may have several captions; images are split 80/10/10, equal ones together. With a
    header `image`, `caption`, `split` (train, valid or test) they are split so; if none is for
    validation, the last tenth of the training images is.
    """
    if data.path is None:
        raise DataError(
            "captions needs your own data: pass --data.path FOLDER with images and captions.tsv"
        )
    folder = Path(os.path.expanduser(data.path))
    rows, names, images = read_captions(folder, data)
    row = {name: i for i, name in enumerate(names)}
    index = np.array([row[name] for name, _, _ in rows])
    keys = content_keys(images)
    if rows[0][2]:
        sets = _as_said(folder, [(name, split) for name, _, split in rows], keys)
    else:
        sets = thirds(keys, f"{folder} holds {len(names)} images")
    parts = [np.flatnonzero(np.isin(index, part)) for part in sets]
    texts = [[rows[i][1] for i in part] for part in parts]
    train, test = ([keys[i] for i in part] for part in (sets[0], sets[2]))
    often = () if rows[0][2] else frequent_note(keys, "images")
    notes = (*often, *shared(train, test, "images"))
    names = [rows[i][0] for i in parts[2]]
    dataset = _dataset(data, data.name, [images[index[part]] for part in parts], texts, names)
    return dataclasses.replace(dataset, notes=notes)


def all_captions(data: Data, model: Any) -> Dataset:
    """All captions of a folder in their order, as each split, with images of the model's size.

    Raises:
      DataError: as for `captions`.
    """
    folder, shape = Path(os.path.expanduser(data.path or "")), model.image_shape
    data = dataclasses.replace(data, size=tuple(shape[:2]), grey=len(shape) == 2)
    rows, names, images = read_captions(folder, data)
    row = {name: i for i, name in enumerate(names)}
    pairs = tuple((name, caption) for name, caption, _ in rows)
    whole = Split(np.zeros((len(rows), 1), np.int32), images[[row[name] for name, _ in pairs]])
    return whole_pairs(data.name, "captions", whole, model.vocabulary, pairs)


def read_captions(
    folder: Path, data: Data
) -> tuple[list[tuple[str, ...]], list[str], UInt8[np.ndarray, "images height width *channels"]]:
    """The lines (image, caption, split) of a folder's captions.tsv, the names of the images, each
    once, and their pixels.

    Raises:
      DataError: an image is missing, or lies outside the folder.
    """
    from zoo.formats.pictures import brightness
    from zoo.formats.tsv import read_rows

    rows = read_rows(folder / "captions.tsv", ("image", "caption"), ("split",))
    names = list(dict.fromkeys(name for name, _, _ in rows))
    if absent := next((name for name in names if not (folder / name).is_file()), None):
        raise DataError(
            f"{folder}/captions.tsv names {absent}, which is not there: put it there or take its "
            "lines out"
        )
    for name in names:
        _check_within(folder, name)
    return rows, names, brightness(*read_files([folder / name for name in names], data))


def _check_within(folder: Path, name: str) -> None:
    """Refuses an image outside the folder, be it by its path or by a link."""
    if Path(name).is_absolute() or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{folder}/captions.tsv names {name}, which is outside the folder: copy it into the "
            "folder"
        )


def _as_said(folder: Path, said: list[tuple[str, str]], keys: list[bytes]) -> list[np.ndarray]:
    """The images of each split; `said` is an image and its split on each line, `keys` tell the
    images apart.
    """
    split_of: dict[str, str] = {}
    for name, split in said:
        if (first := split_of.setdefault(name, split)) != split:
            raise DataError(
                f"{folder}/captions.tsv has {name} in {first} and in {split}: give all its lines "
                "one split"
            )
    if strange := set(split_of.values()) - set(SPLITS):
        raise DataError(
            f"{folder}/captions.tsv has the split {min(strange)!r}; expected one of "
            f"{', '.join(SPLITS)}"
        )
    train, valid, test = (
        np.flatnonzero([split == name for split in split_of.values()]) for name in SPLITS
    )
    if len(train) < 2 or not len(test):
        raise DataError(
            f"{folder}/captions.tsv has {len(train)} images for training and {len(test)} for the "
            "test; 2 and 1 are needed"
        )
    if not len(valid):
        parts = split_off([keys[i] for i in train], max(1, len(train) // 10))
        train, valid = (train[part] for part in parts)
    return [train, valid, test]


def _scenes(split: Split, count: int, seed: int) -> Scenes:
    random, places, half = generator(2, seed), len(PLACES), SIZE // 2
    labels = split.context
    assert labels is not None
    ranks = random.permuted(np.tile(np.arange(places), (count, 1)), axis=1)
    there = ranks < random.integers(1, places + 1, size=(count, 1))
    digits = random.integers(len(split.x), size=(count, places))
    quarters = np.stack(np.divmod(np.arange(places), 2), axis=-1) * half
    corners = quarters + random.integers(half - DIGIT + 1, size=(count, places, 2))
    images, side = np.zeros((count, SIZE, SIZE), np.uint8), np.arange(DIGIT)
    for k in range(places):
        i = np.flatnonzero(there[:, k])
        rows, columns = (corners[i, k, axis][:, None] + side for axis in range(2))
        images[i[:, None, None], rows[:, :, None], columns[:, None, :]] = split.x[
            digits[i, k]
        ] * np.uint8(255)
    words = np.array([[f"{name} at {place}" for place in PLACES] for name in NAMES], object)[
        labels[digits], range(places)
    ]
    captions = [", ".join(of[is_there]) for of, is_there in zip(words, there, strict=True)]
    named_first = np.argsort(~there, axis=1, kind="stable")[..., None]
    named = np.take_along_axis(np.where(there[..., None], corners, -1), named_first, axis=1)
    return Scenes(images, captions, named.astype(np.int32))


def _dataset(
    data: Data,
    title: str,
    images: Sequence[np.ndarray],
    captions: Sequence[Sequence[str]],
    names: Sequence[str],
    corners: np.ndarray | None = None,
) -> Dataset:
    unit = chosen(data, "word", title)
    side = code(captions, unit, data.least, end=True, title=title)
    if data.blind:
        images, title = [np.zeros_like(each) for each in images], f"{title}, images blackened"
    train, valid, test = (Split(x, context) for x, context in zip(side.rows, images, strict=True))
    description = (
        f"{title}, {len(train.x):,} training captions, {len(side.vocabulary)} {unit}s, test "
        f"split of {len(test.x):,} "
        f"({side.unknown:,} of its {side.size:,} {unit}s are unknown)"
    )
    return Dataset(
        data.name, description, train, valid, test, len(side.vocabulary),
        vocabulary=side.vocabulary, unit=unit, pairs=tuple(zip(names, captions[2], strict=True)),
        corners=corners,
    )  # fmt: skip
