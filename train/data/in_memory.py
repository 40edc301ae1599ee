"""Arrays of a notebook as examples: checked, and as small as their values allow."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from train.data.dataset import DataError, Split, content_keys, generator, take
from train.data.grouping import groups, members
from zoo.foundation.arguments import array

GREY = 32  # pictures with a value from here on are 8-bit grey or colour, even if 255 is missing
VALID = 0.1  # of the examples, where no validation data are passed
_HELD = 2  # a stream of the seed, beside those of `batching`


class Part(NamedTuple):
    """What a user passes as training or validation data, and its name in messages."""

    name: str
    x: Any
    context: Any = None


def rows(x: Any, name: str) -> Shaped[np.ndarray, "N ..."]:
    """Rows of numbers: levels as uint8 or int32, real numbers as float32.

    Raises:
      DataError, ValueError: `x` holds something else, no row, NaN, or negative whole numbers.
    """
    found = array(x, name)
    if found.ndim == 0 or not found.size:
        raise DataError(f"{name} must have at least one row; got shape {list(found.shape)}.")
    if found.dtype == bool:
        return found.astype(np.uint8)
    if found.dtype.kind not in "iu":
        return _real(found, name)
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= 2**31:
        raise DataError(
            f"{name} holds whole numbers from {low} to {high}; levels are 0..K-1: shift them, or "
            f"pass real numbers, {name}.astype(np.float32)."
        )
    return found.astype(np.uint8 if high < 256 else np.int32)


def _real(found, name):
    with np.errstate(over="ignore"):
        values = found.astype(np.float32)
    if not (finite := np.isfinite(values)).all():
        place = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise DataError(
            f"{name} has {(~finite).sum():,} values that are NaN, infinite or too large for "
            f"float32, the first is {found[place]} at {list(place)}: fill them in, or drop those "
            "rows."
        )
    return values


def levels_of(splits: list[Split]) -> int | None:
    """How many levels the values have, judged by the largest; None for real numbers.

    0 and 1 alone are 2 levels, and pictures with values in 32..255 have 256.
    """
    if any(split.x.dtype.kind == "f" for split in splits):
        return None
    most = max(int(split.x.max()) for split in splits)
    picture = splits[0].x.ndim > 2
    return 256 if picture and GREY <= most < 256 else max(most + 1, 2)


def context_of(context: Any, count: int, name: str) -> np.ndarray | None:
    """The context of `count` examples, a row each.

    Raises:
      DataError, ValueError: it is no array of numbers, or of another length.
    """
    if context is None:
        return None
    found = array(context, "context")
    if found.shape[:1] != (count,):
        got = f"{found.shape[0]:,} rows" if found.ndim else "a single number"
        raise DataError(f"{name} has {count:,} rows, but its context has {got}: pass one for each.")
    return found.astype(np.int32) if found.dtype.kind in "iu" and found.ndim < 3 else found


def held_out(
    split: Split, fraction: float, seed: int, content: Shaped[np.ndarray, "N ..."]
) -> tuple[Split, Split]:
    """(training, validation) rows, by a permutation of the seed; at least one for validation.

    Rows of equal `content` stay together, unless they are frequent (see `groups`).

    Raises:
      DataError: one of them would have no row.
    """
    group = groups(content_keys(content))
    num = int(group.max()) + 1
    held = max(1, round(num * fraction))
    check_counts(num - held, held, fraction)
    order = generator(seed, _HELD).permutation(num)
    train, valid = (np.sort(members(group, part)) for part in (order[held:], order[:held]))
    return take(split, train), take(split, valid)


def check_counts(train: int, valid: int, fraction: float) -> None:
    """Raises DataError unless training and validation have something each."""
    if train < 1 or valid < 1:
        total = train + valid
        raise DataError(
            f"valid={fraction:g} of {total:,} different rows leaves {train:,} for training and "
            f"{valid:,} for validation: pass another fraction, or the validation data themselves."
        )


def validation_parts(valid, context):
    """(the fraction to hold out, the validation data as at most one part)."""
    if valid is None:
        return VALID, []
    if isinstance(valid, float | int | np.floating | np.integer):
        if not 0 < valid < 1:
            raise DataError(
                f"valid must be a fraction between 0 and 1, examples, or a pair (examples, "
                f"context); got {valid}."
            )
        return float(valid), []
    if isinstance(valid, tuple) and len(valid) == 2:
        return None, [Part("valid", *valid)]
    if context is not None:
        raise DataError("valid needs a context, as x has one: pass valid=(examples, context).")
    return None, [Part("valid", valid)]


def levels_as_floats(x):
    """A note if real numbers, which get a density, are probably levels or grey values."""
    if x.dtype.kind != "f" or x.min() < 0 or x.max() >= 2**31:
        return []
    if (x == np.round(x)).all():
        dtype = "np.uint8" if x.max() < 256 else "np.int32"
        return [
            f"x holds whole numbers as floats and gets a density; for levels pass x.astype({dtype})"
        ]
    grey = x * np.float32(255)
    if x.max() > 1 or (abs(grey - np.round(grey)) > 1e-3).any():
        return []
    return [
        "x holds multiples of 1/255 and gets a density; for 256 levels pass "
        "(x * 255).round().astype(np.uint8)"
    ]
