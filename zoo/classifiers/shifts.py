"""Images moved by a few pixels, so that a classifier learns not to care where they lie."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def shifted(
    images: Float[Array, "batch height width c"], most: int, key: Array
) -> Float[Array, "batch height width c"]:
    """Each image moved by -most..most pixels along both axes, with zeros where it came from.

    Args:
      images: the images.
      most: the largest shift, at least 1.
      key: consumed.
    """
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * most + 1)

    def crop(image, corner):
        return jax.lax.dynamic_slice(image, (*corner, 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)
