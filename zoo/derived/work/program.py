"""A plan with its buffers, and what is computed in each of its frames, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Refused, Window, fixed
from zoo.derived.plan import Plan
from zoo.derived.schedule import FRAMES
from zoo.derived.work.memory import buffers

Work = list[tuple[bytes, list[tuple[Array, Window, np.ndarray]]]]


class Program:
    """A plan with its buffers and the work in order.

    Attributes:
      plan: the plan.
      ranks: the tick at which each value of the canvas is drawn.
      work: for each frame what is computed at the ranks.
      before_row: the same at the ticks before each row.
      by_rows: whether anything is computed once a row.
    """

    def __init__(self, plan: Plan, ranks: np.ndarray):
        self.plan, self.ranks = plan, ranks
        self.buffers = buffers(plan)
        self.work = {frame: self._work(frame, plan.steps) for frame in FRAMES}
        self.before_row = {frame: self._work(frame, ~plan.steps) for frame in FRAMES[1:]}
        self.by_rows = any(self.work["enter"]) or any(self.before_row.values())

    def _work(self, frame: str, part: np.ndarray) -> Work:
        """What is computed in a frame at some of the ticks, in order: groups that share a condition,
        each (its ticks or b"", the windows)."""
        items = []
        for op in self.plan.ops:
            for array in op.outs:
                schedule = self.plan.at.get(array)
                if schedule is not None:
                    if schedule.frame == frame:
                        times = schedule.times if schedule.sparse else None
                        items.append((times, (array, schedule.window, schedule.times)))
                    continue
                for demand in self.plan.demands.get(array, {}).values():
                    if demand.frame == frame and not demand.early:
                        window = self.plan.covers.get((array, demand.window), demand.window)
                        items.append((demand.times, (array, window, demand.times)))
        if frame != "enter":
            items = [item for item in items if (item[1][2] & part).any()]
            full = ~part
            items = [(None if t is None or (t | full).all() else t, item) for t, item in items]
        # A value that is not remembered is computed within the condition of those that want it.
        sparse = {s.times.tobytes() for s in self.plan.at.values() if s.sparse} | self.plan.apart
        keyed = [
            (b"" if times is None or times.tobytes() not in sparse else times.tobytes(), item)
            for times, item in items
        ]
        return [
            (key, [item for _, item in each])
            for key, each in itertools.groupby(keyed, key=lambda pair: pair[0])
        ]


def in_parts(ops: Sequence[Op], parts: dict[Op, list[Op]]) -> Iterator[Op]:
    """The operations, with those that are computed in parts replaced by these."""
    for op in ops:
        if op in parts:
            yield from in_parts(parts[op], parts)
        else:
            yield op


def in_network(array: Array, window: Window) -> tuple[Array, Window]:
    """An array of a loop laid out as copies, as a part of what the loop itself computes."""
    while array.origin is not None:
        array, loop, k = array.origin
        if loop is not None:
            at = array.loops.index(loop)
            window = (*window[:at], fixed(k, 1, 1), *window[at:])
    if array.op is not None and array.op.name == "delay" and array.op.params["loop"] is None:
        raise Refused("a running sum is remembered one place behind")
    return array, window
