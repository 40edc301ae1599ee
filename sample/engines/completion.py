"""Completion of any set of known sites, where that is exact."""

from typing import Any

from jaxtyping import Array

import zoo
from sample.engines.ancestral_loop import Sample
from sample.engines.sampler import draw
from zoo.foundation.arguments import array, checked


@checked()
def complete(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    key: Array,
    num: int,
    values: Any,
    known: Any,
    **options: Any,
) -> Sample:
    """Draws `num` completions from the exact posterior given the known sites.

    An order-agnostic model takes an ordering that visits the known sites first: any set of them
    will do, and the law is that of `model.with_known_first(known)`, compiled once for each set. For
    every other model the known sites must be a prefix of its ordering.

    Args:
      model: the model.
      variables: its variables.
      key: a key, consumed.
      num: how many completions.
      values: [*site_shape, *event_shape], or with a leading axis of `num`; entries that are not
        known are ignored.
      known: which sites are known, bool [*site_shape], the same for all completions.
      **options: as for `draw`: context, engine, batch_size.

    Returns:
      A Sample; its log_prob is that of the whole sample under `model.with_known_first(known)`.

    Raises:
      ValueError: shapes or values that do not fit, or known sites that are no prefix and a model
        with one ordering.
    """
    known = array(known, "known")
    if known.shape != tuple(model.site_shape) or known.dtype != bool:
        raise ValueError(
            f"known must be boolean, of shape {list(model.site_shape)}, one mask for all "
            "completions; "
            f"got {known.dtype} of shape {list(known.shape)}."
        )
    return draw(
        model.with_known_first(known), variables, key, num, prefix=(values, known), **options
    )
