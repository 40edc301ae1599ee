"""Rows as a cached convolution keeps and reads them: pixels first, [width, batch, channels].

A pixel is then one contiguous slice, which a step writes in place.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.model import Rank
from zoo.layers.conv_weights import Image


class RowBuffer(NamedTuple):
    """The activations that a masked convolution reaches.

    Attributes:
      current: the current row, zeros where no pixel is computed yet, after `side` pixels of padding:
        [side + width, batch, channels].
      older: of the rows above all but the last, oldest first: [up - 1, width, batch, channels]. The
        last one is `current` until the next row starts.
    """

    current: Float[Array, "padded_width batch channels"]
    older: Float[Array, "rows width batch channels"]

    @classmethod
    def empty(
        cls, reach: tuple[int, int], width: int, batch: int, channels: int, dtype: jnp.dtype
    ) -> "RowBuffer":
        """Zeros, for a kernel that reaches `reach` = (up, side) pixels."""
        up, side = reach
        return cls(
            jnp.zeros((side + width, batch, channels), dtype),
            jnp.zeros((max(up - 1, 0), width, batch, channels), dtype),
        )

    def rows_above(self) -> Float[Array, "up width batch channels"]:
        """The rows above the one that starts now, oldest first."""
        side = self.current.shape[0] - self.older.shape[1]
        return jnp.concatenate([self.older, self.current[None, side:]])

    def start_row(self) -> "RowBuffer":
        """The buffer before the first pixel of the next row."""
        return RowBuffer(jnp.zeros_like(self.current), self.rows_above()[1:])


class RowTerms(NamedTuple):
    """What a masked convolution knows of a row before its first pixel.

    Attributes:
      above: the sum that every pixel starts from: the rows above, and the bias,
        [width_out, batch, features].
      kernel: that of the taps to the left and in the middle, [taps * channels, features].
      gain: of weight normalisation, [features], so that no step looks at a whole kernel for its
        norm; None without.
    """

    above: Float[Array, "width_out batch features"]
    kernel: Float[Array, "inputs features"]
    gain: Float[Array, " features"] | None


def row_conv(
    rows: Array, kernel: Array, left: int | None = None, stride: int = 1
) -> Float[Array, "width_out batch features"]:
    """One row of a convolution, as one matmul.

    Args:
      rows: the rows that it sees, oldest first, [rows, width, batch, channels].
      kernel: [rows, taps, channels, features].
      left: how many taps lie to the left of a pixel; by default half of them.
      stride: 2 leaves out the odd columns.

    Example:
      >>> row = jnp.arange(4.0).reshape(1, 4, 1, 1)
      >>> row_conv(row, jnp.ones((1, 3, 1, 1)))[:, 0, 0].tolist()
      [1.0, 3.0, 6.0, 5.0]
    """
    (num_rows, width, batch, _), taps = rows.shape, kernel.shape[1]
    if not num_rows:
        return jnp.zeros((-(-width // stride), batch, kernel.shape[3]), kernel.dtype)
    left = taps // 2 if left is None else left
    padded = jnp.pad(rows.astype(kernel.dtype), ((0, 0), (left, taps - 1 - left), (0, 0), (0, 0)))
    patches = [
        padded[row, tap : tap + width : stride] for row in range(num_rows) for tap in range(taps)
    ]
    # [width_out, batch, rows * taps * channels] by [rows * taps * channels, features]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[3])


def rows_of(
    image: Image, first: Rank, count: int, above: int
) -> Float[Array, "count width batch channels"]:
    """`count` rows of an image from row `first` - `above` on, as `row_conv` takes them; rows above
    the image are zeros.
    """
    padded = jnp.pad(image, ((0, 0), (above, 0), (0, 0), (0, 0)))
    rows = jax.lax.dynamic_slice_in_dim(padded, first, count, 1)
    return rows.transpose(1, 2, 0, 3)  # [batch, rows, width, c] to [rows, width, batch, c]
