"""All rows on one lane: rows that are almost certain to have their likeliest symbol share a symbol.

While a file has one lane, its rows are read one after the other. Where most of them are as good as
certain, such as at the border of digits, that would be hundreds of steps for nothing. So rows from
some row on whose chances to *miss* their likeliest symbol are 1/128 together form a window, and one
symbol tells whether none of them misses it, or else which row is the first that does, and by which
symbol:

    none   2^28 - sum of all misses           row r, symbol v   the parts that v has in row r

After a miss a new window begins behind its row. A row that misses more often than that is read by
itself. The sum of chances stands for the chance of any, which is a little less. Heads of many values
have no windows, and all their rows are read one by one.
"""

import bisect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, UInt32

from sample.coding import streams
from sample.coding.streams import TOTAL, States
from sample.coding.symbols import Halving, Symbol, Table, symbol_at

WINDOW = TOTAL >> 7  # parts that the misses of a window have together
MOST_ROWS = 2**9  # so that the sum of the misses of all rows fits into 32 bits


def written(
    starts: np.ndarray, counts: np.ndarray, peak_starts: np.ndarray, peak_counts: np.ndarray
) -> list[tuple[int, int]]:
    """The symbols (start, count) that tell those of all rows, in the order of reading.

    Example:
      >>> written(*np.array([[0, 0], [TOTAL - 3, TOTAL - 4]] * 2))
      [(0, 268435449)]
    """
    misses = np.minimum(TOTAL - peak_counts, WINDOW + 1)
    is_missed = (starts != peak_starts) | (counts != peak_counts)
    missed = np.flatnonzero(is_missed).tolist()[::-1]
    each, sums = misses.tolist(), np.cumsum(misses).tolist()
    symbols, first = [], 0
    while first < len(each):
        while missed and missed[-1] < first:
            missed.pop()
        if each[first] > WINDOW:
            symbols.append((int(starts[first]), int(counts[first])))
            first += 1
            continue
        before = sums[first] - each[first]
        end = bisect.bisect_right(sums, before + WINDOW)
        none = TOTAL - sums[end - 1] + before
        if not missed or missed[-1] >= end:
            symbols.append((0, none))
            first = end
            continue
        row = missed[-1]
        start = int(starts[row])
        if start > peak_starts[row]:
            start -= int(peak_counts[row])
        start += none + sums[row] - each[row] - before
        symbols.append((start, int(counts[row])))
        first = row + 1
    return symbols


def read(
    head: Any,
    shared: Table | Halving,
    peak: Symbol,
    is_there: Bool[Array, " batch"],
    lane: States,
    words: UInt32[Array, " capacity"],
) -> tuple[Int32[Array, " batch"], States]:
    """The values of all rows off the only lane, and its state after them."""
    rows = jnp.arange(len(is_there))
    misses = jnp.where(is_there, jnp.minimum(TOTAL - peak.width, WINDOW + 1), 0)
    sums = streams.prefix_sums(misses)
    active = jnp.ones(1, bool)

    def one(carry):
        first, values, lane = carry
        so_far = sums[first] - misses[first]
        end = (sums <= so_far + WINDOW).sum(dtype=jnp.int32)  # of the window
        none = TOTAL - (sums[end - 1] - so_far)
        slot = streams.slots(lane)[0]
        is_alone = misses[first] > WINDOW
        is_hit = ~is_alone & (slot < none)
        behind = slot - none
        row = jnp.where(is_alone, first, (sums <= so_far + behind).sum(dtype=jnp.int32))
        row = jnp.minimum(row, len(rows) - 1)
        before = none + sums[row] - misses[row] - so_far
        # In the row the parts of its likeliest symbol are left out.
        place = slot - before
        place = place + jnp.where(place >= peak.start[row], peak.width[row], 0)
        place = jnp.where(is_alone, slot, place)
        here = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, row, 1), shared)
        zero = jnp.zeros(1, jnp.int32)
        symbol = symbol_at(head, here, zero + place, zero, jnp.zeros((), bool))
        left_out = jnp.where(symbol.start[0] > peak.start[row], peak.width[row], 0)
        start = jnp.where(is_alone, symbol.start[0], before + symbol.start[0] - left_out)
        start = jnp.where(is_hit, 0, start)
        count = jnp.where(is_hit, none, symbol.width[0])
        lane = streams.popped(lane, zero + start, zero + count, active, words)
        values = jnp.where((rows == row) & ~is_hit, symbol.value[0], values)
        return jnp.where(is_hit, end, row + 1), values, lane

    begin = jnp.zeros((), jnp.int32), peak.value, lane
    _, values, lane = jax.lax.while_loop(lambda carry: carry[0] < len(rows), one, begin)
    return values, lane
