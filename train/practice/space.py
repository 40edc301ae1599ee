"""The space of a search: which fields vary, between which values."""

import difflib
import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple, get_args

import numpy as np

NARROWER = 4  # times, from a coarse search to a fine one


class SpaceError(ValueError):
    """A space that cannot be searched; the message says what to write instead."""


class Dimension(NamedTuple):
    """One field that varies.

    Attributes:
      name: the field, such as `learning_rate` or `model.hidden`.
      low, high: the ends of a range, both included; None for choices.
      log: whether the range is even on a log scale.
      whole: whether the values of the range are whole numbers.
      choices: the values of a field without a range, as a flag says them.
    """

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The dimension as `--space` takes it."""
        if self.choices:
            return f"{self.name}={'|'.join(self.choices)}"
        return f"{self.name}={self.low:.6g}:{self.high:.6g}{':log' if self.log else ''}"

    def place(self, value: Any) -> float:
        """Where a value lies, from 0 at the low end to 1 at the high end."""
        if self.choices:
            return self.choices.index(value) / max(len(self.choices) - 1, 1)
        low, high, value = map(self._scale, (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def grid(self, count: int) -> list[Any]:
        """At most `count` values that are even on the scale of the range; all choices.

        Example:
          >>> Dimension("learning_rate", 1e-4, 1e-2, log=True).grid(3)
          [0.0001, 0.001, 0.01]
        """
        if self.choices:
            return list(self.choices)
        return list(dict.fromkeys(self.at(place) for place in np.linspace(0, 1, count)))

    def at(self, place: float) -> Any:
        """The value at a place from 0 to 1 of the range, rounded to three digits."""
        low, high = self._scale(self.low), self._scale(self.high)
        value = low + place * (high - low)
        return self.rounded(math.exp(value) if self.log else value)

    def rounded(self, value: Any) -> Any:
        """A value as it is tried: a whole number, or three digits, inside the range."""
        if self.choices:
            return value
        value = round(value) if self.whole else float(f"{value:.3g}")
        return min(max(value, self.low), self.high)

    def narrowed(self, best: Any) -> "Dimension":
        """A range a quarter as wide around the best value, inside this one; of choices the best.

        Example:
          >>> str(Dimension("learning_rate", 1e-4, 1.0, log=True).narrowed(0.01))
          'learning_rate=0.00316:0.0316:log'
        """
        if self.choices:
            return self._replace(choices=(best,))
        place, half = self.place(best), 0.5 / NARROWER
        low, high = self.at(max(0, place - half)), self.at(min(1, place + half))
        return self._replace(low=low, high=high)

    def _scale(self, value):
        return math.log(value) if self.log else float(value)


def read_space(words: Sequence[str], types: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """The dimensions that the words of `--space` say: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A|B.

    Args:
      words: one a dimension.
      types: the annotation of every field that may vary.

    Raises:
      SpaceError: a field does not exist, or its values do not form a range or choices.

    Example:
      >>> read_space(["learning_rate=1e-4:1e-2:log"], {"learning_rate": float})[0].high
      0.01
    """
    if not words:
        raise SpaceError(
            "a search needs fields that vary: pass --space, such as "
            "--space learning_rate=1e-4:1e-1:log."
        )
    space = tuple(_dimension(word, types) for word in words)
    names = [dimension.name for dimension in space]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpaceError(f"{twice[0]} stands in the space twice: say all its values at once.")
    return space


def _dimension(word, types):
    name, equals, values = word.partition("=")
    name = name.removeprefix("--").replace("-", "_")
    if not equals or not name:
        raise SpaceError(
            f"a dimension is NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A|B; got {word!r}."
        )
    if name not in types:
        raise SpaceError(_unknown(name, types))
    if not values:
        raise SpaceError(f"{name} has no values: write {name}=LOW:HIGH or {name}=A|B.")
    union = isinstance(types[name], UnionType)
    kinds = {int, float} & {*(get_args(types[name]) if union else [types[name]])}
    if kinds and ":" in values:
        return _range(name, values, whole=float not in kinds)
    if ":" in values and "|" not in values and not name.endswith("head"):
        raise SpaceError(
            f"{name} is no number, so it has no range: list its values, {name}=A|B; got {values!r}."
        )
    choices = tuple(values.split("|"))
    if "" in choices or len(set(choices)) < len(choices):
        raise SpaceError(f"the choices of {name} must differ, none empty; got {values!r}.")
    return Dimension(name, choices=choices)


def _range(name, values, whole):
    low_word, high_word, *scale = values.split(":")
    if scale not in ([], ["log"], ["linear"]):
        raise SpaceError(f"a range is LOW:HIGH or LOW:HIGH:log; got {name}={values}.")
    read: Any = int if whole else float
    try:
        low, high = read(low_word), read(high_word)
    except ValueError:
        what = "whole numbers" if whole else "numbers"
        raise SpaceError(f"the ends of {name} must be {what}; got {values!r}.") from None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SpaceError(f"the ends of {name} must be finite; got {values!r}.")
    log = scale == ["log"]
    if low == high:
        flag = f"--{name.replace('_', '-')} {low_word}"
        raise SpaceError(f"the range of {name} is empty, {values}: pass {flag} instead.")
    if low > high:
        turned = ":".join([high_word, low_word, *scale])
        raise SpaceError(f"the range of {name} runs backwards: write {name}={turned}.")
    if log and low <= 0:
        raise SpaceError(
            f"a log scale has no 0: {name} must begin above it, got {values!r}; choose a low end "
            "such as 1e-5, or a linear range."
        )
    return Dimension(name, low, high, log, whole)


def _unknown(name, types):
    near = difflib.get_close_matches(name, types, n=1, cutoff=0.5)
    inner = difflib.get_close_matches(f"model.{name}", types, n=1, cutoff=0.7)
    found = [*inner, *near] if f"model.{name}" in types else [*near, *inner]
    if name.startswith("data."):
        return f"{name} cannot vary: nats of different data cannot be compared. Drop it."
    hint = f"Did you mean {found[0]!r}?" if found else f"There are {', '.join(types)}."
    return f"there is no field {name!r} to search. {hint}"
