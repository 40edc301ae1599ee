"""Slices of arrays by rank, and blocks: the runs of ranks that share one `enter`; units by degree."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.heads import Head


def ordered_slice(
    values: Array, start: Array | int, size: int, order: np.ndarray, axis: int
) -> Array:
    """values[order[start : start + size]] along `axis`; start + size must not exceed the length.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> ordered_slice(jnp.array([10, 11, 12, 13]), 1, 2, np.array([3, 2, 0, 1]), 0).tolist()
      [12, 10]
    """
    if np.array_equal(order, np.arange(len(order))):  # a plain slice is faster than a gather
        return jax.lax.dynamic_slice_in_dim(values, start, size, axis)
    wanted = jax.lax.dynamic_slice_in_dim(jnp.asarray(order), start, size)
    return jnp.take(values, wanted, axis=axis, mode="clip")


def at_ranks(values: Array, t: Array | int, size: int, sites: np.ndarray, axis: int) -> Array:
    """The slices of `values` at the ranks t .. t + size - 1, where `axis` counts sites.

    `sites` gives the site of each rank. The last block of ranks may be shorter than `size`: what
    lies past the last rank is arbitrary.

    Example:
      >>> import jax.numpy as jnp, numpy as np
      >>> at_ranks(jnp.array([10, 11, 12, 13]), 2, 2, np.array([3, 2, 1, 0]), 0).tolist()
      [11, 10]
    """
    # Without padding, dynamic_slice would move a last, shorter block back to where it fits.
    order = np.pad(sites, (0, size)) if len(sites) % size else sites
    return ordered_slice(values, t, size, order, axis)


def value_before(x: Array, t: Array | int, sites: np.ndarray, head: Head) -> Array:
    """The features [batch, num_features] of the site at rank t - 1; zeros at rank 0.

    Example:
      >>> import jax.numpy as jnp, numpy as np, zoo
      >>> value_before(jnp.array([[5, 7]]), 1, np.array([1, 0]), zoo.Categorical(8)).argmax().item()
      7
    """
    flat = x.reshape(len(x), len(sites), *head.event_shape)
    value = at_ranks(flat, jnp.maximum(t - 1, 0), 1, sites, 1)[:, 0]
    return jnp.where(t > 0, head.features(value), 0.0)


def read_once(slots: Array, value: Array, place: Array) -> tuple[Array, Array]:
    """The features [num_features, batch] of a value [batch, num_features], and two slots [2,
    num_features, batch] of which one holds them.

    A value is a column of the canvas. Used in a product, a CPU would read the column again for each
    row of it: 256 images of FVSBN take 2.6 ms this way and 7.2 without. Two slots, since the
    compiler sees through one. On another device, where the slots would only launch one more kernel,
    the value goes by them.

    Example:
      >>> read_once(jnp.zeros((2, 1, 3)), jnp.ones((3, 1)), jnp.int32(5))[0].shape
      (1, 3)
    """

    def kept(slots, value):
        slot = place_in_block(place, 2)
        slots = jax.lax.dynamic_update_slice_in_dim(slots, value[None], slot, 0)
        return jax.lax.dynamic_index_in_dim(slots, slot, 0, keepdims=False), slots

    value = value.T.astype(slots.dtype)
    return jax.lax.platform_dependent(
        slots, value, cpu=kept, default=lambda slots, value: (value, slots)
    )


def block_size(num_sites: int) -> int:
    """Ranks per block: 3.5 sqrt(num_sites), rounded down, at least 1.

    Entering a block costs a pass over all weights, and the work inside one grows with its square,
    so the best size is a multiple of sqrt(num_sites). The factor is measured: with blocks of 98 of
    784 ranks MADE 2x500 draws 1.4x faster than with 28.

    Example:
      >>> block_size(784)
      98
    """
    return max(1, min(num_sites, 7 * math.isqrt(num_sites) // 2))


def place_in_block(t: Array | int, block: int) -> Array:
    """t modulo block, int32, for t >= 0.

    The operator % would also handle negative numbers, with kernels that a step can do without.

    Example:
      >>> place_in_block(7, 3).item()
      1
    """
    return jax.lax.rem(jnp.asarray(t, jnp.int32), jnp.int32(block))


class SortedUnits(NamedTuple):
    """The units of a hidden layer sorted by degree, so that a block's, or a rank's, are a slice.

    Slices have a static size, that of the largest, so they can also hold some neighbours: compare
    degrees to leave those out.

    Attributes:
      order: the units, by degree [units].
      degrees: the degrees, ascending [units].
      block: ranks per block.
      block_starts: where the slice of each block begins [blocks].
      block_units: the size of such a slice.
      rank_starts: where the slice of each rank begins inside that of its block [num_sites].
      rank_units: the size of such a slice.
    """

    order: np.ndarray
    degrees: np.ndarray
    block: int
    block_starts: np.ndarray
    block_units: int
    rank_starts: np.ndarray
    rank_units: int

    def take(self, values, t, axis):
        """`values` (its axis counts units) at the units of the block that begins at rank t."""
        return ordered_slice(values, self._start(t), self.block_units, self.order, axis)

    def degrees_of_block(self, t):
        """Their degrees [units of the block], ascending."""
        degrees = jnp.asarray(self.degrees)
        return jax.lax.dynamic_slice_in_dim(degrees, self._start(t), self.block_units)

    def of_rank(self, rank):
        """Where the units of degree `rank` begin in their block's slice, and the degrees there."""
        start = jnp.asarray(self.rank_starts)[jnp.maximum(rank, 0)]
        whole = self._start(rank) + start
        degrees = jax.lax.dynamic_slice_in_dim(jnp.asarray(self.degrees), whole, self.rank_units)
        return start, degrees

    def _start(self, t):
        block = jax.lax.div(jnp.maximum(t, 0), jnp.int32(self.block))
        return jnp.asarray(self.block_starts)[block]


def sort_units(degrees: np.ndarray, num_sites: int, block: int) -> SortedUnits:
    """Sorts the units of a layer by degree (0 .. num_sites - 1); ties keep their order.

    Example:
      >>> units = sort_units(np.array([2, 0, 1, 0]), num_sites=4, block=2)
      >>> units.order.tolist(), units.block_starts.tolist(), units.rank_starts.tolist()
      ([1, 3, 2, 0], [0, 1], [0, 1, 1, 1])
    """
    order = np.argsort(degrees, kind="stable").astype(np.int32)
    degrees = degrees[order].astype(np.int32)
    firsts = np.searchsorted(degrees, np.arange(0, num_sites + block, block))
    block_units = int(np.diff(firsts).max())
    block_starts = np.minimum(firsts[:-1], len(order) - block_units).astype(np.int32)

    ranks = np.arange(num_sites + 1)
    firsts = np.searchsorted(degrees, ranks)
    rank_units = int(np.diff(firsts).max())
    inside = firsts[:-1] - block_starts[ranks[:-1] // block]
    rank_starts = np.clip(inside, 0, block_units - rank_units).astype(np.int32)
    return SortedUnits(order, degrees, block, block_starts, block_units, rank_starts, rank_units)
