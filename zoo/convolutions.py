"""Masked convolutions over the raster, and their cached form: rows above in one go, the current row pixel by pixel.

A masked kernel of height k reaches k // 2 rows up. What comes from the rows above is known for a whole row before its
first pixel is drawn, so `enter` computes it as one large matmul; a step only adds the taps to the left and in the middle.

Channels may fall into groups, one a colour: the middle tap of mask A lets a group see the groups before it, mask B its own
as well (van den Oord et al. 2016). A site is then one colour of one pixel, and `step` computes one group.
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from zoo.autoregressive import Rank

Image = Float[Array, "_ _ _ _"]  # batch, height, width, channels


def mask(
    kernel_size: tuple[int, int], kind: Literal["A", "B"], channels: int = 1, features: int = 1, groups: int = 1
) -> Bool[np.ndarray, "rows width channels features"]:
    """Which weights of a masked kernel there are: in its upper half and middle row, which is the last of `rows`."""
    rows, width = kernel_size[0] // 2 + 1, kernel_size[1]
    of_input, of_output = (np.arange(n) * groups // n for n in (channels, features))
    seen = np.ones((rows, width, channels, features), bool)
    seen[-1, width // 2 + 1 :] = False
    seen[-1, width // 2] = (of_input[:, None] < of_output) if kind == "A" else (of_input[:, None] <= of_output)
    return seen


class MaskedConv(nn.Module):
    """A convolution that sees the rows above and, in its own row, what lies to the left and what the mask lets through.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: height and width of the unmasked kernel, odd; only its upper half and middle row have weights.
      mask: what the middle tap sees: A the groups before, B its own group too.
      groups: channel groups, one a colour.
    """

    channels: int
    features: int
    kernel_size: tuple[int, int] = (1, 1)
    mask: Literal["A", "B"] = "B"
    groups: int = 1

    def setup(self):
        if self.channels % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} colours need as many channels each: {self.channels} and {self.features} channels "
                f"must be multiples of {self.groups}."
            )
        if not all(size % 2 for size in self.kernel_size):
            raise ValueError(f"masked kernels have odd sizes; got {self.kernel_size}.")
        seen = mask(self.kernel_size, self.mask, self.channels, self.features, self.groups)
        (rows, width), shape = seen.shape[:2], seen.shape
        init = nn.initializers.variance_scaling(1 / seen.mean(), "fan_in", "truncated_normal", (0, 1, 2), 3)
        kernel = self.param("kernel", init, shape)
        self.kernel = jnp.where(seen, kernel, 0)[:, : width if rows > 1 else width // 2 + 1]
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    def __call__(self, x: Image) -> Image:
        if self.kernel_size == (1, 1):
            return x @ self.kernel[0, 0] + self.bias[None, None, None]
        up, left = self._reach
        right = self.kernel.shape[1] - 1 - left
        y = convolve(x.astype(self.kernel.dtype), self.kernel, ((up, 0), (left, right)))
        return y + self.bias[None, None, None]

    def _above(self, rows: Float[Array, "up width batch channels"]) -> Float[Array, "width batch features"]:
        """The bias and what the rows above (oldest first, zeros beyond the image) give to every pixel of a row."""
        return row_conv(rows, self.kernel[: self._reach[0]]) + self.bias[None, None]

    def _beside(
        self, taps: Float[Array, "taps batch channels"], column: Rank, group: Rank
    ) -> Float[Array, "batch features_of_group"]:
        """Adds the taps to the left and in the middle, for one group of one pixel."""
        size = self.features // self.groups
        above = jax.lax.dynamic_slice(
            self.get_variable("cache", "above"), (column, 0, group * size), (1, taps.shape[1], size)
        )
        kernel = jax.lax.dynamic_slice_in_dim(self.kernel[-1, : len(taps)], group * size, size, 2)
        return above[0] + jnp.einsum("kbi,kio->bo", taps, kernel)

    @property
    def _reach(self) -> tuple[int, int]:
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2


class RowsAbove(nn.Module):
    """An unmasked convolution over the rows above, and the row itself unless `strict`: it never looks beside a pixel.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: width of the kernel, odd; it reaches kernel_size // 2 rows up.
      strict: whether the row itself is left out.
    """

    channels: int
    features: int
    kernel_size: int
    strict: bool

    def setup(self):
        rows = self.kernel_size // 2 + (not self.strict)
        shape = (rows, self.kernel_size, self.channels, self.features)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", (0, 1, 2), 3)
        self.kernel = self.param("kernel", init, shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    def __call__(self, x: Image) -> Image:
        side = self.kernel_size // 2
        y = convolve(x.astype(self.kernel.dtype), self.kernel, ((side, -int(self.strict)), (side, side)))
        return y + self.bias[None, None, None]

    def row(self, rows: Float[Array, "up width batch channels"]) -> Float[Array, "width batch features"]:
        """One row of the output from the rows that it sees, oldest first."""
        return row_conv(rows, self.kernel) + self.bias[None, None]


def convolve(x: Image, kernel: Float[Array, "rows taps channels features"], padding: Any) -> Image:
    """Channels-last convolution with stride 1; a negative padding cuts rows off."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def row_conv(rows: Array, kernel: Array) -> Float[Array, "width batch features"]:
    """One row of a convolution: [rows, width, batch, channels] with [rows, taps, channels, features]."""
    (up, width, batch, _), side = rows.shape, kernel.shape[1] // 2
    padded = jnp.pad(rows.astype(kernel.dtype), ((0, 0), (side, side), (0, 0), (0, 0)))
    total = jnp.zeros((width, batch, kernel.shape[3]), kernel.dtype)
    for row in range(up):
        for tap in range(kernel.shape[1]):
            total = total + padded[row, tap : tap + width] @ kernel[row, tap]
    return total


def rows_of(image: Image, first: Rank, count: int, above: int) -> Float[Array, "count width batch channels"]:
    """Rows first - above ... of an image, as `row_conv` takes them; rows above the image are zeros."""
    padded = jnp.pad(image, ((0, 0), (above, 0), (0, 0), (0, 0)))
    return jax.lax.dynamic_slice_in_dim(padded, first, count, 1).transpose(1, 2, 0, 3)


class InputConv(MaskedConv):
    """A masked convolution over the image itself: what it needs is read from the canvas, nothing is remembered."""

    def enter(self, image: Image, row: Rank) -> None:
        up = self._reach[0]
        self.put_variable("cache", "above", self._above(rows_of(image, row, up, up)))

    def step(self, image: Image, row: Rank, column: Rank, group: Rank) -> Float[Array, "batch features_of_group"]:
        side, channels = self._reach[1], image.shape[-1]
        line = jax.lax.dynamic_index_in_dim(image, row, 1, keepdims=False).astype(self.kernel.dtype)
        known = jnp.arange(line.shape[1] * channels).reshape(-1, channels) < column * channels + group
        line = jnp.pad(jnp.where(known[None], line, 0), ((0, 0), (side, 0), (0, 0)))
        taps = jax.lax.dynamic_slice_in_dim(line, column, side + 1, 1)
        return self._beside(taps.swapaxes(0, 1), column, group)


class HiddenConv(MaskedConv):
    """A masked convolution over activations, which it keeps: the rows that it reaches up to, and the current one."""

    def enter(self, width: int, batch: int) -> None:
        """Begins the next row."""
        up, side = self._reach
        if not up and not side and self.groups == 1:
            return
        shape = (width, batch, self.channels)
        last = self.get_variable("cache", "row", jnp.zeros((side + width, *shape[1:]), self.kernel.dtype))
        rows = self.get_variable("cache", "rows", jnp.zeros((up, *shape), self.kernel.dtype))
        rows = jnp.concatenate([rows, last[None, side:]])[1:]
        if up:
            self.put_variable("cache", "rows", rows)
        self.put_variable("cache", "row", jnp.zeros_like(last))
        self.put_variable("cache", "above", self._above(rows[:up]))

    def step(self, x: Float[Array, "batch channels_of_group"], column: Rank, group: Rank) -> Float[Array, "batch f"]:
        up, side = self._reach
        if not up and not side and self.groups == 1:
            return x @ self.kernel[0, 0] + self.bias[None]
        start = (column + side, 0, group * x.shape[1])
        row = jax.lax.dynamic_update_slice(self.get_variable("cache", "row"), x[None], start)
        self.put_variable("cache", "row", row)
        return self._beside(jax.lax.dynamic_slice_in_dim(row, column, side + 1), column, group)


class Readout(nn.Module):
    """ReLU, 1x1, ReLU, 1x1 with mask B: from the last hidden channels to the params of the sites of each pixel.

    Attributes:
      channels: input channels.
      features: channels between the two convolutions.
      num_params: params of one site.
      groups: channel groups, one a colour: the sites of a pixel.
    """

    channels: int
    features: int
    num_params: int
    groups: int = 1

    def setup(self):
        self.hidden = HiddenConv(self.channels, self.features, groups=self.groups)
        self.params_of = HiddenConv(self.features, self.groups * self.num_params, groups=self.groups)

    def __call__(self, h: Image) -> Image:
        return self.params_of(nn.relu(self.hidden(nn.relu(h))))

    def enter(self, width: int, batch: int) -> None:
        self.hidden.enter(width, batch)
        self.params_of.enter(width, batch)

    def step(self, h: Float[Array, "batch c"], column: Rank, group: Rank) -> Float[Array, "batch num_params"]:
        return self.params_of.step(nn.relu(self.hidden.step(nn.relu(h), column, group)), column, group)
