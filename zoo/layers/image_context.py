"""Images as the context of a model: integers, 0 black and 255 white, and what encodes them."""

from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float, UInt8


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


def why_invalid(
    context: Any, shape: tuple[int, ...], what: str = "images", axes: tuple[str, ...] = ()
) -> str | None:
    """Returns an error message unless `context` holds pixels [batch, *axes, *shape], else None.

    Args:
      context: what a user passed.
      shape: of one image.
      what: the name of the context in messages.
      axes: the names of the axes between the batch and the image, which may have any size.
    """
    named = ", ".join(["batch", *axes, *map(str, shape)])
    wanted = f"expected {what}, integers 0..255 of shape [{named}]"
    if context is None:
        return f"{wanted}; got none"
    has_type = hasattr(context, "dtype") and hasattr(context, "shape")
    values = context if has_type else np.asarray(context)
    fits = values.ndim == 1 + len(axes) + len(shape) and values.shape[1 + len(axes) :] == shape
    if not fits or not np.issubdtype(values.dtype, np.integer):
        return f"{wanted}; got {values.dtype} of shape {list(values.shape)}"
    if values.dtype == np.uint8:  # all of them fit, and may lie in files
        return None
    if values.size and (values.min() < 0 or values.max() > 255):
        return f"{wanted}; got values from {values.min()} to {values.max()}"
    return None


def example(shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Random pixels of that shape, the same every time."""
    return np.random.RandomState(1).randint(0, 256, shape).astype(np.uint8)
