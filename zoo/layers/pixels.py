"""Pixels as the context of a model: integers, 0 black and 255 white."""

from typing import Any

import numpy as np
from jaxtyping import UInt8


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
    values = np.asarray(context)
    fits = values.ndim == 1 + len(axes) + len(shape) and values.shape[1 + len(axes) :] == shape
    if not fits or not np.issubdtype(values.dtype, np.integer):
        return f"{wanted}; got {values.dtype} of shape {list(values.shape)}"
    if values.size and (values.min() < 0 or values.max() > 255):
        return f"{wanted}; got values from {values.min()} to {values.max()}"
    return None


def example(shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Random pixels of that shape, the same every time."""
    return np.random.RandomState(1).randint(0, 256, shape).astype(np.uint8)
