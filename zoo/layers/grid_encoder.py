"""A convolutional encoder of images, which captioners and classifiers share."""

import flax.linen as nn
from jaxtyping import Array, Float


class GridEncoder(nn.Module):
    """3x3 convolutions and rectifiers; the first `halvings` of them halve height and width.

    Attributes:
      channels: of each layer.
      halvings: how many layers, the first ones, have a stride of 2.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> encoder = GridEncoder(channels=(4, 8), halvings=1)
      >>> encoder.init_with_output(jax.random.key(0), jnp.zeros((1, 6, 6, 1)))[0].shape
      (1, 3, 3, 8)
    """

    channels: tuple[int, ...]
    halvings: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width c"]
    ) -> Float[Array, "batch rows columns d"]:
        for i, channels in enumerate(self.channels):
            x = nn.relu(nn.Conv(channels, (3, 3), strides=2 if i < self.halvings else 1)(x))
        return x


def why_no_encoder(channels: tuple[int, ...], halvings: int) -> str | None:
    """Returns an error message if no encoder has these fields, else None."""
    if channels and 0 <= halvings <= len(channels):
        return None
    return (
        f"at least one layer of channels and halvings of at most its {len(channels)} layers; got "
        f"{channels}, {halvings}"
    )
