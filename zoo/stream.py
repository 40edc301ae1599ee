"""Streams: sequences too long for one pass, scored piece by piece with the state carried from one to the next."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from zoo.autoregressive import Values, Variables
from zoo.recurrent import RecurrentNetwork


def begin(model: RecurrentNetwork, variables: Variables, batch: int) -> PyTree:
    """The carry before the first piece of `batch` streams."""
    return model.apply(variables, batch, method="begin")


def stream_log_prob(
    model: RecurrentNetwork,
    variables: Variables,
    x: Values,
    carry: PyTree,
    *,
    train: bool = False,
    key: Array | None = None,
) -> tuple[Float[Array, " batch"], PyTree]:
    """Exact log likelihood of the next tokens of each stream, given all before them.

    Args:
      model: a recurrent network; its site_shape does not matter here.
      variables: its variables.
      x: the next tokens [batch, any length].
      carry: what `begin`, or the call before this one, returned.
      train: whether dropout is on.
      key: consumed by dropout.

    Returns:
      (nats, one per stream; the carry after these tokens).
    """
    return _stream_log_prob(model, variables, jnp.asarray(x), carry, train, key)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _stream_log_prob(model, variables, x, carry, train, key):
    x, rngs = x.astype(model.head.dtype), {} if key is None else {"train": key}
    out: Any = model.apply(variables, x, carry, train=train, method="unroll", rngs=rngs)
    return model.head.log_prob(out[0], x).sum(1), out[1]
