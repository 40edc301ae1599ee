"""The one program of a coder: the model's step, and the parts of each symbol that comes of it.

Writing and reading run this program, on batches of the same size. The last bit of a float32 decides
which parts a symbol has, and another program, such as one pass over all sites, has other last bits.
So a known value takes the same way as one that is read: the step, how the parts are shared, and a
choice at the very end.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

import zoo
from sample.coding import single_lane, streams
from sample.coding.lanes import ladder
from sample.coding.streams import States
from sample.coding.symbols import Symbol, has_windows, peak_of, per_site, shares, symbol_at
from zoo.foundation.precision import without_x64

WRITING = -1  # of `Job.way`


class Coding(NamedTuple):
    """A batch, coded up to some rank.

    Attributes:
      cache: the decoder's cache.
      x: values so far, [batch, num_sites, *event_shape].
      parts: start and count of every symbol written, then start and count of the likeliest instead,
        if it is asked for, [num_sites, symbols, 4, batch].
    """

    cache: zoo.Cache
    x: Array
    parts: Int32[Array, "num_sites symbols 4 batch"]


class Job(NamedTuple):
    """What is done with a batch.

    Attributes:
      known: values to write, [batch, num_sites, *event_shape]; anything if they are read.
      way: WRITING, or how many steps of growth the lanes have behind them that values are read off.
      lengths: how many ranks of each row there are; the others cost nothing.
      first, end: the ranks.
      with_peaks: whether the likeliest symbols are asked for: writing onto one lane needs them.
      available: how many words there are; it stops once it has read more.
    """

    known: Any
    way: Any
    lengths: Int32[Any, " batch"]
    first: Any
    end: Any
    with_peaks: Any
    available: Any


@without_x64
@functools.partial(jax.jit, static_argnums=(0, 3))
def begin(model: Any, variables: Any, context: Any, batch: int) -> Coding:
    """A batch of which nothing is coded yet."""
    decoder, head = zoo.decoder(model, variables, batch, context), model.head
    x = jnp.zeros((batch, model.num_sites, *head.event_shape), head.dtype)
    parts = jnp.zeros((model.num_sites, per_site(head), 4, batch), jnp.int32)
    return Coding(decoder.init(), x, parts)


@without_x64
@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
def advance(
    model: Any,
    variables: Any,
    context: Any,
    coding: Coding,
    job: Job,
    states: States,
    words: UInt32[Array, " capacity"],
) -> tuple[Coding, States]:
    """Codes the ranks `job.first` to `job.end - 1`, or until the words are used up."""
    batch = len(job.lengths)
    decoder = zoo.decoder(model, variables, batch, context)
    block = decoder.block
    sites = jnp.asarray(model.sites)

    def goes_on(end, carry):
        t, _, states = carry
        return (t < end) & (states.position <= job.available)

    def visit(carry):
        t, (cache, x, parts), states = carry
        params, cache = decoder.step(cache, _canvas(model, x), t)
        known = jax.lax.dynamic_index_in_dim(job.known, sites[t], 1, keepdims=False)
        known = known.reshape(batch, -1).astype(jnp.int32)  # [batch, symbols]
        values: list[Array] = []
        found = []
        for i in range(known.shape[1]):
            shared = shares(model.head, params, values)
            value, part, states = _coded(model.head, shared, known[:, i], t, job, states, words)
            values.append(value)
            found.append(part)
        value = jnp.stack(values, -1).reshape(batch, *model.head.event_shape)
        x = jax.lax.dynamic_update_index_in_dim(x, value.astype(x.dtype), sites[t], 1)
        parts = jax.lax.dynamic_update_index_in_dim(parts, jnp.stack(found), t, 0)
        return t + 1, Coding(cache, x, parts), states

    def visit_block(carry):
        first, coding, states = carry
        end = jnp.minimum((first // block + 1) * block, job.end)
        entered = jax.lax.cond(
            first % block == 0,
            lambda cache, x: decoder.enter(cache, _canvas(model, x), first),
            lambda cache, x: cache,
            coding.cache,
            coding.x,
        )
        coding = coding._replace(cache=entered)
        return jax.lax.while_loop(functools.partial(goes_on, end), visit, (first, coding, states))

    start = job.first, coding, states
    _, coding, states = jax.lax.while_loop(functools.partial(goes_on, job.end), visit_block, start)
    return coding, states


def _coded(head, shared, known, t, job, states, words):
    """The next value of each row, the parts [4, batch] of its symbol, and the states after it."""
    rows, is_there = len(known), t < job.lengths
    is_known = job.way == WRITING

    def write():
        symbol = symbol_at(head, shared, jnp.zeros(rows, jnp.int32), known, is_known)
        peak = Symbol(*[jnp.zeros(rows, jnp.int32)] * 3)
        if has_windows(head):
            zeros = peak
            peak = jax.lax.cond(job.with_peaks, lambda: peak_of(head, shared), lambda: zeros)
        return symbol.value, jnp.stack([symbol.start, symbol.width, peak.start, peak.width]), states

    def read(lanes):
        """Off so many lanes: row r is on lane r % lanes, and its rows follow one another."""
        turns = -(-rows // lanes)

        def in_turns(leaf):
            padded = jnp.pad(leaf, [(0, turns * lanes - rows)] + [(0, 0)] * (leaf.ndim - 1))
            return padded.reshape(turns, lanes, *leaf.shape[1:])

        def turn(lane, part):
            shared, is_there = part
            slot = streams.slots(lane)
            symbol = symbol_at(head, shared, slot, slot, is_known)
            lane = streams.popped(lane, symbol.start, symbol.width, is_there, words)
            return lane, symbol.value

        lane = States(states.high[:lanes], states.low[:lanes], states.position)
        lane, values = jax.lax.scan(turn, lane, jax.tree.map(in_turns, (shared, is_there)))
        return values.reshape(-1)[:rows], nothing, _with(states, lane)

    def read_one_lane():
        peak = peak_of(head, shared)
        lane = States(states.high[:1], states.low[:1], states.position)
        values, lane = single_lane.read(head, shared, peak, is_there, lane, words)
        return values, nothing, _with(states, lane)

    nothing = jnp.zeros((4, rows), jnp.int32)
    several = [functools.partial(read, lanes) for lanes in ladder(rows)]
    one = [read_one_lane] if rows > 1 and has_windows(head) else []
    ways: list[Callable[..., Any]] = [write, *one, *several[len(one) :]]
    value, part, states = jax.lax.switch(job.way - WRITING, ways)
    return jnp.where(is_there, value, 0), part, states


def _with(states, lane):
    """All states, the first of which are those of `lane` now."""
    num = len(lane.high)
    high, low = states.high.at[:num].set(lane.high), states.low.at[:num].set(lane.low)
    return States(high, low, lane.position)


def _canvas(model, x):
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)
