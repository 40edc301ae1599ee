"""The noise of samples, a function of (key, sample index, rank) alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from zoo.foundation.arguments import checked, shown
from zoo.foundation.precision import without_x64


@checked(num_sites=1, per_site=1)
@without_x64
def uniforms(
    key: Array, indices: Int[Array, " batch"], num_sites: int, per_site: int
) -> Float[Array, "num_sites batch per_site"]:
    """Returns the noise of samples: U(0, 1) as a function of (key, sample index, rank) alone.

    Args:
      key: a key; consumed.
      indices: sample indices, whole numbers [batch].
      num_sites: number of ranks.
      per_site: uniforms per rank, `head.uniforms`.

    Raises:
      ValueError: `indices` is not an array of whole numbers, or a count is below 1.

    Example:
      >>> import jax
      >>> import sample
      >>> indices = jax.numpy.arange(2)
      >>> sample.uniforms(jax.random.key(0), indices, num_sites=3, per_site=1).shape
      (3, 2, 1)
    """

    if not jnp.issubdtype(getattr(indices, "dtype", object), jnp.integer) or np.ndim(indices) != 1:
        raise ValueError(
            f"indices must be an array of whole numbers, one per sample; got {shown(indices)}."
        )

    def one(index):
        return jax.random.uniform(jax.random.fold_in(key, index), (num_sites, per_site))

    return jax.vmap(one, out_axes=1)(indices)
