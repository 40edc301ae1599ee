"""The value of a site as symbols for a coder: how 2^28 parts are shared among the values.

A discrete head is coded in one of two ways, by what it has:

- **a table** (any head of single values): value k gets floor(p_k (2^28 - K)) + 1 parts, and the
  likeliest value also what is left over;
- **halving** (a head with `channel`, such as the mixture of logistics): each channel is a symbol. The
  levels are halved again and again, and the parts shared by the probability of each half. A half
  gets at least a part for each of its levels. This takes log2(levels) values of the distribution
  function, where a table would take all of them.

So a value of probability p gets at least p (1 - K / 2^28) parts, up to float32, and at least one: it
costs a few millionths of a bit too much, and every value can be coded, whatever the model thinks of
it. Widths of `head.interval` would not do: at 1 - 2^-24 float32 has no finer steps, so that a value
of probability 2^-25 has the same ends twice.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

import zoo
from sample.coding.streams import TOTAL
from zoo.core.checks import kind

_FEW = 16  # values that are told apart in one kernel; more are a tree of blocks of as many
MOST_VALUES = 2**18  # of a table: each has a part, and these take a thousandth of all parts


class Symbol(NamedTuple):
    """A symbol of each row and its parts.

    Attributes:
      value: of the symbol, [batch].
      start, width: the parts `start`, ..., `start + width - 1` of 2^28 are its own.
    """

    value: Int32[Array, " batch"]
    start: Int32[Array, " batch"]
    width: Int32[Array, " batch"]


class Table(NamedTuple):
    """Parts of all values of a site.

    Attributes:
      counts: how many parts each value has, [batch, values].
    """

    counts: Int32[Array, "batch values"]


class Halving(NamedTuple):
    """A mixture of logistics over levels.

    Attributes:
      weights: of the components, the largest is 1, [batch, K].
      mean, precision: of each, in levels, [batch, K].
    """

    weights: Float[Array, "batch K"]
    mean: Float[Array, "batch K"]
    precision: Float[Array, "batch K"]


def check_coded(model: Any) -> None:
    """Raises ValueError, in one line, unless the values of a model can be coded by it."""
    name = kind(model) if isinstance(model, zoo.Generative) else type(model).__name__
    if not isinstance(model, zoo.Autoregressive):
        raise ValueError(
            f"{name} has no conditionals, which a lossless code needs; take an autoregressive model "
            "such as zoo.MADE."
        )
    head = type(model.head).__name__
    if model.head.num_values is None:
        raise ValueError(
            f"{name} describes real numbers ({head} head), which have densities and no "
            "probabilities, so there is no lossless code: round them to levels, and train a model "
            "with a discrete head."
        )
    if model.head.event_shape and not hasattr(model.head, "channel"):
        raise ValueError(
            f"a {head} head has values of shape {model.head.event_shape} and no method `channel` "
            "(see zoo.DiscretizedLogisticMixture), so it cannot be coded."
        )
    most = MOST_VALUES if not hasattr(model.head, "channel") else 2**24
    if model.head.num_values > most:
        raise ValueError(
            f"a {head} head of {model.head.num_values:,} values cannot be coded; the limit is "
            f"{most:,}."
        )


def per_site(head: zoo.Head) -> int:
    """How many symbols a site has.

    Example:
      >>> per_site(zoo.Bernoulli()), per_site(zoo.DiscretizedLogisticMixture(channels=3))
      (1, 3)
    """
    return math.prod(head.event_shape)


def has_windows(head: zoo.Head) -> bool:
    """Whether rows that are almost certain share a symbol while a file has one lane: where it is
    cheap to see which they are.

    Example:
      >>> has_windows(zoo.Bernoulli()), has_windows(zoo.Categorical(256))
      (True, False)
    """
    return not hasattr(head, "channel") and (head.num_values or 0) <= _FEW


def shares(head: Any, params: Float[Array, "batch num_params"], known: list) -> Table | Halving:
    """How the parts are shared among the values of the next symbol, given the symbols `known`."""
    if hasattr(head, "channel"):
        log_weights, mean, precision = head.channel(params, known)
        largest = log_weights.max(-1, keepdims=True)
        return Halving(jnp.exp(log_weights - largest), mean, precision)
    masses = jnp.clip(jnp.nan_to_num(_masses(head, params)), 0, 1)
    counts = (masses * jnp.float32(TOTAL - head.num_values)).astype(jnp.int32) + 1
    spare = TOTAL - counts.sum(-1, keepdims=True)
    is_likeliest = jnp.arange(head.num_values)[None] == jnp.argmax(masses, -1, keepdims=True)
    return Table(counts + jnp.where(is_likeliest, spare, 0))


def _masses(head, params):
    """The probability of each value, [batch, values]."""
    if isinstance(head, zoo.Categorical):
        return jax.nn.softmax(params.astype(jnp.float32))

    def log_prob(value):
        return head.log_prob(params, jnp.full(len(params), value, head.dtype))

    return jnp.exp(jax.vmap(log_prob, out_axes=1)(jnp.arange(head.num_values, dtype=head.dtype)))


def symbol_at(
    head: Any,
    shared: Table | Halving,
    slot: Int32[Array, " batch"],
    known: Int32[Array, " batch"],
    is_known: Bool[Array, ""],
) -> Symbol:
    """The symbol whose parts `slot` is one of; the symbol `known` instead if `is_known`."""
    if isinstance(shared, Halving):
        return _halved(head.num_values, shared, slot, known, is_known)
    return _found(shared.counts, slot, known, is_known)


def peak_of(head: Any, shared: Table | Halving) -> Symbol:
    """The likeliest symbol of each row, wherever it has more than half of the parts."""
    row = jnp.zeros(len(shared[0]), jnp.int32)
    return symbol_at(head, shared, row + TOTAL // 2, row, jnp.zeros((), bool))


def _found(counts, slot, known, is_known):
    """Finds the values of a table, [batch, values]: first the block of values, then the value."""
    batch, num = counts.shape
    if num <= _FEW:
        return _among_few(counts, slot, known, is_known)
    size = _FEW
    while size * _FEW < num:
        size *= _FEW
    blocks = jnp.pad(counts, [(0, 0), (0, -num % size)]).reshape(batch, -1, size)
    block = _among_few(blocks.sum(-1), slot, known // size, is_known)
    is_block = jnp.arange(blocks.shape[1])[None] == block.value[:, None]  # [batch, blocks]
    inside = jnp.where(is_block[..., None], blocks, 0).sum(1)  # [batch, size]
    symbol = _found(inside, slot - block.start, known % size, is_known)
    return Symbol(block.value * size + symbol.value, block.start + symbol.start, symbol.width)


def _among_few(counts, slot, known, is_known):
    """The same for up to 16 values, one after the other: one kernel, where reductions are several."""
    value = start = end = jnp.zeros(len(counts), jnp.int32)
    for k in range(counts.shape[1] - 1):
        end = end + counts[:, k]
        is_later = jnp.where(is_known, known > k, slot >= end)
        value, start = jnp.where(is_later, k + 1, value), jnp.where(is_later, end, start)
    places = jnp.arange(counts.shape[1])[None]
    width = jnp.where(places == value[:, None], counts, 0).sum(-1)
    return Symbol(value, start, width)


def _halved(levels, shared, slot, known, is_known):
    """Halves the levels until one is left: that of the slot, or the known one."""
    steps = (levels - 1).bit_length()
    weights, mean, precision = (leaf.T[None] for leaf in shared)  # [1, K, batch]

    def halve(i, state):
        low, start, count = state
        half = jnp.int32(1 << steps) >> (i + 1)
        edges = jnp.minimum(low[None] + half * jnp.arange(3)[:, None], levels)  # [3, batch]
        # Between a product and its sum lies a maximum, so no compiler rounds the two at once in one
        # program and apart in another.
        left, right = _summed(
            jnp.maximum(weights * _masses_between(edges, levels, mean, precision), 0)
        )
        in_left, in_right = edges[1] - edges[0], edges[2] - edges[1]
        parts = jnp.where(in_right > 0, _share(left, right, count, in_left, in_right), count)
        is_right = jnp.where(is_known, known >= edges[1], slot - start >= parts)
        low, start = low + jnp.where(is_right, half, 0), start + jnp.where(is_right, parts, 0)
        return low, start, jnp.where(is_right, count - parts, parts)

    row = jnp.zeros(slot.shape, jnp.int32)
    return Symbol(*jax.lax.fori_loop(0, steps, halve, (row, row, row + TOTAL)))


def _masses_between(edges, levels, mean, precision):
    """The mass of each component between neighbours of three edges, [2, K, batch]; each from the
    side on which it does not cancel.
    """
    z = (edges[:, None].astype(jnp.float32) - 0.5 - mean) * precision  # [3, K, batch]
    z = jnp.where(edges[:, None] <= 0, -jnp.inf, z)  # the first level is open below
    z = jnp.where(edges[:, None] >= levels, jnp.inf, z)  # and the last one above
    tail = jnp.exp(-jnp.abs(z))
    less, more = tail / (1 + tail), 1 / (1 + tail)
    below, above = jnp.where(z < 0, less, more), jnp.where(z < 0, more, less)
    return jnp.where(z[:-1] > 0, above[:-1] - above[1:], below[1:] - below[:-1])


def _summed(x):
    """x[:, 0] + ... + x[:, K - 1], in this order for batches of every size."""
    return functools.reduce(jnp.add, [x[:, k] for k in range(x.shape[1])])


def _share(left, right, count, num_left, num_right):
    """How many of `count` parts the left half gets; the smaller mass is the one rounded."""
    total = left + right
    whole = jnp.where(total > 0, total, 1)
    parts = count.astype(jnp.float32)
    of_left = (parts * (left / whole)).astype(jnp.int32)
    of_right = (parts * (right / whole)).astype(jnp.int32)
    by_mass = jnp.where(left < right, of_left, count - of_right)
    # Both tails may be 0 in float32: then the parts are shared by the number of levels.
    by_number = (parts * (num_left / (num_left + num_right))).astype(jnp.int32)
    return jnp.clip(jnp.where(total > 0, by_mass, by_number), num_left, count - num_right)
