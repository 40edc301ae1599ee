"""A static schedule of the loop over ranks: early ranks read a cache of keys and values that is
still short.

A step reads the whole of each cache of tokens, written or not. So the loop is cut into a few
segments, and each has a cache with room for the ranks up to its end. All shapes are static, hence no
conditional; the values are those of the uncut loop, since room that is not written has weight 0.
"""

from typing import Any

import jax

import zoo
from zoo.layers.key_value_caches import Ring

COUNT = 4  # segments at most; each is compiled by itself
LEAST = 32  # ranks in a segment


def segment_ends(cache: zoo.Cache, num_sites: int, block: int) -> tuple[int, ...]:
    """The rank at which each segment ends, the last one `num_sites`; they begin and end with blocks.

    Example:
      >>> import jax.numpy as jnp
      >>> segment_ends({"tokens": Ring.empty(1, 256, 8, jnp.float32)}, 256, 256)
      (64, 128, 192, 256)
      >>> segment_ends({"state": jnp.zeros((1, 8))}, 256, 256)
      (256,)
    """
    slots = max((each.slots for each in _leaves(cache) if isinstance(each, Ring)), default=0)
    if num_sites >= 2 * slots:  # most ranks read a full cache
        return (num_sites,)
    size = max(LEAST, -(-slots // COUNT))
    if block < num_sites:
        size = -(-size // block) * block
    return (*range(size, min(slots, num_sites), size), num_sites)


def with_room(cache: zoo.Cache, full: zoo.Cache, ranks: int) -> zoo.Cache:
    """The cache with room for the first `ranks` ranks alone, none of them at or after `ranks` written;
    `full` has the shapes of a cache for all ranks.
    """

    def fit(each, whole):
        if not isinstance(each, Ring):
            return each
        return each.with_slots(min(ranks, whole.slots))

    return jax.tree.map(fit, cache, full, is_leaf=_is_ring)


def _leaves(cache: zoo.Cache) -> list[Any]:
    return jax.tree.leaves(cache, is_leaf=_is_ring)


def _is_ring(node):
    return isinstance(node, Ring)
