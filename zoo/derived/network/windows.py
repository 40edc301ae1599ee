"""Windows: which part of an array is meant at each rank.

A window has one span per axis, and a span is a start that may move with the rank t, with a constant
size:

    window(t) = [start_0(t), start_0(t) + size_0) x [start_1(t), start_1(t) + size_1) x ...

A start is a table, one whole number for each rank. So "this pixel", "the row above", "the pixel
that the ordering visits at t" and "every second column" are all of one kind, and whether a window
is right can be counted out before anything runs.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Refused(Exception):
    """A part of the network that no step can be derived for; the message says which."""

    advice = "Write step, or see docs/derived_samplers.md."


class NotCausal(Refused):
    """Params that seem to depend on values at their own rank or later."""

    advice = "Its nats may be no likelihood; run sample.testing.check(model)."


_NUMBERS: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()


class Table:
    """One whole number for each rank; equal tables are equal keys."""

    __slots__ = ("_hash", "values")

    def __init__(self, values: np.ndarray):
        values = np.ascontiguousarray(values, np.int64)
        self._hash = hash(values.tobytes())
        # Equal tables share their numbers: there are many, and long sounds have a million ranks.
        known = _NUMBERS.setdefault(self._hash, values)
        self.values = known if np.array_equal(known, values) else values

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        same = isinstance(other, Table) and self._hash == other._hash
        return same and np.array_equal(self.values, other.values)

    def __repr__(self):
        return f"{self.values[0]}" if self.constant else f"{self.values[:4]}.."

    @property
    def constant(self) -> bool:
        """Whether it is the same number at every rank."""
        return bool((self.values == self.values[0]).all())


class Span(NamedTuple):
    """[start(t), start(t) + size) along one axis.

    In order, or turned (turn >= 0): then entry j is the place p of these with p = j + turn modulo
    the size.
    """

    start: Table
    size: int
    turn: int = -1

    @property
    def first(self) -> np.ndarray:
        return self.start.values

    @property
    def last(self) -> np.ndarray:
        return self.start.values + (self.size - 1)


Window = tuple[Span, ...]


def fixed(start: int, size: int, num_ranks: int) -> Span:
    """The same part at every rank."""
    return Span(Table(np.full(num_ranks, start)), size)


def moving(starts: np.ndarray, size: int = 1) -> Span:
    """A part that begins at starts[t]."""
    return Span(Table(starts), size)


def moved(span: Span, by: Any, size: int | None = None) -> Span:
    """The span, its start moved by so many places (or by as many as each rank says)."""
    turn = span.turn if span.turn < 0 else (span.turn + int(by)) % span.size
    return Span(Table(span.first + by), span.size if size is None else size, turn)


def is_full(span: Span, length: int) -> bool:
    """Whether it is all of an axis, at every rank."""
    in_place = span.first[0] == 0 and span.start.constant and span.turn < 0
    return bool(span.size == length and in_place)


def is_fixed_part(window: Window, shape: Sequence[int]) -> bool:
    """Whether it is a part of an array that is the same at every rank, and not all of it."""
    inside = (
        span.start.constant and span.turn < 0 and span.first[0] >= 0 and span.last[0] < n
        for span, n in zip(window, shape, strict=True)
    )
    return all(inside) and sizes(window) != tuple(shape)


def whole(shape: Sequence[int], num_ranks: int) -> Window:
    """All of an array."""
    return tuple(fixed(0, n, num_ranks) for n in shape)


def sizes(window: Window) -> tuple[int, ...]:
    """The shape of a window."""
    return tuple(span.size for span in window)


def volume(window: Window) -> int:
    """How many entries a window has."""
    return math.prod(sizes(window))


def united(windows: Sequence[Window]) -> Window:
    """The smallest window that holds windows which differ in constant spans only."""
    result = []
    for spans in zip(*windows, strict=True):
        first = min(spans, key=lambda span: int(span.first[0]))
        end = max(int(span.last[0]) for span in spans) + 1
        constant = first.start.constant
        result.append(Span(first.start, end - int(first.first[0])) if constant else spans[0])
    return tuple(result)


def relative(inner: Window, outer: Window) -> Window:
    """`inner` as a part of what `outer` cuts out; turned spans of `outer` are those of `inner`."""
    result = []
    for a, b in zip(inner, outer, strict=True):
        stays = a.turn < 0 or b.turn >= 0
        turn = -1 if stays else (a.turn - int(b.first[0])) % a.size
        result.append(Span(Table(a.first - b.first), a.size, turn))
    return tuple(result)


def groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Which axes of a reshape become which: groups of least size whose lengths have the same
    product."""
    result, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        left, right = [], []
        if i < len(before):
            left, i = [i], i + 1
        if j < len(after):
            right, j = [j], j + 1
        while (a := math.prod(before[d] for d in left)) != (
            b := math.prod(after[d] for d in right)
        ):
            if a < b:
                left, i = [*left, i], i + 1
            else:
                right, j = [*right, j], j + 1
        result.append((left, right))
    return result


def joined(
    spans: Sequence[Span], lengths: Sequence[int], num_ranks: int
) -> tuple[Span, list[Span]]:
    """The span over the one axis that several axes become, with at least these entries; and the box
    it covers.

    A box is one run of the joined axis if behind its first axis that is no single place all axes
    are full.
    """
    box, wide = [], False
    for span, n in zip(spans, lengths, strict=True):
        box.append(fixed(0, n, num_ranks) if wide else span)
        wide = wide or span.size > 1
    start, size = np.zeros(num_ranks, np.int64), 1
    for span, n in zip(box, lengths, strict=True):
        start, size = start * n + span.first, size * span.size
    return moving(start, size), box


def parted(span: Span, lengths: Sequence[int], num_ranks: int) -> list[Span]:
    """The smallest box over several axes, made of one, that holds a span of that one."""
    result: list[Span] = []
    for n in reversed(lengths[1:]):
        row, place = span.first // n, span.first % n
        if span.size <= n and (place + span.size <= n).all():
            result.insert(0, moving(place, span.size))
            span = moving(row)
        else:
            result.insert(0, fixed(0, n, num_ranks))
            span = moving(row, int((span.last // n - row).max()) + 1)
    return [span, *result]


def overhang(span: Span, length: int, times: np.ndarray) -> tuple[int, int]:
    """By how many places it leaves its axis, before the first and behind the last, at these
    times."""
    if not times.any():
        return 0, 0
    return max(0, int(-span.first[times].min())), max(0, int(span.last[times].max()) + 1 - length)
