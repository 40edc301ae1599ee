"""Completion of known sites by exact draws from the posterior."""

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

    An order-agnostic model uses an ordering that visits the known sites first, so they may be any
    set. The samples then follow `model.with_known_first(known)`, which compiles once per set. For
    every other model the known sites must be a prefix of its ordering.

    Args:
      model: the model.
      variables: its variables.
      key: a key; consumed.
      num: number of completions.
      values: [*site_shape, *event_shape], or with a leading axis of `num`; unknown entries are
        ignored.
      known: bool [*site_shape], True at known sites; the same for all completions.
      **options: as for `draw`: context, engine, batch_size.

    Returns:
      A Sample; log_prob is that of the whole sample under `model.with_known_first(known)`, in nats.

    Raises:
      ValueError: shapes or values do not fit the model, or the known sites are not a prefix and
        the model has only one ordering.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.EoNADE((2, 3), hidden=4)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 2, 3), np.int32))
      >>> known = np.array([[False, True, False], [False, False, True]])
      >>> values = np.ones((2, 3), np.int32)
      >>> done = sample.complete(model, variables, jax.random.key(1), 4, values, known)
      >>> done.x[:, 0, 1].tolist(), done.x[:, 1, 2].tolist()
      ([1, 1, 1, 1], [1, 1, 1, 1])
    """
    known = array(known, "known")
    if known.shape != tuple(model.site_shape) or known.dtype != bool:
        raise ValueError(
            f"known must be boolean, of shape {list(model.site_shape)}, one mask for all "
            "completions; "
            f"got {known.dtype} of shape {list(known.shape)}."
        )
    return draw(
        model.with_known_first(known), variables, key, num, prefix=values, known=known, **options
    )
