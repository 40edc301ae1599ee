"""What a derived step remembers: one buffer for every array with a schedule that is asked for
again.

A buffer has the axes of its array, those that move with the rank first, then the batch, then the
rest; an array that a product reads whole has the batch first and the axes as the product reads
them. Around it lie zeros, as far as any window reaches over its edges. Along the first axis that
moves it is a ring if only the newest places are ever read: place p is kept in slot p mod R.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.graph import Array
from zoo.derived.network.windows import (
    Span,
    Window,
    fixed,
    is_full,
    moving,
    overhang,
    relative,
    volume,
)
from zoo.derived.plan import Plan
from zoo.derived.schedule import FRAMES

READS = 8  # slots of a ring that one window reads one by one, at most


@dataclasses.dataclass(eq=False, repr=False)
class Buffer:
    """How an array is kept.

    Attributes:
      array: the array.
      outer, inner: its axes before and behind the batch.
      margins: zeros before and behind along each axis.
      ring: the axis along which it is a ring, or -1.
      slots: the length of the ring.
    """

    array: Array
    outer: list[int]
    inner: list[int]
    margins: list[tuple[int, int]]
    ring: int
    slots: int

    @property
    def lengths(self) -> list[int]:
        """The length along each axis of the array."""
        lengths = [n + sum(m) for n, m in zip(self.array.all_shape, self.margins, strict=True)]
        if self.ring >= 0:
            lengths[self.ring] = self.slots
        return lengths

    @property
    def bytes(self) -> int:
        """Bytes for one example."""
        return math.prod(self.lengths) * np.dtype(self.array.dtype).itemsize

    def _long(self, axes: list[int]) -> list[int]:
        """Those of more than one place; the others would make the compiler copy the buffer."""
        return [d for d in axes if self.lengths[d] != 1]

    def zeros(self, batch: int) -> Any:
        """The buffer before anything is known."""
        before, behind = self._long(self.outer), self._long(self.inner)
        shape = [*(self.lengths[d] for d in before), batch, *(self.lengths[d] for d in behind)]
        return jnp.zeros(shape, self.array.dtype)

    def store(self, run: Any, buffer: Any, window: Window, value: Any) -> Any:
        """The buffer with a window, [batch, ...], in its place."""
        index, value = self.placed(run, buffer.shape, window, value)
        return lax.dynamic_update_slice(buffer, value, index)

    def placed(self, run: Any, shape: tuple[int, ...], window: Window, value: Any) -> tuple:
        """Where a window, [batch, ...], begins in a buffer of that shape, and how it lies there."""
        order = [*(d + 1 for d in self.outer), 0, *(d + 1 for d in self.inner)]
        index, size = self._part(run, shape, window)
        return index, value.transpose(order).reshape(size)

    def filled(self, run: Any, window: Window, value: Any, blank: Any) -> Any:
        """The buffer with a part that may cover many places of its ring."""
        if self.ring < 0:
            return self.store(run, blank, window, value)
        axis, span = self.ring, window[self.ring]
        front = jnp.moveaxis(value, axis + 1, 0)
        slots = jnp.zeros((self.slots, *front.shape[1:]), value.dtype)
        slots = slots.at[(int(span.first[0]) + np.arange(span.size)) % self.slots].set(front)
        window = (*window[:axis], fixed(0, self.slots, 1), *window[axis + 1 :])
        return self.store(run, blank, window, jnp.moveaxis(slots, 0, axis + 1))

    def load(self, run: Any, buffer: Any, window: Window) -> Any:
        """A window, [batch, ...]."""
        axis = self.ring
        if axis >= 0 and window[axis].turn >= 0:  # all slots, as they lie
            slots = fixed(0, self.slots, 1)
            lying = self._slice(run, buffer, (*window[:axis], slots, *window[axis + 1 :]))
            turn = window[axis].turn
            return jnp.roll(lying, -turn, axis + 1) if turn else lying
        if axis >= 0 and not (window[axis].start.constant and window[axis].last[0] < self.slots):
            first = window[axis].first
            ones = [
                self._slice(run, buffer, (*window[:axis], moving(first + i), *window[axis + 1 :]))
                for i in range(window[axis].size)
            ]
            return jnp.concatenate(ones, axis + 1) if len(ones) > 1 else ones[0]
        turned = [d for d, span in enumerate(window) if span.turn >= 0]
        if turned:
            full = list(window)
            for d in turned:
                full[d] = fixed(0, self.array.all_shape[d], 1)
            value = self._slice(run, buffer, tuple(full))
            return run.cut(value, True, relative(window, tuple(full)))
        return self._slice(run, buffer, window)

    def _slice(self, run, buffer, window):
        index, size = self._part(run, buffer.shape, window)
        if tuple(size) != buffer.shape:
            buffer = lax.dynamic_slice(buffer, index, size)
        order, batch = [*self.outer, -1, *self.inner], buffer.shape[len(self._long(self.outer))]
        buffer = buffer.reshape([batch if d < 0 else window[d].size for d in order])
        return buffer.transpose([order.index(d) for d in range(-1, len(window))])

    def _part(self, run, shape, window):
        """Where a window begins in a buffer of that shape, and its size there."""
        before, behind = self._long(self.outer), self._long(self.inner)
        starts = {d: jnp.int32(self._start(run, d, window[d])) for d in (*before, *behind)}
        index = [*(starts[d] for d in before), jnp.int32(0), *(starts[d] for d in behind)]
        batch = shape[len(before)]
        size = [*(window[d].size for d in before), batch, *(window[d].size for d in behind)]
        return index, size

    def _start(self, run: Any, axis: int, span: Span) -> Any:
        if axis == self.ring:
            return run.at(moving(span.first % self.slots).start)
        return run.at(moving(span.first + self.margins[axis][0]).start)

    def zeros_around(self, axis: int, span: Span, times: np.ndarray) -> bool:
        """Whether a window that leaves the array along the axis finds zeros there."""
        return axis != self.ring or overhang(span, self.array.all_shape[axis], times)[1] == 0


def buffers(plan: Plan) -> dict[Array, Buffer]:
    """A buffer for every array that is asked for at another moment, or in another part, than it is
    computed."""
    result = {}
    for array, schedule in plan.at.items():
        demands = plan.demands[array].values()
        again = [
            d
            for d in demands
            if d.early
            or d.frame != schedule.frame
            or (d.window != schedule.window and (array, d.window) not in plan.covers)
            or (d.times & ~schedule.times).any()
        ]
        if not again and not schedule.sparse:
            continue
        windows = [schedule.window, *(d.window for d in demands)]
        moves = [
            d for d in range(len(array.all_shape)) if not all(w[d].start.constant for w in windows)
        ]
        margins = []
        for d, n in enumerate(array.all_shape):
            pairs = [overhang(each.window[d], n, each.times) for each in demands]
            margins.append(
                (max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0))
            )
        ring, slots = _ring(plan, array, moves, [*demands])
        if ring >= 0:
            margins[ring] = (0, 0)
        rest = [d for d in range(len(array.all_shape)) if d not in moves]
        largest = max(volume(each.window) for each in demands)
        if array in plan.multiplied and largest > 2 * volume(schedule.window):
            order = plan.multiplied[array]
            result[array] = Buffer(array, [], order, margins, ring, slots)
        else:
            result[array] = Buffer(array, moves, rest, margins, ring, slots)
    return result


def _ring(plan, array, moves, demands):
    """The axis along which only the newest places are read, and how many of them.

    Either few are read one by one, or all slots as they lie, by a turned window; a window that
    starts at place 0 may then be read too, until the ring is full.
    """
    schedule = plan.at[array]
    for axis in moves:
        written = np.maximum.accumulate(schedule.window[axis].first)
        before = np.append(-1, written[:-1])  # the newest place as a rank begins
        if schedule.window[axis].size != 1 or (written != schedule.window[axis].first).any():
            continue
        length, lag = array.all_shape[axis], 0
        turned = {d.window[axis].size for d in demands if d.window[axis].turn >= 0}
        for demand in demands:
            span = demand.window[axis]
            if turned and not (
                demand.times.any() and _in_ring(span, turned, written, demand.times)
            ):
                return -1, 0
            if turned:
                continue
            if span.size > READS or is_full(span, length) or not demand.times.any():
                return -1, 0
            newest = before if _precedes(demand, schedule) else written
            lag = max(lag, int((newest - span.first)[demand.times].max()))
            if (span.last[demand.times] > written[demand.times] + READS).any():
                return -1, 0
        if turned:
            return (axis, *turned) if len(turned) == 1 and min(turned) < length else (-1, 0)
        slots = lag + 1
        return (axis, slots) if slots * 2 <= length else (-1, 0)
    return -1, 0


def _precedes(demand, schedule):
    """Whether it is read before the array itself is computed at that rank."""
    behind = FRAMES.index(schedule.frame) - FRAMES.index(demand.frame)
    return behind > 0 or (behind == 0 and demand.early)


def _in_ring(span, turned, written, times):
    """Whether a window finds all its places in a ring of as many slots as turned windows have."""
    slots = min(turned)
    if span.turn >= 0 or span.size <= READS:
        there = (written - span.first)[times].max() < slots
        return there and (span.turn >= 0 or bool((span.last <= written)[times].all()))
    return span.start.constant and span.last[0] < slots and written[times].max() < slots
