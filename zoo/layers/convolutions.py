"""Masked convolutions over the raster, and their cached form: a row at once, then pixel by pixel.

A masked kernel of height k reaches k // 2 rows up. What comes from the rows above is known for a
whole row before its first pixel is drawn, so `enter` computes it as one large matmul; a step only
adds the taps to the left and in the middle. With channels in groups, one a colour, a site is one
colour of one pixel, and `step` computes the channels of one group.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from zoo.core.model import Rank
from zoo.layers.conv_weights import Conv, Image, convolve, mask
from zoo.layers.linear import matmul
from zoo.layers.row_buffers import RowBuffer, RowTerms, row_conv, rows_of


class MaskedConv(Conv):
    """A convolution that sees the rows above and, in its own row, the pixels to the left and what
    the mask allows of the pixel itself.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: height and width of the kernel without a mask, odd; only its upper half and
        middle row have weights.
      mask: what the middle tap sees: A the groups before its own, B its own group too.
      groups: channel groups, one a colour.
      right: whether the rows above are seen to the right of the pixel.
      stride: 2 for an output at the pixels of even row and column only.
      init_std: the standard deviation of the outputs on the first batch, with weight normalisation;
        None for plain weights.

    Raises:
      ValueError: channels that the groups do not divide, or a kernel of even size.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> conv = MaskedConv(channels=3, features=6, kernel_size=(3, 5), mask="A", groups=3)
      >>> y, variables = conv.init_with_output(jax.random.key(0), jnp.ones((2, 4, 4, 3)))
      >>> y.shape, variables["params"]["kernel"].shape
      ((2, 4, 4, 6), (2, 5, 3, 6))
    """

    channels: int
    features: int
    kernel_size: tuple[int, int] = (1, 1)
    mask: Literal["A", "B"] = "B"
    groups: int = 1
    right: bool = True
    stride: int = 1
    init_std: float | None = None

    def setup(self):
        if self.channels % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} colours need as many channels each: {self.channels} and "
                f"{self.features} channels must be multiples of {self.groups}."
            )
        if not all(size > 0 and size % 2 for size in self.kernel_size):
            raise ValueError(f"masked kernels have odd sizes; got {self.kernel_size}.")
        width = self.kernel_size[1]
        seen = mask(self.kernel_size, self.mask, self.channels, self.features, self.groups)
        seen = seen[:, : width if self.right else width // 2 + 1]
        # With no rows above, the taps to the right have no weights at all.
        self.setup_weights(seen, None if len(seen) > 1 else width // 2 + 1)

    def __call__(self, x: Image) -> Image:
        if self.kernel_size == (1, 1):
            return self.add_bias(matmul(x, self.kernel[0, 0]))
        up, left = self._reach
        right = self.kernel.shape[1] - 1 - left
        padding = ((up, 0), (left, right))
        return self.add_bias(
            convolve(x.astype(self.kernel.dtype), self.kernel, padding, self.stride)
        )

    def _start_row(
        self, rows: Float[Array, "up width batch channels"], bias: Array | None = None
    ) -> None:
        """Keeps what every pixel of a row gets from the rows above, oldest first (zeros beyond the
        image), from the layer's bias and from `bias`; and the kernel of a step.
        """
        up, left = self._reach
        above = row_conv(rows, self.kernel[:up], left) + self.bias[None, None]
        terms = RowTerms(
            above=above if bias is None else above + bias,
            kernel=self.direction[-1, : left + 1].reshape(-1, self.features),
            gain=self.gain,
        )
        self.put_variable("cache", "terms", terms)

    def _pixel(
        self, taps: Float[Array, "batch inputs"], column: Rank, group: Rank
    ) -> Float[Array, "batch f"]:
        """The outputs of one group of one pixel, from the inputs at the taps to the left and in the
        middle, side by side.
        """
        terms: RowTerms = self.get_variable("cache", "terms")
        size = self.features // self.groups
        first = group * size  # the channels of the group are first .. first + size - 1
        above = jax.lax.dynamic_slice(terms.above, (column, 0, first), (1, len(taps), size))[0]
        y = taps @ jax.lax.dynamic_slice_in_dim(terms.kernel, first, size, 1)
        if terms.gain is not None:
            y = y * jax.lax.dynamic_slice_in_dim(terms.gain, first, size)[None]
        return above + y

    @property
    def _reach(self) -> tuple[int, int]:
        """How far the kernel reaches up, and to the left."""
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2


class InputConv(MaskedConv):
    """A masked convolution over the image itself: its inputs are on the canvas, so it keeps none."""

    def enter(self, image: Image, row: Rank) -> None:
        """Starts a row."""
        up = self._reach[0]
        self._start_row(rows_of(image, row, up, up))

    def step(
        self, image: Image, row: Rank, column: Rank, group: Rank
    ) -> Float[Array, "batch features_of_group"]:
        """The outputs of one group of one pixel."""
        side, channels = self._reach[1], image.shape[-1]
        line = jax.lax.dynamic_index_in_dim(image, row, 1, keepdims=False)  # [batch, width, c]
        line = line.astype(self.kernel.dtype)
        rank = jnp.arange(line.shape[1] * channels).reshape(-1, channels)  # within the row
        known = rank < column * channels + group
        line = jnp.pad(jnp.where(known[None], line, 0), ((0, 0), (side, 0), (0, 0)))
        window = jax.lax.dynamic_slice_in_dim(line, column, side + 1, 1)  # [batch, side + 1, c]
        return self._pixel(window.reshape(len(window), -1), column, group)


class HiddenConv(MaskedConv):
    """A masked convolution over activations, of which it keeps the rows that it reaches."""

    def enter(self, width: int, batch: int, bias: Array | None = None) -> None:
        """Starts the next row; `bias` is added to all its pixels."""
        if self._is_pointwise:
            if self.gain is not None:
                self.put_variable("cache", "gain", self.gain)
            return
        up = self._reach[0]
        empty = RowBuffer.empty(self._reach, width, batch, self.channels, self.kernel.dtype)
        buffer: RowBuffer = self.get_variable("cache", "buffer", empty)
        self.put_variable("cache", "buffer", buffer.start_row())
        self._start_row(buffer.rows_above()[:up], bias)

    def step(
        self, x: Float[Array, "batch channels_of_group"], column: Rank, group: Rank
    ) -> Float[Array, "batch f"]:
        """The outputs of one group of one pixel, given its inputs."""
        if self._is_pointwise:
            y = x @ self.direction[0, 0]
            if self.gain is not None:
                y = y * self.get_variable("cache", "gain")[None]
            return y + self.bias[None]
        side = self._reach[1]
        buffer: RowBuffer = self.get_variable("cache", "buffer")
        start = (column + side, 0, group * x.shape[1])
        row = jax.lax.dynamic_update_slice(buffer.current, x[None], start)
        self.put_variable("cache", "buffer", buffer._replace(current=row))
        taps = jax.lax.dynamic_slice_in_dim(row, column, side + 1)  # [taps, batch, channels]
        return self._pixel(taps.swapaxes(0, 1).reshape(len(x), -1), column, group)

    @property
    def _is_pointwise(self) -> bool:
        """Whether a pixel sees itself alone, all channels of it: then nothing need be kept."""
        return self._reach == (0, 0) and self.groups == 1


class RowsAbove(Conv):
    """An unmasked convolution over the rows above and, unless `strict`, over the row itself.

    In its own row it sees later pixels too: only a pixel of the next row may read its outputs
    where it is not strict.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: width of the kernel, odd; it reaches kernel_size // 2 rows up.
      strict: whether the row itself is left out.
      height: how many rows it sees instead.
      stride: 2 for an output at the pixels of even row and column only.
      init_std: the standard deviation of the outputs on the first batch, with weight normalisation;
        None for plain weights.
    """

    channels: int
    features: int
    kernel_size: int
    strict: bool
    height: int | None = None
    stride: int = 1
    init_std: float | None = None

    def setup(self):
        height = self.height or self.kernel_size // 2 + (not self.strict)
        self.setup_weights(np.ones((height, self.kernel_size, self.channels, self.features), bool))

    def __call__(self, x: Image) -> Image:
        side, strict = self.kernel_size // 2, int(self.strict)
        padding = ((len(self.kernel) - 1 + strict, -strict), (side, side))
        return self.add_bias(
            convolve(x.astype(self.kernel.dtype), self.kernel, padding, self.stride)
        )

    def row(
        self, rows: Float[Array, "up width batch channels"]
    ) -> Float[Array, "width_out batch features"]:
        """One row of the outputs, from the rows that it sees, oldest first."""
        return row_conv(rows, self.kernel, stride=self.stride) + self.bias[None, None]


class Readout(nn.Module):
    """ReLU, 1x1, ReLU, 1x1 with mask B: from the last hidden channels to the params of the sites of
    each pixel.

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
        outputs = self.groups * self.num_params
        self.hidden = HiddenConv(self.channels, self.features, groups=self.groups)
        self.output_layer = HiddenConv(self.features, outputs, groups=self.groups, name="params_of")

    def __call__(self, h: Image) -> Image:
        return self.output_layer(nn.relu(self.hidden(nn.relu(h))))

    def enter(self, width: int, batch: int) -> None:
        """Starts the next row."""
        self.hidden.enter(width, batch)
        self.output_layer.enter(width, batch)

    def step(
        self, h: Float[Array, "batch c"], column: Rank, group: Rank
    ) -> Float[Array, "batch num_params"]:
        """The params of one site."""
        h = nn.relu(self.hidden.step(nn.relu(h), column, group))
        return self.output_layer.step(h, column, group)
