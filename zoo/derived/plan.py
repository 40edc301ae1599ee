"""The plan of a derived step: which part of which array is computed when, and which arrays are
remembered.

From the output backwards each array collects demands: a window at certain ranks. With f the rank at
which an entry is final and n the first moment at which it is wanted, it may be computed at any moment
in [f, n]. If the start of a row lies there for all entries, the array is computed row by row in
`enter`; otherwise entry by entry in `step`, or `before` it, at the beginning of the same rank, if the
next iteration of a loop waits for it. What is computed at one moment must be a box of one size, and
whatever is asked for again is remembered. Where no boxes are found, or nothing is saved by them, the
array is computed again wherever it is used.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from zoo.derived.clock import Clock
from zoo.derived.network import codes
from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import Refused, Window, united, volume
from zoo.derived.parts import known_apart, products, rows_apart
from zoo.derived.rules import PRODUCTS, VIEWS, follow
from zoo.derived.schedule import NEVER, WASTE, Demand, Schedule, boxed, in_turn, needs
from zoo.derived.selections import Switch

CHEAP = {*codes.ELEMENTWISE, *VIEWS, "gather", "copy_p"}


class NoTurn(Refused):
    """Iterations of a recurrence become known together, and not one by one."""


class _Again(Exception):
    """A schedule turned out to be impossible; others must be found."""


class Plan:
    """The plan for a graph.

    Attributes:
      ops: the operations, in an order in which they can be computed.
      output, canvas: two of the arrays.
      goal: the window of the output at each rank.
      clock: the ticks of the ranks; tables have one entry for each tick.
      num_ranks: how many ticks there are.
      block: ticks in a row, or 0 if nothing is done by rows.
      at: the schedule of every array that is remembered.
      demands: the demands of every array.
      covers: the window, computed in the same frame, of which a window is a part.
      apart: the ranks of what is computed only where one part of a concatenation is read.
      notes: what is computed again at every rank, and why.
      parts: the operations in place of one.
    """

    def __init__(self, ops: list[Op], canvas: Array, output: Array, goal: Window, clock: Clock):
        self.ops, self.canvas, self.output, self.goal, self.clock = ops, canvas, output, goal, clock
        self.block, self.steps = clock.period, clock.drawn
        self.num_ranks, self.no_enter = len(self.steps), set[Op]()
        self.parts: dict[Op, list[Op]] = {}
        self.products = products(ops)
        self.carried = {op.ins[0]: op for op in ops if op.name == "delay"}
        self.multiplied: dict[Array, list[int]] = {}
        self._mark()
        for _ in range(50):
            try:
                self._find()
                break
            except _Again:
                continue
        else:
            raise Refused("no order was found in which everything is known in time")

    def _mark(self) -> None:
        cheap = {self.canvas}
        for op in self.ops:
            live = [each for each in op.ins if each.live]
            if live and op.name in CHEAP and all(each in cheap for each in live):
                cheap.update(op.outs)
        self.cheap = cheap

    def _layouts(self) -> None:
        """Which arrays products read, also through slices, and in which order of their axes."""
        for op in self.ops:
            if op.name != "dot_general" or op.loops:
                continue
            for side, (each, summed, batch) in enumerate(
                zip(op.ins, *op.params["dimension_numbers"], strict=True)
            ):
                free = [d for d in range(len(each.shape)) if d not in batch and d not in summed]
                inner = [*summed, *free] if side else [*free, *summed]
                source = each
                while source.op is not None and source.op.name == "slice":
                    source = source.op.ins[0]
                if source.live and not source.loops:
                    self.multiplied.setdefault(source, [*batch, *inner])

    # --------------------------------------------------------------------------------------------
    # backwards
    def _find(self) -> None:
        self._layouts()
        back: dict[Array, dict] = {}
        for _ in range(12):
            self.demands: dict[Array, dict[Any, Demand]] = {v: dict(d) for v, d in back.items()}
            self.at: dict[Array, Schedule] = {}
            self.notes: dict[Op, str] = {}
            self.apart: set[bytes] = set()
            self.covers: dict[tuple[Array, Window], Window] = {}
            found: dict[Array, dict] = {}
            self._ask(self.output, Demand("step", False, self.goal, self.steps, set()))
            position = len(self.ops) - 1
            while position >= 0:
                if (parts := self._visit(self.ops[position], found)) is not None:
                    self.ops[position : position + 1] = parts
                    position += len(parts)
                position -= 1
            if _same(found, back):
                return
            back = found
        raise Refused("a loop asks for ever more of what came before")

    def _ask(self, array: Array, demand: Demand, into: dict | None = None) -> None:
        if not array.live or array is self.canvas:
            return
        mine = (self.demands if into is None else into).setdefault(array, {})
        key = (demand.frame, demand.early, demand.window)
        old = mine.get(key)
        if old is not None:
            demand = dataclasses.replace(
                demand, times=old.times | demand.times, roots=old.roots | demand.roots
            )
        mine[key] = demand

    def _visit(self, op: Op, found: dict) -> list[Op] | None:
        for k, array in enumerate(op.outs):
            demands = list(self.demands.get(array, {}).values())
            if not demands:
                continue
            chosen = self._choose(op, array, demands)
            in_enter = chosen is not None and chosen.frame == "enter"
            if not in_enter and op not in self.no_enter:
                parts = rows_apart(op, array, demands, self.block)
                if parts is None and chosen is None:
                    parts = known_apart(op, array, demands, self.products, self.cheap)
                if parts is not None:
                    self.parts[op] = parts
                    return parts
            if chosen is None:
                for demand in self._united(op, array, demands):
                    self._pass_on(op, k, demand, found)
            else:
                self.at[array] = chosen
                self.covers.update(
                    ((array, each.window), chosen.window) for each in demands if chosen.has(each)
                )
                self._pass_on(
                    op, k, Demand(chosen.frame, False, chosen.window, chosen.times, {op}), found
                )
        return None

    def _united(self, op: Op, array: Array, demands: list[Demand]) -> list[Demand]:
        """Demands for parts of one window, such as the gates of a cell, as one for all of it."""
        if op.name in VIEWS or array in self.cheap:
            return demands
        groups: dict[Any, list[Demand]] = {}
        for each in demands:
            places = (None if span.start.constant else span for span in each.window)
            groups.setdefault((each.frame, each.early, *places), []).append(each)
        result = []
        for parts in groups.values():
            window = united([each.window for each in parts])
            if volume(window) > sum(volume(each.window) for each in parts):
                result += parts
                continue
            times = np.logical_or.reduce([each.times for each in parts])
            roots = set().union(*(each.roots for each in parts))
            result.append(dataclasses.replace(parts[0], window=window, times=times, roots=roots))
            self.covers.update(((array, each.window), window) for each in parts)
        return result

    def _pass_on(self, op: Op, k: int, demand: Demand, found: dict) -> None:
        windows, compute = follow(op, k, demand.window, demand.times)
        apart = compute.times if isinstance(compute, Switch) else []
        self.apart.update(each.tobytes() for each in apart)
        for i, (each, window) in enumerate(zip(op.ins, windows, strict=True)):
            if window is None:
                continue
            before = op.name == "delay" and i == 0
            times = apart[i] if apart else demand.times
            asked = dataclasses.replace(
                demand, window=window, times=times, early=demand.early or before
            )
            self._ask(each, asked, found if before else None)

    # --------------------------------------------------------------------------------------------
    # when
    def _choose(self, op: Op, array: Array, demands: list[Demand]) -> Schedule | None:
        """The schedule of an array that is remembered; None if it is computed where it is
        wanted."""
        must = array in self.carried
        if array in self.cheap and not must:
            return None
        asked = sum(int(d.times.sum()) * volume(d.window) for d in demands)
        wanted_whole = array in self.multiplied and asked > WASTE * int(np.prod(array.all_shape))
        if op.name in VIEWS and not must and not (wanted_whole and op.name != "slice"):
            return None
        one_in_enter = len(demands) == 1 and demands[0].frame == "enter"
        if one_in_enter and not must:
            return None
        if not must and not self.block and len(demands) == 1 and demands[0].asks_once():
            return None
        grid, need = needs(array, demands)
        if (need == NEVER).all():
            return None
        if self.block and op not in self.no_enter:
            row = need // (3 * self.block)
            by_rows = self._boxed("enter", op, array, grid, need, row, self.block)
            if by_rows is not None:
                return by_rows
        by_sites = self._boxed("step", op, array, grid, need, (need - 2) // 3)
        if by_sites is None and op.name != "delay":  # which only reads what is remembered
            by_sites = self._boxed("before", op, array, grid, need, (need - 1) // 3)
        if by_sites is None:  # as soon as it is known, for some are wanted together
            tick, code = (need - 2) // 3, np.broadcast_to(grid.coarse(array.code), need.shape)
            soon = np.where(code > 0, np.minimum(code, tick), tick)
            by_sites = self._boxed("step", op, array, grid, need, soon)
        if by_sites is None and must and self.clock.extra:
            by_sites = self._in_turn(op, array, grid, need)
        if by_sites is None:
            self._reconsider(array, demands, grid, need)
            if must:
                raise NoTurn(
                    "what its recurrence carries becomes known neither one site nor one row at a "
                    f"time (scan, {self.carried[array].line})"
                )
            self._note(op, array, asked)
            return None
        cost = int(by_sites.times.sum()) * volume(by_sites.window)
        return by_sites if must or cost < asked else None

    def _boxed(self, frame, op, array, grid, need, group, period=1):
        found = boxed(self.steps, frame, array, grid, need, group, period)
        # One iteration follows from the other, so several are no one product.
        axes = {*range(len(array.loops))} if op.loops else set()
        for delay in (op, self.carried.get(array, op)):
            axes |= {delay.params["axis"]} if delay.name == "delay" else set()
        return None if found and any(found.window[d].size > 1 for d in axes) else found

    def _in_turn(self, op, array, grid, need):
        """The iterations of a recurrence that are known as a row begins, at the ticks before its
        ranks; any other where it is wanted."""
        delay = self.carried[array]
        code = np.broadcast_to(grid.coarse(array.code), need.shape)
        need = np.where(code == codes.ZERO, NEVER, need)  # a zero is not computed
        tick = in_turn(need, code, self.clock, delay.params["axis"], delay.params["reverse"])
        found = self._boxed("step", op, array, grid, need, tick)
        return found and dataclasses.replace(found, zeros=True)

    def _reconsider(self, array, demands, grid, need):
        """If what is wanted before a row is known only after it began, whoever wants it there must
        do without rows."""
        late = (need < NEVER) & (grid.coarse(array.code) > (need - 1) // 3)
        roots = {root for d in demands if d.frame == "enter" for root in d.roots}
        if late.any() and roots - self.no_enter:
            self.no_enter |= roots
            raise _Again

    def _note(self, op, array, asked):
        entries = int(np.prod(array.all_shape))
        if asked > WASTE * entries and op.name not in codes.ELEMENTWISE:
            self.notes[op] = f"{op.name} {array.all_shape} is computed again at every rank"

    def work(self) -> tuple[float, Op | None]:
        """The multiplications of all steps, as a share of those of a pass at every rank; and the
        operation with the most."""
        derived, passes, most, largest = 0, 0, None, 0
        for op in self.ops:
            array = op.outs[0]
            if op.name not in PRODUCTS or not array.live or array not in self.demands:
                continue
            chosen, demands = self.at.get(array), self.demands[array].values()
            windows = {(self.covers.get((array, d.window), d.window)): d.times for d in demands}
            if chosen:
                windows = {chosen.window: chosen.times}
            inner = int(np.prod(op.ins[1].shape, dtype=int)) // max(1, array.shape[-1]) or 1
            count = inner * sum(volume(w) * int(times.sum()) for w, times in windows.items())
            derived += count
            passes += inner * int(np.prod(array.all_shape, dtype=int)) * self.num_ranks
            if count > largest:
                most, largest = op, count
        return derived / max(1, passes), most


def _same(a, b):
    def keys(found):
        return {v: {key: d.times.tobytes() for key, d in each.items()} for v, each in found.items()}

    return keys(a) == keys(b)
