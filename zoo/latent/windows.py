"""Windows of an image: grids of Gaussian filters, by which DRAW reads an image and writes on it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NUMBERS = 5  # that describe a window
START = (0.0, 0.0, 2.0, -0.5, 0.0)  # a blurred window in the centre, 0.6 times as wide as the image
MOST = 8.0  # of the size of each logarithm among them


class Window(NamedTuple):
    """An n x n grid of filters over an image, n along each axis.

    Attributes:
      down: weights [batch, n, height] of the rows, which sum to 1 for each filter.
      across: weights [batch, n, width] of the columns, likewise.
      intensity: [batch], the factor of what is read.
    """

    down: Float[Array, "batch n height"]
    across: Float[Array, "batch n width"]
    intensity: Float[Array, " batch"]

    def read(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch n n channels"]:
        """intensity F_down image F_across^T, of each channel."""
        patches = jnp.einsum("bih,bhwc,bjw->bijc", self.down, images, self.across)
        return self.intensity[:, None, None, None] * patches

    def write(
        self, patches: Float[Array, "batch n n channels"]
    ) -> Float[Array, "batch height width channels"]:
        """F_down^T patch F_across / intensity, of each channel: the transpose of `read`, but for the
        intensity.
        """
        images = jnp.einsum("bih,bijc,bjw->bhwc", self.down, patches, self.across)
        return images / self.intensity[:, None, None, None]


def window(numbers: Float[Array, "batch 5"], n: int, height: int, width: int) -> Window:
    """The window that five numbers a, b, log s^2, log d, log g describe.

    Its centre is at row (a + 1) (height + 1) / 2 and column (b + 1) (width + 1) / 2, where pixels
    are counted from 1. Neighbouring filters are d (max(height, width) - 1) / (n - 1) pixels apart,
    so a window of d = 1 covers the image. The weight of pixel p in filter i with the mean m_i is

        softmax over p of -(p - m_i)^2 / 2 s^2

    which sums to 1 wherever the filter lies, also far outside of the image.

    Example:
      >>> import jax.numpy as jnp
      >>> seen = window(jnp.array([[0.0, 0.0, -8.0, 0.0, 0.0]]), n=3, height=5, width=5)
      >>> seen.down[0].round(3).tolist()
      [[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    row, column = numbers[:, 0], numbers[:, 1]
    log_variance, log_distance, log_intensity = jnp.clip(numbers[:, 2:], -MOST, MOST).T
    distance = jnp.exp(log_distance) * (max(height, width) - 1) / max(n - 1, 1)
    offsets = jnp.arange(n, dtype=jnp.float32) - (n - 1) / 2

    def filters(centre, size):
        means = ((centre + 1) * (size + 1) / 2)[:, None] + offsets[None] * distance[:, None]
        pixels = jnp.arange(1, size + 1, dtype=jnp.float32)
        squares = (pixels[None, None] - means[..., None]) ** 2  # [batch, n, size]
        return jax.nn.softmax(-squares / 2 * jnp.exp(-log_variance)[:, None, None], axis=-1)

    return Window(filters(row, height), filters(column, width), jnp.exp(log_intensity))
