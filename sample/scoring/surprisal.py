"""The surprise of every site: -log p in nats."""

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
    """Computes -log p(x[s_t] | x[s_<t], context) of every site; these sum to -zoo.log_prob.

    Args:
      model: a model of any kind.
      variables: its variables.
      x: values [batch, *site_shape, *event_shape].
      context: what the model conditions on, leading axis `batch`.

    Returns:
      Nats [batch, *site_shape].

    Raises:
      ValueError: `x` or `context` does not fit the model.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.FVSBN((2, 3))
      >>> x = np.array([[[0, 1, 1], [1, 0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> nats = sample.surprise(model, variables, x)
      >>> nats.shape, bool(np.isclose(nats.sum(), -zoo.log_prob(model, variables, x)[0]))
      ((1, 2, 3), True)
    """
    params = zoo.conditionals(model, variables, x, context)
    return -model.head.log_prob(params, jnp.asarray(x, model.head.dtype))
