"""Class labels as the context of a model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def one_hot(labels: Any, num_classes: int, dtype: Any) -> Float[Array, "batch num_classes"]:
    """Labels [batch] as one-hot rows; NaN for a label out of range, since a traced one cannot be
    refused.
    """
    labels = jnp.asarray(labels)
    inside = (labels >= 0) & (labels < num_classes)
    rows = jax.nn.one_hot(labels, num_classes, dtype=dtype)
    return jnp.where(inside[:, None], rows, jnp.asarray(jnp.nan, dtype))


def why_invalid(labels: Any, num_classes: int) -> str | None:
    """An error message if `labels` are no labels of `num_classes` classes (0: no labels), else None."""
    if num_classes == 0:
        return None if labels is None else "it takes no context; pass context=None"
    wanted = f"expected integer labels 0..{num_classes - 1}, shape [batch]"
    if labels is None:
        return f"{wanted}; got none"
    array = np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        return f"{wanted}; got {array.dtype} of shape {list(array.shape)}"
    if array.size and (array.min() < 0 or array.max() >= num_classes):
        return f"{wanted}; got values from {array.min()} to {array.max()}"
    return None


def example(batch: int, num_classes: int) -> np.ndarray | None:
    """Labels 0, 1, 2, ... in turn; None without classes."""
    return np.arange(batch, dtype=np.int32) % num_classes if num_classes else None
