"""Units of likelihoods."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from zoo.foundation.arguments import checked, shown


@checked(num_dims=1)
def bits_per_dim(log_prob: Shaped[Array, "..."] | float, num_dims: int) -> Any:
    """Negative log likelihood in bits per dimension: -log_prob / (num_dims ln 2).

    Args:
      log_prob: log likelihood in nats, as `log_prob` returns it (a mean of them serves as well).
      num_dims: the number of dimensions of one example, `model.num_dims`.

    Example:
      >>> import math, zoo
      >>> zoo.bits_per_dim(-784 * math.log(2), 784)
      1.0
    """
    if not (
        isinstance(log_prob, int | float)
        or jnp.issubdtype(getattr(log_prob, "dtype", object), jnp.number)
    ):
        raise ValueError(
            f"log_prob must be a number or an array of them, in nats; got {shown(log_prob)}."
        )
    return -log_prob / (num_dims * math.log(2.0))
