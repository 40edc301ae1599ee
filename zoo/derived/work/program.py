"""A plan with its buffers, and what is computed in each of its frames, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Refused, Window, fixed, is_fixed_part
from zoo.derived.plan import Plan
from zoo.derived.rules import PRODUCTS, follow
from zoo.derived.schedule import FRAMES
from zoo.derived.selections import is_biased_product
from zoo.derived.work.memory import buffers
from zoo.derived.work.shelves import shelves
from zoo.derived.work.together import together

Work = list[tuple[bytes, list[tuple[Array, Window, np.ndarray]]]]


class Program:
    """A plan with its buffers and the work in order.

    Attributes:
      plan: the plan.
      ranks: the tick at which each value of the canvas is drawn.
      work: for each frame what is computed at the ranks.
      before_row: the same at the ticks before each row.
      by_rows: whether anything is computed once a row.
      shelves: buffers that are one array; `shelf_of` an array whose buffer is on one.
      together: for each product that is computed with others, all of them.
      of_weights: the parts of weights that are read, the same at every rank.
      apart: for each sum of a product and of what is remembered or read from weights, which of the two
        is the product. A GPU's matmul would take in the other, which a kernel cuts out before; as part
        of what follows the sum that costs no kernel.
    """

    def __init__(self, plan: Plan, ranks: np.ndarray):
        self.plan, self.ranks = plan, ranks
        self.buffers = buffers(plan)
        self.work = {frame: self._work(frame, plan.steps) for frame in FRAMES}
        self.before_row = {frame: self._work(frame, ~plan.steps) for frame in FRAMES[1:]}
        self.by_rows = any(self.work["enter"]) or any(self.before_row.values())
        groups = together(plan)
        self.together = {op: each for each in groups for op in each.ops}
        self.shelves = shelves(plan, self.buffers, groups)
        self.shelf_of = {each.array: shelf for shelf in self.shelves for each in shelf.buffers}
        self.of_weights = {*self._of_weights()}
        sums = ((op, self._product(op)) for op in plan.ops if op.name == "add")
        self.apart = {op: i for op, i in sums if i is not None}

    def cache(self, kept: dict[Array, Any]) -> tuple:
        """What is remembered, given all buffers."""
        return self.remembered({**kept, **{each: each.joined(kept) for each in self.shelves}})

    def kept(self, cache: tuple) -> dict[Any, Any]:
        """All buffers, also those of each shelf as one, given what is remembered."""
        own = [array for array in self.buffers if array not in self.shelf_of]
        kept: dict[Any, Any] = dict(zip((*own, *self.shelves), cache, strict=True))
        for shelf in self.shelves:
            kept.update(shelf.apart(kept[shelf]))
        return kept

    def remembered(self, kept: dict[Any, Any]) -> tuple:
        """What is remembered, given all that `kept` gave."""
        own = tuple(kept[array] for array in self.buffers if array not in self.shelf_of)
        return *own, *(kept[each] for each in self.shelves)

    def _of_weights(self) -> Iterator[tuple[Array, Window]]:
        for work in (*self.work.values(), *self.before_row.values()):
            for array, window, times in (item for _, items in work for item in items):
                op = array.op
                assert op is not None
                needs, _ = follow(op, op.outs.index(array), window, times)
                for each, need in zip(op.ins, needs, strict=True):
                    if need is not None and not each.live and is_fixed_part(need, each.all_shape):
                        yield each, need

    def _product(self, op: Op) -> int | None:
        for i, (a, b) in enumerate((op.ins, op.ins[::-1])):
            if is_biased_product(a) and not self._is_read(a) and b.live and self._is_read(b):
                return i
        return None

    def _is_read(self, array: Array) -> bool:
        """Whether it takes no product of this step, only what is read."""
        schedule = self.plan.at.get(array)
        remembered = schedule is not None and schedule.frame == "enter"
        if array.op is None or not array.live or remembered or array.op.name == "delay":
            return True
        if array.op in self.together:
            return True
        return array.op.name not in PRODUCTS and all(map(self._is_read, array.op.ins))

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
