"""Where to cut a list of operations into pieces, so that a gradient by pieces needs little memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jax.extend.core import Literal

CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
PLACES = 256  # at most so many places are weighed as cuts
LIMITS = 40  # so many sizes of the largest piece are weighed
SOON = 32  # operations that probably lie in the same piece
LINEAR = {
    *("add", "sub", "neg", "add_any", "reduce_sum", "convert_element_type", "copy"),
    *("broadcast_in_dim", "concatenate", "pad", "reshape", "rev", "slice", "squeeze", "transpose"),
    *("split", "stack", "unstack", "expand_dims", "reduce_precision"),
}  # operations whose gradient needs no value


def cuts(jaxpr: Any) -> list[int]:
    """Where to cut, such that what is kept between the pieces and the inside of the largest piece
    are the fewest bytes together.

    An array counts once, at the first cut that it crosses. For a limit of the inside, the cheapest
    cuts are a shortest path from place to place.
    """
    kept = np.cumsum([0, *(_kept(eqn) for eqn in jaxpr.eqns)])
    needed = _needed(jaxpr)
    spans = [
        (i, needed[each], _bytes(each))
        for i, eqn in enumerate(jaxpr.eqns)
        for each in eqn.outvars
        if needed.get(each, 0) > i
    ]
    places = _places(kept, spans)
    crossing = _crossing(places, spans)
    inside = kept[places][None, :] - kept[places][:, None]  # [from, to]
    found = [
        _cheapest(crossing, inside, limit)
        for limit in np.geomspace(max(1, kept[-1] // PLACES), max(1, kept[-1]), LIMITS)
    ]
    _, path = min(found, key=lambda each: each[0])
    return [int(places[i]) for i in path]


def _needed(jaxpr: Any) -> dict[Any, int]:
    """The last operation that reads each array and has a gradient for which its value is needed.

    That of a sum needs no value, so a running sum over all layers is not kept, unless an operation
    soon after it needs it.
    """
    needed: dict[Any, int] = {}
    soonest: dict[Any, int] = {}
    for i, eqn in reversed(list(enumerate(jaxpr.eqns))):
        at = i
        if eqn.primitive.name in LINEAR:
            at = min(soonest.get(each, len(jaxpr.eqns)) for each in eqn.outvars)
        for each in eqn.invars:
            if isinstance(each, Literal):
                continue
            soonest[each] = min(at, soonest.get(each, at))
            if at <= i + SOON:
                needed[each] = max(i, needed.get(each, i))
    return needed


def _places(kept, spans):
    """Places 0, ..., the number of operations: in each of equal shares of what is kept, the one that
    the fewest bytes cross.
    """
    change = np.zeros(len(kept) + 1)
    for first, last, size in spans:  # it crosses the places first + 1 .. last
        change[first + 1] += size
        change[last + 1] -= size
    live = np.cumsum(change)[: len(kept)]
    share = kept * PLACES // max(1, kept[-1])
    inner = np.arange(1, len(kept) - 1)
    best = {}
    for place in inner[np.argsort(-live[inner], kind="stable")]:  # the fewest bytes come last
        best[share[place]] = place
    return np.array([0, *sorted(best.values()), len(kept) - 1])


def _crossing(places, spans):
    """[from, to]: the bytes made between two places that are read after the second."""
    size = len(places)
    change = np.zeros((size + 1, size + 1))
    for first, last, count in spans:
        # made in from <= first, and first < to <= last
        begins = np.searchsorted(places, first, "right")
        low, high = begins, np.searchsorted(places, last, "right")
        change[0, low] += count
        change[begins, low] -= count
        change[0, high] -= count
        change[begins, high] += count
    return np.cumsum(np.cumsum(change, 0), 1)[:size, :size]


def _cheapest(crossing, inside, limit):
    """(bytes kept and the largest inside, the places to cut at) with pieces up to a limit, or of one
    step where that is above it.
    """
    size = len(crossing)
    cost, before = np.zeros(size), np.zeros(size, int)
    for to in range(1, size):
        allowed = (inside[:to, to] <= limit) | (np.arange(to) == to - 1)
        whole = cost[:to] + (crossing[:to, to] if to < size - 1 else 0)
        whole = np.where(allowed, whole, np.inf)
        before[to] = whole.argmin()
        cost[to] = whole[before[to]]
    path = [size - 1]
    while path[-1]:
        path.append(before[path[-1]])
    path.reverse()
    largest = max(inside[a, b] for a, b in pairwise(path))
    return cost[-1] + largest, path[1:-1]


def _kept(eqn: Any) -> int:
    """About how many bytes the gradient of an operation keeps: what it computes, and what loops and
    calls in it compute.
    """
    inner = sum(_kept(each) for jaxpr in _jaxprs(eqn.params) for each in jaxpr.eqns)
    if eqn.primitive.name != "scan":
        return inner + sum(map(_bytes, eqn.outvars))
    num_carry, length = eqn.params["num_carry"], eqn.params["length"]
    if any(each.primitive.name in CALLS for each in eqn.params["jaxpr"].jaxpr.eqns):
        return length * sum(map(_bytes, eqn.outvars[:num_carry])) + inner
    return length * inner


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among the parameters of an operation."""
    for value in params.values():
        for each in value if isinstance(value, Sequence) else (value,):
            jaxpr = getattr(each, "jaxpr", each)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _bytes(atom: Any) -> int:
    aval = atom.aval
    return int(np.prod(aval.shape, dtype=np.int64)) * getattr(aval.dtype, "itemsize", 4)
