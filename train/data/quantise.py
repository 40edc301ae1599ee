"""Requantising and binarising the values of a data set, as the user chose."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import UInt8

from train.data.dataset import Data, DataError, Dataset, Split, bernoulli, generator, mapped
from train.data.in_files import changed


def convert(dataset: Dataset, data: Data) -> Dataset:
    """Applies `data.levels` and `data.binarise`, and completes the description."""
    if data.binarise == "none":
        dataset, values = _requantise(dataset, data.levels)
    elif data.levels != 256:
        raise DataError(
            f"--data.levels {data.levels} and --data.binarise {data.binarise} exclude each "
            "other: drop one"
        )
    else:
        dataset, values = _binarise(dataset, data.binarise)
    parts = [
        dataset.description,
        *([values] if values else []),
        f"test split of {len(dataset.test.x):,}",
    ]
    return dataclasses.replace(dataset, description=", ".join(parts))


def seen(x: UInt8[np.ndarray, "N ..."], native: int, data: Data) -> UInt8[np.ndarray, "N ..."]:
    """What a model is shown of values of `native` levels; of a dynamic binarisation the grey that
    is drawn from.
    """
    if data.binarise == "none":
        return _coarser(x, native, data.levels) if data.levels < native else x
    grey = brightness(x, native)
    return _threshold(grey) if data.binarise == "threshold" else grey


def _requantise(dataset, levels):
    native = dataset.num_levels
    if levels != 256 and not 2 <= levels <= native:
        raise DataError(
            f"{dataset.name} has {native} levels; --data.levels must be 256 (as they are) or "
            f"2..{native}"
        )
    if levels >= native:
        return dataset, f"{native} levels" if native > 2 else ""
    dataset = _each(dataset, lambda x, _: _coarser(x, native, levels))
    return dataclasses.replace(
        dataset, num_levels=levels
    ), f"{native} levels requantised to {levels}"


def _binarise(dataset, how):
    native = dataset.num_levels
    if native == 2:
        raise DataError(
            f"{dataset.name} has 2 levels already, --data.binarise {how} needs grey values: "
            "take a grey set (--data.name mnist) or --data.binarise none"
        )
    grey = dataclasses.replace(_each(dataset, lambda x, _: brightness(x, native)), num_levels=2)
    if how == "threshold":
        return _each(grey, lambda x, _: _threshold(x)), "1 bit a pixel (grey > 127)"
    drawn = _each(grey, lambda x, split: bernoulli(generator(split), np.asarray(x)) if split else x)
    values = "dynamic binarisation (validation and test: one fixed seeded draw)"
    return dataclasses.replace(drawn, dynamic=True), values


def _coarser(x, native, levels):
    return (x.astype(np.uint16) * levels // native).astype(np.uint8)


def _threshold(grey):
    return (grey > 127).astype(np.uint8)


def brightness(x: UInt8[Any, "..."], levels: int) -> UInt8[Any, "..."]:
    """The brightness 0..255 of each of `levels` levels: 0 is black, the last one white; of images in
    files, when they are used.
    """
    if levels == 256:
        return x
    return changed(x, lambda x: np.round(x * (255 / (levels - 1))).astype(np.uint8))


def _each(dataset, function):
    """The data with `function` applied to the values of each split, given its number."""
    splits = (dataset.train, dataset.valid, dataset.test)
    train, valid, test = (Split(function(x, i), context) for i, (x, context) in enumerate(splits))
    redraw = dataset.redraw and mapped(
        dataset.redraw, lambda split: split._replace(x=function(split.x, 0))
    )
    return dataclasses.replace(dataset, train=train, valid=valid, test=test, redraw=redraw)
