"""A plan at work: the functions `init`, `enter` and `step` of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.derived.network.finality import ZERO
from zoo.derived.network.graph import Array, Op
from zoo.derived.network.windows import (
    Span,
    Table,
    Window,
    fixed,
    is_full,
    overhang,
    relative,
    sizes,
)
from zoo.derived.rules import follow
from zoo.derived.selections import Switch
from zoo.derived.work.program import Program, Work
from zoo.derived.work.weights import evaluate


class Run:
    """One call of `enter` or `step`: what is known at its tick, one of `part`."""

    def __init__(
        self,
        program: Program,
        known: dict[Array, Any],
        prepared: dict,
        batch: int,
        x: Any,
        t: Any,
        kept: dict,
        part: np.ndarray | None = None,
    ):
        self.program, self.known, self.prepared_values, self.batch = program, known, prepared, batch
        self.t, self.part = jnp.asarray(t, jnp.int32), part
        self.x, self.kept, self.before = x[:, None], dict(kept), dict(kept)
        self.now: dict[tuple[Array, Window], Any] = {}
        self.places_of: dict[Table, Any] = {}
        self.products: dict[Op, Any] = {}
        self.new: dict[Array, tuple[Window, Any]] = {}  # to be put on shelves

    # --------------------------------------------------------------------------------------------
    # for rules
    def at(self, table: Table) -> Any:
        """What a table says at this rank."""
        if table.constant:
            return int(table.values[0])
        if table not in self.places_of:
            self.places_of[table] = _formula(
                table.values, self.t, self.program.plan.block, self.part
            )
        return self.places_of[table]

    def map(self, arrays: Sequence[Array], function: Callable, *values: Any) -> Any:
        """A function of one example, over the batch."""
        axes = [0 if each.batched else None for each in arrays[: len(values)]]
        return jax.vmap(function, axes)(*values) if 0 in axes else function(*values)

    def prepared(self, op: Op, function: Callable, value: Any) -> Any:
        """A function of weights, computed before the loop over ranks where that is possible."""
        if op in self.prepared_values:
            return self.prepared_values[op]
        return self.map([op.ins[1]], function, value)

    def evaluate(self, op: Op, values: Sequence[Any]) -> list:
        """All outputs of an operation, for all iterations of its loops."""
        return evaluate(op, values)

    def cut(self, value: Any, batched: bool, window: Window, shape: Any = None) -> Any:
        """A part of a value; zeros where it leaves it."""
        del shape
        offset = int(batched)
        for d, span in enumerate(window):
            n = value.shape[d + offset]
            if not is_full(span, n):
                value = self._cut_axis(value, d + offset, span, n)
        return value

    def _cut_axis(self, value, axis, span, n):
        if span.turn >= 0:
            places = self.places(span, 0, 0).reshape(-1)
            return jnp.take(value, places, axis=axis, mode="clip")
        low, high = overhang(span, n, np.ones(len(span.first), bool))
        start = self.at(span.start)
        if not (low or high):
            if isinstance(start, int):
                return lax.slice_in_dim(value, start, start + span.size, axis=axis)
            return lax.dynamic_slice_in_dim(value, start, span.size, axis)
        size = min(span.size, n)  # what lies inside, moved to where it belongs among zeros
        inside = Table(np.clip(span.first, 0, n - size))
        value = lax.dynamic_slice_in_dim(value, self.at(inside), size, axis)
        config = [(span.size, span.size, 0) if d == axis else (0, 0, 0) for d in range(value.ndim)]
        value = lax.pad(value, jnp.zeros((), value.dtype), config)
        shift = Table(np.clip(span.size + span.first - inside.values, 0, size + span.size))
        return lax.dynamic_slice_in_dim(value, self.at(shift), span.size, axis)

    def fit(self, value: Any, batched: bool, wanted: bool, shape: tuple[int, ...]) -> Any:
        """The value in a shape with more axes of length 1, or repeated along them; with the batch
        if `wanted`."""
        own = value.shape[int(batched) :]
        lead = value.shape[:1] if batched else ()
        if np.prod(own, dtype=int) == np.prod(shape, dtype=int):
            value = value.reshape(*lead, *shape)
        else:
            value = jnp.broadcast_to(
                value.reshape(*lead, *[1] * (len(shape) - len(own)), *own), (*lead, *shape)
            )
        return (
            value if batched or not wanted else jnp.broadcast_to(value[None], (self.batch, *shape))
        )

    def same(self, op: Op, i: int, value: Any) -> Any:
        """An input with the batch in front if the output has it."""
        if op.ins[i].batched or not op.outs[0].batched:
            return value
        return jnp.broadcast_to(jnp.asarray(value)[None], (self.batch, *value.shape))

    def places(self, span: Span, axis: int, rank: int) -> Any:
        """The places that a span covers, [1, ..., size, ..., 1] with the batch in front."""
        shape = [span.size if d == axis + 1 else 1 for d in range(rank + 1)] if rank else [-1]
        steps, start = jnp.arange(span.size, dtype=jnp.int32), self.at(span.start)
        if span.turn >= 0:
            steps = lax.rem(steps + (span.turn + span.size) - start % span.size, span.size)
        return (start + steps).reshape(shape)

    def outside(
        self, value: Any, batched: bool, axis: int, span: Span, length: int, filling: Any
    ) -> Any:
        """The value with `filling` wherever the span leaves an axis of that length."""
        places = self.places(span, axis, value.ndim - int(batched))
        inside = (places >= 0) & (places < length)
        inside = inside if batched else inside[0]
        return jnp.where(inside, value, jnp.asarray(filling, value.dtype).reshape([1] * value.ndim))

    def zeros_around(self, array: Array, axis: int, span: Span, times: np.ndarray) -> bool:
        """Whether what is read of an array beyond its edges is zero already."""
        buffer = self.program.buffers.get(array)
        if buffer is not None:
            return buffer.zeros_around(axis, span, times)
        return not array.live or array is self.program.plan.canvas

    def is_blank(self, array: Array, times: np.ndarray) -> bool:
        """Whether nothing of an array is remembered yet at these ticks, so that its buffer is zero."""
        if self.part is None or array not in self.program.buffers:
            return False
        return not self.program.plan.at[array].times[: np.flatnonzero(times)[-1]].any()

    # --------------------------------------------------------------------------------------------
    # at work
    def read(self, array: Array, window: Window, early: bool = False) -> Any:
        """A window of an array; `early`, as it was before this frame."""
        if array.value is not None:
            return self.cut(jnp.asarray(array.value), False, window)
        if array is self.program.plan.canvas:
            return self._drawn(window)
        if not array.live:
            part = self.prepared_values.get((array, window))
            return self.cut(self.known[array], array.batched, window) if part is None else part
        if (array, window) not in self.now:
            buffer = self.program.buffers.get(array)
            whole = self.program.plan.covers.get((array, window), window)
            if buffer is not None and (array, whole) not in self.now:
                kept = self.before if early else self.kept
                value = buffer.load(self, kept[array], window)
                return self._but_zeros(array, window, value)
            if whole != window:
                self.now[array, window] = self.cut(
                    self.read(array, whole), array.batched, relative(window, whole)
                )
                return self.now[array, window]
            self.now[array, window] = self.compute(
                array, window, np.ones(self.program.plan.num_ranks, bool)
            )
        return self.now[array, window]

    def _but_zeros(self, array, window, value):
        """What a buffer holds, and zeros in place of what is zero and was not computed."""
        if not self.program.plan.at[array].zeros:
            return value
        pairs = zip(window, array.code.shape, strict=True)
        window = tuple(fixed(0, 1, len(span.first)) if n == 1 else span for span, n in pairs)
        there = self.cut(jnp.asarray(array.code != ZERO), False, window)
        return jnp.where(there[None], value, jnp.zeros_like(value))

    def _drawn(self, window):
        """A window of the canvas, zero where nothing is drawn yet."""
        if (self.program.plan.canvas, window) not in self.now:
            value = self.cut(self.x, True, window)
            drawn = self.cut(jnp.asarray(self.program.ranks, jnp.int32), False, window) < self.t
            self.now[self.program.plan.canvas, window] = jnp.where(
                drawn[None], value, jnp.zeros((), value.dtype)[(None,) * value.ndim]
            )
        return self.now[self.program.plan.canvas, window]

    def compute(self, array: Array, window: Window, times: np.ndarray) -> Any:
        """A window of an array, from its inputs."""
        op = array.op
        assert op is not None
        if self.part is not None and op in self.program.together:
            return self._together(op)
        needs, compute = follow(op, op.outs.index(array), window, times)
        if isinstance(compute, Switch):
            return compute(self)
        values = []
        for i, (each, need) in enumerate(zip(op.ins, needs, strict=True)):
            early = op.name == "delay" and i == 0  # the iteration before
            values.append(None if need is None else self.read(each, need, early))
        if self.part is not None and (product := self.program.apart.get(op)) is not None:
            values[product] = lax.optimization_barrier(values[product])
        value = compute(self, *values)
        return value.reshape((self.batch, *sizes(window))) if array.batched else value

    def _together(self, op):
        if op not in self.products:
            group = self.program.together[op]
            self.products |= group.compute(self, self.prepared_values[group])
        return self.products[op]

    def work(self, frames: dict[str, Work]) -> None:
        """All that is computed in some frames, one after the other."""
        for each in frames.values():
            self.before, self.new = dict(self.kept), {}
            self._work(each)
            self._put_on_shelves()

    def _put_on_shelves(self):
        for shelf in self.program.shelves:
            if shelf.buffers[0].array in self.new:
                self.kept[shelf] = shelf.store(self, self.kept[shelf], self.new)
                self.kept |= shelf.apart(self.kept[shelf])

    def _work(self, groups):
        for key, items in groups:
            if not key:
                self._do(items)
                continue
            stored = [array for array, *_ in items if array in self.program.buffers]
            if not stored:
                continue  # wanted by none but those in the conditions
            now = Table(np.frombuffer(key, bool).astype(np.int64))

            def branch(kept, items=items, stored=stored):
                inner = self.inside(kept, stored)
                inner._do(items)
                return [inner.kept[array] for array in stored]

            kept = lax.cond(
                self.at(now) == 1, branch, lambda kept: kept, [self.kept[array] for array in stored]
            )
            self.kept.update(zip(stored, kept, strict=True))

    def inside(self, kept: Sequence[Any] = (), stored: Sequence[Array] = ()) -> Run:
        """The same call within a condition, where these buffers are others."""
        inner = object.__new__(Run)
        inner.__dict__.update(self.__dict__)
        inner.kept = {**self.kept, **dict(zip(stored, kept, strict=True))}
        inner.now, inner.places_of = dict(self.now), dict(self.places_of)
        return inner

    def _do(self, items):
        for array, window, times in items:
            if (array, window) not in self.now:
                self.now[array, window] = self.compute(array, window, times)
            value, buffer = self.now[array, window], self.program.buffers.get(array)
            if array in self.program.shelf_of:
                self.new[array] = window, value
            elif buffer is not None:
                self.kept[array] = buffer.store(self, self.kept[array], window, value)


def _formula(values, t, block, part):
    """The entry of a table at tick t, one of `part`: by arithmetic where that is all it is."""
    ranks, table = np.arange(len(values)), values
    if part is not None:
        ranks, values = ranks[part], values[part]
        if (values == values[0]).all():
            return int(values[0])
    forms = [(ranks, lambda: t)]
    if block:
        forms += [
            (ranks // block, lambda: lax.div(t, jnp.int32(block))),
            (ranks % block, lambda: lax.rem(t, jnp.int32(block))),
        ]
    for form, made in forms:
        if (values - values[0] == form - form[0]).all():
            return made() + jnp.int32(values[0] - form[0])
    return lax.dynamic_index_in_dim(jnp.asarray(table, jnp.int32), t, 0, keepdims=False)
