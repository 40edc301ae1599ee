"""Streams: sequences too long for one pass, scored piece by piece with the state carried along."""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from zoo.core.arrays import check_variables
from zoo.core.checks import check_values
from zoo.core.model import Autoregressive, Values, Variables
from zoo.foundation.arguments import checked, shown
from zoo.foundation.precision import full_float32, narrowed, without_x64
from zoo.sequences.recurrent import Carry


@checked(batch=1)
@without_x64
def begin(model: Autoregressive, variables: Variables, batch: int) -> PyTree:
    """The carry before the first piece of `batch` streams.

    Raises:
      ValueError: the model is no recurrent network.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.GRU((4,), 3, 1, head=zoo.Categorical(5))
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4), int))
      >>> carry = zoo.begin(model, variables, batch=2)
      >>> for piece in np.zeros((3, 2, 4), int):  # 3 pieces of 2 streams
      ...     nats, carry = zoo.stream_log_prob(model, variables, piece, carry)
      >>> nats.shape
      (2,)
    """
    if not model.streams:
        raise ValueError(
            "only a recurrent network carries a state from piece to piece; got a "
            f"{type(model).__name__}."
        )
    check_variables(model, variables)
    return model.apply(variables, batch, method="begin")


@checked()
@without_x64
def stream_log_prob(
    model: Autoregressive,
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
      train: whether dropout is on; matmuls then have the precision that jax is set to.
      key: consumed by dropout.

    Returns:
      (nats, one per stream; the carry after these tokens).

    Raises:
      ValueError: `x` holds no tokens of the model, or the carry is of another number of streams.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.GRU((4,), 3, 1, head=zoo.Categorical(5))
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4), int))
      >>> carry = zoo.begin(model, variables, batch=2)
      >>> nats, carry = zoo.stream_log_prob(model, variables, np.zeros((2, 9), int), carry)
      >>> nats.shape
      (2,)
    """
    if not model.streams or not isinstance(carry, Carry):
        raise ValueError(
            f"expected a recurrent network and a carry of zoo.begin; got {shown(model)}, "
            f"{shown(carry)}."
        )
    if not hasattr(x, "dtype") or np.ndim(x) != 2 or len(carry.last) != len(x):
        raise ValueError(
            f"expected tokens [{len(carry.last)}, length], one row a stream of the carry; "
            f"got {np.shape(x) if hasattr(x, 'dtype') else shown(x)}."
        )
    check_variables(model, variables)
    check_values(model.clone(site_shape=np.shape(x)[1:]), x)
    return _stream_log_prob(model, variables, narrowed(x), carry, train, key)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _stream_log_prob(model, variables, x, carry, train, key):
    x, rngs = x.astype(model.head.dtype), {} if key is None else {"train": key, "dropout": key}
    apply = model.apply if train else full_float32(model.apply)
    out: Any = apply(variables, x, carry, train=train, method="unroll", rngs=rngs)
    return model.head.log_prob(out[0], x).sum(1), out[1]
