"""The one program of a coder: the model's step, and the parts of each symbol that comes of it.

Writing and reading run this program, on batches of the same size. The last bit of a float32 decides
which parts a symbol has, and another program, such as one pass over all sites, has other last bits.
So a known value takes the same way as one that is read: the step, how the parts are shared, and a
choice at the very end.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

import zoo
from sample.coding import single_lane, streams
from sample.coding.streams import States
from sample.coding.symbols import Symbol, peak_of, per_site, shares, symbol_at
from zoo.foundation.precision import without_x64


class Coding(NamedTuple):
    """A batch, coded up to some rank.

    Attributes:
      cache: the decoder's cache.
      x: values so far, [batch, num_sites, *event_shape].
      parts: start and count of every symbol, then start and count of the likeliest instead, if it is
        asked for, [num_sites, symbols, 4, batch].
    """

    cache: zoo.Cache
    x: Array
    parts: Int32[Array, "num_sites symbols 4 batch"]


class Job(NamedTuple):
    """What is done with a batch.

    Attributes:
      known: values to write, [batch, num_sites, *event_shape]; anything if they are read.
      is_known: whether they are written.
      lengths: how many ranks of each row there are; the others cost nothing.
      first, end: the ranks.
      lanes: how many rows are read at once; all rows if values are written.
      with_peaks: whether the likeliest symbols are asked for: one lane needs them.
      available: how many words there are; it stops once it has read more.
    """

    known: Any
    is_known: Any
    lengths: Int32[Array, " batch"]
    first: Any
    end: Any
    lanes: Any
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
    """The next value of each row, the parts [4, batch] of its symbol, and the states after it.

    Row r is on lane r % lanes: the rows of a lane are read one after the other.
    """
    rows = jnp.arange(len(known))
    on_lane, turn = rows % job.lanes, rows // job.lanes
    is_there = t < job.lengths
    is_read = is_there & ~job.is_known
    nothing = Symbol(*[jnp.zeros(known.shape, jnp.int32)] * 3)
    peak = jax.lax.cond(job.with_peaks, lambda: peak_of(head, shared), lambda: nothing)

    def read(i, carry):
        found, states = carry
        seen = States(states.high[on_lane], states.low[on_lane], states.position)
        symbol = symbol_at(head, shared, streams.slots(seen), known, job.is_known)
        after = streams.popped(seen, symbol.start, symbol.width, is_read & (turn == i), words)
        # Lane l is where row i lanes + l has left it.
        row = jnp.minimum(i * job.lanes + rows, len(rows) - 1)
        is_lane = (rows < job.lanes) & (i * job.lanes + rows < len(rows))
        high = jnp.where(is_lane, after.high[row], states.high)
        low = jnp.where(is_lane, after.low[row], states.low)
        found = jax.tree.map(lambda new, old: jnp.where(turn == i, new, old), symbol, found)
        return found, States(high, low, after.position)

    def read_one_lane():
        values, after = single_lane.read(head, shared, peak, is_there, states, words)
        return Symbol(values, nothing.start, nothing.width), after

    def read_some_lanes():
        turns = (len(known) + job.lanes - 1) // job.lanes
        return jax.lax.fori_loop(0, turns, read, (nothing, states))

    def read_all_lanes():
        symbol = symbol_at(head, shared, streams.slots(states), known, job.is_known)
        return symbol, streams.popped(states, symbol.start, symbol.width, is_read, words)

    ways = read_one_lane, read_some_lanes, read_all_lanes
    is_all = job.lanes == len(known)
    way = jnp.where(is_all, 2, jnp.where(job.lanes == 1, 0, 1))
    found, states = jax.lax.switch(way, ways)
    part = jnp.stack([found.start, found.width, peak.start, peak.width])
    return jnp.where(is_there, found.value, 0), part, states


def _canvas(model, x):
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)
