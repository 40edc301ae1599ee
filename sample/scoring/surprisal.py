"""Surprise: -log p of every site, in nats."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

import zoo
from zoo.foundation.arguments import checked
from zoo.foundation.precision import without_x64


@checked()
@without_x64
def surprise(
    model: zoo.Autoregressive, variables: zoo.Variables, x: zoo.Values, context: PyTree = None
) -> Float[Array, "batch *sites"]:
    """-log p(x[s_t] | x[s_<t], context) of every site, in nats; the sum over the sites is
      -zoo.log_prob.

    Args:
      model: any model, of images or not.
      variables: its variables.
      x: values [batch, *site_shape, *event_shape].
      context: what the model conditions on, leading axis `batch`.

    Returns:
      nats [batch, *site_shape].

    Raises:
      ValueError: `x` or `context` does not fit the model.
    """
    params = zoo.conditionals(model, variables, x, context)
    return -model.head.log_prob(params, jnp.asarray(x, model.head.dtype))
