"""The bias of the output, started at the distribution of the data."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Shaped

from zoo.heads import Head, why_outside


def fitted_bias(
    variables: dict[str, Any],
    path: str,
    head: Head,
    x: Shaped[np.ndarray, "..."],
    fit: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, Any]:
    """The variables, with the params that `head.fitted` finds for the values added to a bias.

    The bias holds params for each of R sites, which repeat: for all sites, for the colours of a
    pixel, or for a single one. Of the values, taken site by site, number i belongs to row i mod R.

    Args:
      variables: the variables of a model.
      path: where the bias is among its params, such as "readout/bias".
      head: the head of the model; if it has no method `fitted`, nothing changes.
      x: values, in any shape that ends with whole examples or sites.
      fit: from values to params, in place of `head.fitted`.

    Raises:
      ValueError: the params have no such bias, or the values do not fit it.

    Example:
      >>> import jax, zoo
      >>> variables = {"params": {"bias": jnp.zeros((2, 1))}}
      >>> x = np.array([[0, 1], [0, 1], [1, 1]])
      >>> fitted = fitted_bias(variables, "bias", zoo.Bernoulli(), x)
      >>> [round(float(p), 3) for p in jax.nn.sigmoid(fitted["params"]["bias"])[:, 0]]
      [0.375, 0.875]
    """
    params = flatten_dict(variables["params"])
    names = {"/".join(each): each for each in params}
    if path not in names:
        biases = ", ".join(name for name in names if "bias" in name) or "none"
        raise ValueError(
            f"output_bias is {path!r}, but the biases of the model are: {biases}; set it to one of "
            "them, or to None."
        )
    bias = params[names[path]]
    if not hasattr(head, "fitted"):
        return variables
    rows, event = bias.size // head.num_params, head.event_shape
    if bias.size % head.num_params or not x.size or x.size % (rows * int(np.prod(event))):
        raise ValueError(
            f"the output bias {path!r} has shape {list(bias.shape)}; the values have shape "
            f"{list(x.shape)}, and a {type(head).__name__} head takes {head.num_params} params a site."
        )
    if misfit := why_outside(head, x):
        raise ValueError(f"the output bias cannot be fitted: {misfit}.")
    found = (fit or head.fitted)(x.reshape(-1, rows, *event))  # [rows, num_params]
    params[names[path]] = bias + jnp.asarray(found.reshape(bias.shape), bias.dtype)
    return {**variables, "params": unflatten_dict(params)}
