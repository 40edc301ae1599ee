"""When an array is wanted, and when it may be computed.

The moments of a rank t are 3 t (`enter`), 3 t + 1 (`before`) and 3 t + 2 (`step`). Demands say
which windows are wanted when; codes say from which rank on entries are final. `needs` finds the
first moment at which each entry is wanted while final, and `boxed` whether the entries that are to
be computed at one rank make a box of one size.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo.derived.clock import Clock
from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Span, Table, Window, moving, volume

NEVER = 1 << 40
FRAMES = ("enter", "before", "step")
LARGEST = 1 << 20  # places of windows that are looked at together
WASTE = 4  # entries computed for one that is needed, at most


@dataclasses.dataclass
class Demand:
    """A window that is wanted.

    Attributes:
      frame: one of FRAMES.
      early: whether it is wanted before the array itself is computed at that rank (by the next
        iteration of a loop).
      window: the window.
      times: at which ranks.
      roots: the operations computed in that frame for which it is.
    """

    frame: str
    early: bool
    window: Window
    times: np.ndarray
    roots: set[Op]

    def asks_once(self) -> bool:
        """Whether no entry is wanted at two ranks: nothing would be saved by remembering it."""
        starts = (np.sort(span.first[self.times]) for span in self.window)
        pairs = zip(starts, self.window, strict=True)
        return any((np.diff(start) >= span.size).all() for start, span in pairs)


@dataclasses.dataclass
class Schedule:
    """When an array is computed.

    Attributes:
      frame: one of FRAMES.
      window: what is computed at a rank.
      times: the ranks at which something is.
      sparse: whether these are so few that the rest is better left out by a condition.
      zeros: whether entries that are zero whatever the weights are never computed.
    """

    frame: str
    window: Window
    times: np.ndarray
    sparse: bool
    zeros: bool = False

    def has(self, demand: Demand) -> bool:
        """Whether what is wanted is a part of what is computed in the same frame."""
        if self.sparse or demand.early or demand.frame != self.frame:
            return False
        return demand.window != self.window and all(
            inner.turn < 0
            and (inner.first >= outer.first)[demand.times].all()
            and (inner.last <= outer.last)[demand.times].all()
            for inner, outer in zip(demand.window, self.window, strict=True)
        )


def needs(array: Array, demands: list[Demand]) -> tuple[Grid, np.ndarray]:
    """For each cell of a grid the first moment at which it is wanted while final."""
    grid = Grid(array, [each.window for each in demands])
    need = np.full(grid.shape, NEVER)
    code = np.broadcast_to(grid.coarse(array.code), need.shape)
    for demand in demands:
        at = np.flatnonzero(demand.times)
        moment = 3 * at + FRAMES.index(demand.frame) - demand.early
        _first(grid, need, code, demand.window, at, moment)
    return grid, need


def boxed(
    drawn: np.ndarray,
    frame: str,
    array: Array,
    grid: Grid,
    need: np.ndarray,
    group: np.ndarray,
    period: int,
) -> Schedule | None:
    """Cells of each group computed together, at rank group * period; None if they are not final or
    make no boxes.

    Ranks at which a value is `drawn` and those before a row are looked at apart.
    """
    wanted, num_ranks = need < NEVER, len(drawn)
    code = np.broadcast_to(grid.coarse(array.code), need.shape)
    if not wanted.any() or (wanted & ((code > group * period) | (group < 0))).any():
        return None
    number = -(-num_ranks // period)
    of_entry, entries = group[wanted], np.nonzero(wanted)
    active = np.zeros(number, bool)
    active[of_entry] = True
    parts = [np.ones(number, bool)] if period > 1 else [drawn, ~drawn]
    last_active = _last(active)
    for part in parts:
        if (active & part).any():
            last_active = np.where(part, _last(active & part), last_active)
    window, size_of_wanted = [], np.ones(len(of_entry), np.int64)
    for d, n in enumerate(array.all_shape):
        bounds = grid.bounds[d]
        if len(bounds) == 2:
            window.append(Span(Table(np.zeros(num_ranks)), n))
            size_of_wanted *= n
            continue
        low, high = np.full(number, n), np.full(number, -1)
        np.minimum.at(low, of_entry, bounds[entries[d]])
        np.maximum.at(high, of_entry, bounds[entries[d] + 1] - 1)
        size_of_wanted *= (bounds[1:] - bounds[:-1])[entries[d]]
        size = int((high - low)[active].max()) + 1
        start = np.clip(low[last_active], 0, n - size)
        window.append(moving(np.repeat(start, period)[:num_ranks], size))
    if int(active.sum()) * volume(tuple(window)) > WASTE * int(size_of_wanted.sum()):
        return None
    times = np.zeros(num_ranks, bool)
    sparse = False
    for part in parts:
        count, all_of = int((active & part).sum()), int(part.sum())
        few = bool(count * 2 <= all_of) and all_of > 2
        sparse = sparse or bool(few and count)
        times[::period][part] = active[part] if few or not count else True
    return Schedule(frame, tuple(window), times, sparse)


def _last(active: np.ndarray) -> np.ndarray:
    """For each group the last that is active, itself included; the first of all before that."""
    last = np.maximum.accumulate(np.where(active, np.arange(len(active)), -1))
    return np.where(last < 0, int(np.argmax(active)), last)


def in_turn(
    need: np.ndarray, code: np.ndarray, clock: Clock, axis: int, reverse: bool
) -> np.ndarray:
    """The tick at which each iteration of a recurrence is computed: when it is wanted, or, of
    several known as a row begins, one a tick before the row's ranks.

    Args:
      need: the moment at which each cell is wanted.
      code: when it is final.
      clock: with ticks before each row.
      axis: the axis of the iterations; `reverse`: they run from its end.
    """
    need, code = (np.flip(each, axis) if reverse else each for each in (need, code))
    need, code = (np.moveaxis(each, axis, 0) for each in (need, code))
    tick, last = (need - 2) // 3, clock.extra - 1
    begins = tick // clock.period * clock.period
    row = np.where((need < NEVER) & (code <= begins), begins, -1)
    several = np.zeros(row.shape, bool)
    several[1:] = (row[1:] >= 0) & (row[1:] == row[:-1])
    several[:-1] |= several[1:]
    tick = np.where(several, np.minimum(tick, begins + last), tick)
    for k in reversed(range(len(tick) - 1)):  # each before the next
        sooner = np.minimum(tick[k], np.where(need[k + 1] < NEVER, tick[k + 1] - 1, NEVER))
        tick[k] = np.where(sooner >= code[k], sooner, tick[k])
    tick = np.moveaxis(tick, 0, axis)
    return np.flip(tick, axis) if reverse else tick


class Grid:
    """An array in cells of places that are alike: of the same code, and in the same windows at
    every rank.

    Attributes:
      bounds: along each axis where cells begin, and its length.
      shape: how many cells there are along each axis.
      moves: the axes along which a window moves; their cells are single places.
    """

    def __init__(self, array: Array, windows: list[Window]):
        self.bounds, self.moves = [], []
        for d, n in enumerate(array.all_shape):
            if not all(window[d].start.constant for window in windows):
                self.moves.append(d)
                self.bounds.append(np.arange(n + 1))
                continue
            edges = [0, n]
            for window in windows:
                edges += [
                    int(np.clip(window[d].first[0], 0, n)),
                    int(np.clip(window[d].last[0] + 1, 0, n)),
                ]
            if array.code.shape[d] > 1:
                change = np.diff(array.code, axis=d) != 0
                edges += (
                    1 + np.flatnonzero(change.any(tuple(e for e in range(change.ndim) if e != d)))
                ).tolist()
            self.bounds.append(np.unique(edges) if n else np.array([0, 0]))
        self.shape = tuple(len(each) - 1 for each in self.bounds)

    def coarse(self, code: np.ndarray) -> np.ndarray:
        """The greatest code in each cell."""
        for d, bounds in enumerate(self.bounds):
            if code.shape[d] > 1 and len(bounds) - 1 < code.shape[d]:
                code = np.maximum.reduceat(code, bounds[:-1], axis=d)
        return code


def _first(
    grid: Grid,
    need: np.ndarray,
    code: np.ndarray,
    window: Window,
    at: np.ndarray,
    moment: np.ndarray,
) -> None:
    """Lowers `need` to the first moment at which a cell is in the window and final."""
    moves = [d for d in grid.moves if not window[d].start.constant]
    order = [*moves, *(d for d in range(need.ndim) if d not in moves)]
    need, code = need.transpose(order), code.transpose(order)
    parts = []
    for d in order[len(moves) :]:
        bounds, span = grid.bounds[d], window[d]
        low, high = np.searchsorted(
            bounds, np.clip([span.first[0], span.last[0] + 1], 0, bounds[-1])
        )
        parts.append(slice(int(low), int(high)))
    if not moves:
        place = np.searchsorted(at, code[tuple(parts)])
        need[tuple(parts)] = np.minimum(need[tuple(parts)], np.append(moment, NEVER)[place])
        return
    offsets = np.indices([window[d].size for d in moves]).reshape(len(moves), -1)
    for some in np.array_split(offsets, -(-offsets.shape[1] * len(at) // LARGEST), axis=1):
        places = [
            (window[d].first[at][:, None] + o[None]).reshape(-1)
            for d, o in zip(moves, some, strict=True)
        ]
        inside = np.logical_and.reduce(
            [(p >= 0) & (p < n) for p, n in zip(places, need.shape, strict=False)]
        )
        index = (*(p[inside] for p in places), *parts)
        wide = (-1, *[1] * len(parts))
        when, asked = (
            np.repeat(each, some.shape[1])[inside].reshape(wide) for each in (at, moment)
        )
        np.minimum.at(need, index, np.where(code[index] <= when, asked, NEVER))
