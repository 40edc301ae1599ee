"""Prefixes: the known sites must come first in the ordering, so that drawing the rest is exact."""

from typing import Any

import numpy as np

import zoo
from sample.engines.ancestral_loop import Prefix
from zoo.foundation.arguments import array


def with_mask(prefix: Any, known: Any) -> Any:
    """A prefix and a mask, given apart, as `resolve` takes them: (values, known).

    Raises:
      ValueError: a mask without values, or two masks.
    """
    if known is None:
        return prefix
    if prefix is None:
        raise ValueError("known is a mask of values: pass prefix=values with known=mask.")
    if _is_pair(prefix):
        raise ValueError("the mask is given twice: pass prefix=values with known=mask.")
    return array(prefix, "prefix"), array(known, "known")


def resolve(model: zoo.Autoregressive, prefix: Any, num: int) -> Prefix | None:
    """Converts a user's prefix to the form that the loop needs.

    Args:
      model: the model; its ordering decides what a prefix is.
      prefix: None; or an array (or nested lists) of the first slices along the first axis of the
        sites (rows of an image, the first tokens of a text), one for all draws or, with a leading
        axis of `num`, one for each; or a pair (values, known) of a whole array of values and a
        boolean mask of the known sites, again one for all draws or one for each.
      num: the number of draws.

    Raises:
      ValueError: shapes or values do not fit the model, or the known sites are not a prefix of its
        ordering.
    """
    if prefix is None:
        return None
    event = (*model.site_shape, *model.head.event_shape)
    if _is_pair(prefix):
        if len(prefix) != 2:
            raise ValueError(
                "prefix must be an array of the first rows or a pair (values, known); got "
                f"{len(prefix)} items."
            )
        values, known = (
            array(prefix[0], "prefix: values"),
            array(prefix[1], "prefix: the mask of known sites"),
        )
        if known.dtype != bool:
            raise ValueError(f"prefix: the mask of known sites must be boolean; got {known.dtype}.")
        values, known = (
            _each(values, event, num, "values"),
            _each(known, model.site_shape, num, "mask of known sites"),
        )
    else:
        values, known = _first_slices(array(prefix, "prefix"), model, event, num)
    by_rank = known.reshape(num, -1)[:, model.sites]
    counts = by_rank.sum(axis=1)
    _check_prefix(model, by_rank, counts)
    full = known.reshape(*known.shape, *[1] * len(model.head.event_shape))
    values = np.where(full, values, np.zeros((), values.dtype))
    zoo.check_values(model, values, "prefix")
    return Prefix(values.astype(model.head.dtype), counts.astype(np.int32))


def _is_pair(prefix):
    """Tells a pair (values, known) from values as nested lists: only a mask is boolean."""
    if not isinstance(prefix, tuple | list):
        return False
    if isinstance(prefix, tuple) and any(hasattr(item, "dtype") for item in prefix):
        return True
    return len(prefix) == 2 and _boolean(prefix[1]) and not _boolean(prefix[0])


def _boolean(item):
    return array(item, "prefix").dtype == bool


def _first_slices(values, model, event, num):
    rows = (
        values.shape[values.ndim - len(event)]
        if values.ndim in (len(event), len(event) + 1)
        else -1
    )
    if not 0 <= rows <= event[0] or values.shape[values.ndim - len(event) + 1 :] != event[1:]:
        raise ValueError(
            f"prefix: expected the first n <= {event[0]} slices of an array of shape "
            f"{list(event)}, one for all draws or "
            f"one for each of {num}; got shape {list(values.shape)}. For other sites pass a pair "
            "(values, known)."
        )
    values = _each(values, (rows, *event[1:]), num, "values")
    whole = np.zeros((num, *event), values.dtype)
    whole[:, :rows] = values
    known = np.zeros((num, *model.site_shape), bool)
    known[:, :rows] = True
    return whole, known


def _each(array, shape, num, what):
    if array.shape not in (tuple(shape), (num, *shape)):
        raise ValueError(
            f"prefix: {what} must have shape {list(shape)}, or {[num, *shape]} with one for each "
            "draw; "
            f"got {list(array.shape)}."
        )
    return np.broadcast_to(array, (num, *shape))


def _check_prefix(model, by_rank, counts):
    wrong = by_rank != (np.arange(model.num_sites) < counts[:, None])
    if not wrong.any():
        return
    example = int(wrong.any(axis=1).argmax())
    missing = int((~by_rank[example]).argmax())
    later = missing + int(by_rank[example, missing:].argmax())
    name = [
        tuple(int(i) for i in np.unravel_index(model.sites[t], model.site_shape))
        for t in (missing, later)
    ]
    raise ValueError(
        f"prefix of example {example} is no prefix of the ordering: site {name[1]} (rank "
        f"{later}) is known, but site {name[0]} (rank {missing}), which comes before it, is not. "
        "Drawing the rest would not follow the posterior: give all sites before the last known one, "
        "or use an order-agnostic model (EoNADE, or MADE with resample_order=True, completes any "
        "sites: sample.complete)."
    )
