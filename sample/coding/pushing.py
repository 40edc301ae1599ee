"""Writing the symbols of a batch, rank by rank from its last one, in one compiled loop."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, UInt32, UInt64

from sample.coding.streams import BITS, TOTAL
from zoo.foundation.precision import enable_x64, without_x64


class Pushed(NamedTuple):
    """What becomes of some ranks.

    Attributes:
      rank: the first that is pushed.
      x: the states of all lanes, [rows].
      words: what each symbol has written, if anything; as they are read, [num_sites, symbols, rows].
      is_written: where there is a word, [num_sites, symbols, rows].
    """

    rank: Int32[Array, ""]
    x: UInt64[Array, " rows"]
    words: UInt32[Array, "num_sites symbols rows"]
    is_written: Bool[Array, "num_sites symbols rows"]


def push_ranks(
    parts: Int32[Any, "num_sites symbols 4 rows"], x: Any, lanes: int, end: int, needed: int
) -> Pushed:
    """Pushes the symbols of the ranks end - 1, end - 2, ... until `needed` words are written.

    Args:
      parts: start and count of every symbol, as `program.advance` has found them.
      x: the states of the lanes, uint64 [rows]; those from `lanes` on mean nothing.
      lanes: how many there are. Row r is on lane r % lanes, and its last rows come first.
      end: behind the first rank to push.
      needed: at which number of words it stops, at the end of a rank.
    """
    with enable_x64(True):
        return _push_ranks(parts, x, *map(np.int32, (lanes, end, needed)))


@jax.jit
def _push_ranks(parts, x, lanes, end, needed):
    num_sites, symbols, _, rows = parts.shape
    row = jnp.arange(rows, dtype=jnp.int32)
    on_lane, of_turn = row % lanes, row // lanes
    turns = (rows + lanes - 1) // lanes

    def push(symbol, x):
        """Pushes a symbol of each row."""
        start, count = symbol[0].astype(jnp.uint64), symbol[1].astype(jnp.uint64)

        def turn(k, carry):
            x, words, is_written = carry
            i = turns - 1 - k
            state = x[on_lane]
            is_full = (state >> (64 - BITS)) >= count
            word = state.astype(jnp.uint32)
            state = jnp.where(is_full, state >> 32, state)
            times = state // count
            state = (times << BITS) + (state - times * count) + start
            # Lane l is where row i lanes + l has left it.
            source = i * lanes + row
            is_lane = (row < lanes) & (source < rows)
            x = jnp.where(is_lane, state[jnp.minimum(source, rows - 1)], x)
            words = jnp.where(of_turn == i, word, words)
            return x, words, jnp.where(of_turn == i, is_full, is_written)

        nothing = x, jnp.zeros(rows, jnp.uint32), jnp.zeros(rows, bool)
        return jax.lax.fori_loop(0, turns, turn, nothing)

    def rank(carry):
        t, x, words, is_written, num = carry
        t = t - 1
        for i in reversed(range(symbols)):
            x, word, is_full = push(parts[t, i], x)
            words = words.at[t, i].set(word)
            is_written = is_written.at[t, i].set(is_full)
            num = num + is_full.sum(dtype=jnp.int32)
        return t, x, words, is_written, num

    shape = num_sites, symbols, rows
    begin = end, x, jnp.zeros(shape, jnp.uint32), jnp.zeros(shape, bool), jnp.int32(0)
    t, x, words, is_written, _ = jax.lax.while_loop(
        lambda carry: (carry[0] > 0) & (carry[-1] < needed), rank, begin
    )
    return Pushed(t, x, words, is_written)


@without_x64
@jax.jit
def checked_parts(
    parts: Int32[Array, "num_sites symbols 4 rows"], lengths: Int32[Array, " rows"]
) -> tuple[Int32[Array, "num_sites symbols 4 rows"], Bool[Array, ""]]:
    """The parts, where those of ranks that a row lacks cost nothing; and whether all are sound."""
    is_there = jnp.arange(len(parts))[:, None, None, None] < lengths[None, None, None]
    all_parts = jnp.array([0, TOTAL, 0, TOTAL], jnp.int32)[None, None, :, None]
    parts = jnp.where(is_there, parts, all_parts)
    start, count = parts[:, :, 0], parts[:, :, 1]
    return parts, ((count >= 1) & (start >= 0) & (start <= TOTAL - count)).all()
