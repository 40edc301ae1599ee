"""Which places along an axis count at each rank: those of attention's window, for example.

A weighted sum needs no entry whose weight is ZERO, and a maximum none that is LOW. Where those that
count are a run of at most R places at each rank, a window of R places is enough. If the newest of
them moves with the rank, the window is turned: its entry j is the place p with p = j + turn (mod R).
A ring of R slots then is such a window as it lies in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.derived.network.windows import Span, Table, Window, fixed

_LARGEST = 1 << 24  # ranks times places that are looked at
_WORTH = 2  # a window that is not turned is read by a copy, so it must be so many times shorter


def shortened(
    arrays: Sequence[Any], windows: Sequence[Window], axes: Sequence[int], blank: int
) -> list[Window]:
    """Windows of arrays that are summed together along one axis of each, short along it where an
    array is `blank`."""
    for array, window, axis in zip(arrays, windows, axes, strict=True):
        found = reach(array, window, axis, blank)
        if found is not None:
            pairs = zip(windows, axes, strict=True)
            return [(*each[:d], found, *each[d + 1 :]) for each, d in pairs]
    return list(windows)


def reach(array: Any, window: Window, axis: int, blank: int) -> Span | None:
    """The places along `axis` of a window that are not `blank`; None if all may count.

    Args:
      array: an array outside of loops.
      window: the window, whole along the axis.
      axis: the axis.
      blank: the code of what does not count.
    """
    code, n, ranks = array.code, array.shape[axis], len(window[0].first)
    if code.shape[axis] == 1 or ranks * n > _LARGEST or (code != blank).all():
        return None
    counts = _counting(code != blank, window, axis, ranks)  # [ranks, n]
    valid = counts.any(1)
    if not valid.any():
        return None
    low, high = counts.argmax(1), n - 1 - counts[:, ::-1].argmax(1)
    size = int((high - low + 1)[valid].max())
    if size == n:
        return None
    lag = np.unique((np.arange(ranks) - high)[valid])
    at = np.maximum.accumulate(np.where(valid, np.arange(ranks), -1))
    start = np.clip(high[np.where(at < 0, valid.argmax(), at)] - size + 1, 0, n - size)
    if (start == start[0]).all():
        return fixed(int(start[0]), size, ranks)
    if len(lag) == 1:
        return Span(Table(start), size, int(-lag[0]) % size)
    return Span(Table(start), size) if size * _WORTH <= n else None


def _counting(there, window, axis, ranks):
    """Whether anything counts at each rank and place: [ranks, places]."""
    moves = []
    for d, span in enumerate(window):
        if d == axis or there.shape[d] == 1:
            continue
        if span.start.constant:
            first = int(span.first[0])
            part = [slice(None)] * there.ndim
            part[d] = slice(max(0, first), max(0, first + span.size))
            there = there[tuple(part)].any(d, keepdims=True)
        else:
            moves.append(d)
    others = tuple(d for d in range(there.ndim) if d != axis and d not in moves)
    there = np.moveaxis(there, axis, -1).squeeze(tuple(d - (d > axis) for d in others))
    found = np.zeros((ranks, there.shape[-1]), bool)
    for offsets in itertools.product(*(range(window[d].size) for d in moves)):
        places = [window[d].first + o for d, o in zip(moves, offsets, strict=True)]
        inside = np.ones(ranks, bool)
        for place, length in zip(places, there.shape, strict=False):
            inside &= (place >= 0) & (place < length)
        found[inside] |= there[tuple(place[inside] for place in places)]
    return found
