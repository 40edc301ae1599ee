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

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

import zoo
from sample.coding.streams import TOTAL, prefix_sums
from zoo.core.checks import kind

_SHORT = 32  # values: more are summed faster by a scan
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
      ends: where the parts of each value end, [batch, values].
      counts: how many it has, [batch, values].
    """

    ends: Int32[Array, "batch values"]
    counts: Int32[Array, "batch values"]


class Edge(NamedTuple):
    """A mixture of logistics up to the lower edge of a level.

    Attributes:
      z: the edge in scales of each component, [batch, K].
      below, above: the mass of each component on either side.
    """

    z: Float[Array, "batch K"]
    below: Float[Array, "batch K"]
    above: Float[Array, "batch K"]


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


def shares(head: Any, params: Float[Array, "batch num_params"], known: list) -> Table | Halving:
    """How the parts are shared among the values of the next symbol, given the symbols `known`."""
    if hasattr(head, "channel"):
        log_weights, mean, precision = head.channel(params, known)
        largest = log_weights.max(-1, keepdims=True)
        return Halving(jnp.exp(log_weights - largest), mean, precision)

    def log_prob(value):
        return head.log_prob(params, jnp.full(len(params), value, head.dtype))

    values = jnp.arange(head.num_values, dtype=head.dtype)
    masses = jnp.exp(jax.vmap(log_prob, out_axes=1)(values))  # [batch, values]
    masses = jnp.clip(jnp.nan_to_num(masses), 0, 1)
    counts = (masses * jnp.float32(TOTAL - head.num_values)).astype(jnp.int32) + 1
    spare = TOTAL - counts.sum(-1, keepdims=True)
    places = jnp.arange(head.num_values)[None]
    is_most = masses == masses.max(-1, keepdims=True)
    first_most = jnp.where(is_most, places, head.num_values).min(-1, keepdims=True)
    counts = counts + jnp.where(places == first_most, spare, 0)
    summed = prefix_sums(counts) if head.num_values <= _SHORT else jnp.cumsum(counts, -1)
    return Table(summed, counts)


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
    found = (shared.ends <= slot[:, None]).sum(-1, dtype=jnp.int32)
    value = jnp.where(is_known, known, jnp.minimum(found, head.num_values - 1))
    end, count = (jnp.take_along_axis(each, value[:, None], 1)[:, 0] for each in shared)
    return Symbol(value, end - count, count)


def peak_of(head: Any, shared: Table | Halving) -> Symbol:
    """The likeliest symbol of each row, wherever it has more than half of the parts."""
    row = jnp.zeros(len(shared[0]), jnp.int32)
    return symbol_at(head, shared, row + TOTAL // 2, row, jnp.zeros((), bool))


def _halved(levels, shared, slot, known, is_known):
    """Halves the levels until one is left: that of the slot, or the known one."""
    zeros = jnp.zeros(shared.mean.shape, jnp.float32)
    row = jnp.zeros(slot.shape, jnp.int32)
    lowest = Edge(zeros - jnp.inf, zeros, zeros + 1)  # the first level is open below
    highest = Edge(zeros + jnp.inf, zeros + 1, zeros)  # and the last one above

    def halve(_, state):
        low, high, start, count, lower, upper = state
        middle = (low + high) // 2
        edge = _edge(shared, middle)
        left = (shared.weights * _mass(lower, edge)).sum(-1)
        right = (shared.weights * _mass(edge, upper)).sum(-1)
        parts = _share(left, right, count, middle - low, high - middle)
        is_right = jnp.where(is_known, known >= middle, slot - start >= parts)
        goes_left, goes_right = (high - low > 1) & ~is_right, (high - low > 1) & is_right
        return (
            jnp.where(goes_right, middle, low),
            jnp.where(goes_left, middle, high),
            jnp.where(goes_right, start + parts, start),
            jnp.where(goes_right, count - parts, jnp.where(goes_left, parts, count)),
            _chosen(goes_right, edge, lower),
            _chosen(goes_left, edge, upper),
        )

    steps = (levels - 1).bit_length()
    state = (row, row + levels, row, row + TOTAL, lowest, highest)
    low, _, start, count, _, _ = jax.lax.fori_loop(0, steps, halve, state)
    return Symbol(low, start, count)


def _edge(shared, level):
    z = (level[:, None].astype(jnp.float32) - 0.5 - shared.mean) * shared.precision
    tail = jnp.exp(-jnp.abs(z))
    less, more = tail / (1 + tail), 1 / (1 + tail)
    return Edge(z, jnp.where(z < 0, less, more), jnp.where(z < 0, more, less))


def _mass(lower, upper):
    """The mass of each component between two edges, from the side on which it does not cancel."""
    from_above = lower.above - upper.above
    return jnp.maximum(jnp.where(lower.z > 0, from_above, upper.below - lower.below), 0)


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


def _chosen(condition, first, second):
    return Edge(*(jnp.where(condition[:, None], *pair) for pair in zip(first, second, strict=True)))
