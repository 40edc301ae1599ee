"""Masked convolutions over the raster, and their cached form: rows above in one go, the current row
  pixel by pixel.

A masked kernel of height k reaches k // 2 rows up. What comes from the rows above is known for a
whole row before its first pixel is drawn, so `enter` computes it as one large matmul; a step only
adds the taps to the left and in the middle.

Channels may fall into groups, one a colour: the middle tap of mask A lets a group see the groups
  before it, mask B its own
as well (van den Oord et al. 2016). A site is then one colour of one pixel, and `step` computes one
group.

A layer with a `spread` has weight normalisation (Salimans and Kingma 2016), W = s V / |V| for each
output channel, and is initialised by data: s and the bias are such that on the first batch its
outputs have mean 0 and that standard deviation.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from zoo.core.model import Rank

Image = Float[Array, "_ _ _ _"]  # batch, height, width, channels


def mask(
    kernel_size: tuple[int, int],
    kind: Literal["A", "B"],
    channels: int = 1,
    features: int = 1,
    groups: int = 1,
) -> Bool[np.ndarray, "rows width channels features"]:
    """Which weights of a masked kernel there are: in its upper half and middle row, which is the
    last
      of `rows`.
    """
    rows, width = kernel_size[0] // 2 + 1, kernel_size[1]
    of_input, of_output = (np.arange(n) * groups // n for n in (channels, features))
    seen = np.ones((rows, width, channels, features), bool)
    seen[-1, width // 2 + 1 :] = False
    seen[-1, width // 2] = (
        (of_input[:, None] < of_output) if kind == "A" else (of_input[:, None] <= of_output)
    )
    return seen


class Conv(nn.Module):
    """What all convolutions here share: kernel and bias, as they are or with weight normalisation."""

    if TYPE_CHECKING:

        @property
        def features(self) -> int: ...
        @property
        def spread(self) -> float | None: ...

    def declare(
        self, seen: Bool[np.ndarray, "rows taps channels features"], taps: int | None = None
    ) -> None:
        """The params; the kernel is zero where it is not `seen`, and has only the first `taps`."""
        init = nn.initializers.variance_scaling(
            seen.size / max(1, seen.sum()), "fan_in", "truncated_normal", (0, 1, 2), 3
        )
        kernel = self.param("kernel", init, seen.shape)
        self.direction = (kernel if seen.all() else jnp.where(seen, kernel, 0))[:, :taps]
        if self.spread is None:
            self.gain, self.kernel = None, self.direction
        else:
            scale = self.param("scale", nn.initializers.ones, (self.features,))
            norm = jnp.sqrt(jnp.square(self.direction.astype(jnp.float32)).sum((0, 1, 2)))
            self.gain = scale / norm.astype(scale.dtype)
            self.kernel = self.direction * self.gain[None, None, None]
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    def finish(self, y: Image) -> Image:
        """Adds the bias; of a weight-normalised layer the first batch decides scale and bias here."""
        if self.spread is None or not self.is_initializing():
            return y + self.bias[None, None, None]
        mean, deviation = y.mean((0, 1, 2)), y.std((0, 1, 2))
        scale = jnp.where(
            deviation > 1e-3, self.spread / deviation, 1.0
        )  # a channel that never varies stays as it is
        self.put_variable("params", "scale", scale)
        self.put_variable("params", "bias", -mean * scale)
        return (y - mean[None, None, None]) * scale[None, None, None]


class MaskedConv(Conv):
    """A convolution that sees the rows above and, in its own row, what lies to the left and what
    the mask lets through.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: height and width of the unmasked kernel, odd; only its upper half and middle row
        have weights.
      mask: what the middle tap sees: A the groups before, B its own group too.
      groups: channel groups, one a colour.
      right: whether the rows above are seen to the right of the pixel.
      stride: 2 for an output at the pixels of even row and column only.
      spread: of weight normalisation; None: there is none.
    """

    channels: int
    features: int
    kernel_size: tuple[int, int] = (1, 1)
    mask: Literal["A", "B"] = "B"
    groups: int = 1
    right: bool = True
    stride: int = 1
    spread: float | None = None

    def setup(self):
        if self.channels % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} colours need as many channels each: {self.channels} and "
                f"{self.features} channels "
                f"must be multiples of {self.groups}."
            )
        if not all(size > 0 and size % 2 for size in self.kernel_size):
            raise ValueError(f"masked kernels have odd sizes; got {self.kernel_size}.")
        width = self.kernel_size[1]
        seen = mask(self.kernel_size, self.mask, self.channels, self.features, self.groups)
        seen = seen[:, : width if self.right else width // 2 + 1]
        self.declare(seen, None if len(seen) > 1 else width // 2 + 1)

    def __call__(self, x: Image) -> Image:
        if self.kernel_size == (1, 1):
            return self.finish(x @ self.kernel[0, 0])
        up, left = self._reach
        right = self.kernel.shape[1] - 1 - left
        return self.finish(
            convolve(
                x.astype(self.kernel.dtype), self.kernel, ((up, 0), (left, right)), self.stride
            )
        )

    def _begin(
        self, rows: Float[Array, "up width batch channels"], pieces: int, known: Array | None = None
    ) -> None:
        """Keeps what the rows above (oldest first, zeros beyond the image), the bias and what else
        is
        `known` of a row before its first pixel give to every pixel of it, and the weights of a
        step: to slice them there is a copy.
        """
        up, left = self._reach
        above = row_conv(rows, self.kernel[:up], left, self.stride) + self.bias[None, None]
        self.put_variable("cache", "above", above if known is None else above + known)
        for i, taps in enumerate(
            jnp.split(self.direction[-1, : left + 1].reshape(-1, self.features), pieces)
        ):
            self.put_variable("cache", f"taps_{i}", taps)
        self._keep_gain()

    def _keep_gain(self) -> None:
        if self.gain is not None:  # so that a step need not look at the whole kernel for it
            self.put_variable("cache", "gain", self.gain)

    def _beside(
        self, taps: Sequence[Float[Array, "batch _"]], column: Rank, group: Rank
    ) -> Float[Array, "batch f"]:
        """Adds the taps to the left and in the middle, for one group of one pixel.

        `taps` are their channels in as many pieces as `_begin` was told: a piece is a matmul, to
          join them would be a copy.
        """
        size = self.features // self.groups
        start = (column // self.stride, 0, group * size)
        above = jax.lax.dynamic_slice(
            self.get_variable("cache", "above"), start, (1, len(taps[0]), size)
        )
        y = jnp.zeros((), taps[0].dtype)
        for i, tap in enumerate(taps):
            kernel: Array = self.get_variable("cache", f"taps_{i}")
            y = y + tap @ jax.lax.dynamic_slice_in_dim(kernel, group * size, size, 1)
        if self.gain is not None:
            y = (
                y
                * jax.lax.dynamic_slice_in_dim(
                    self.get_variable("cache", "gain"), group * size, size
                )[None]
            )
        return above[0] + y

    @property
    def _reach(self) -> tuple[int, int]:
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2


class RowsAbove(Conv):
    """An unmasked convolution over the rows above, and the row itself unless `strict`: it never
    looks
      beside a pixel.

    Attributes:
      channels: input channels.
      features: output channels.
      kernel_size: width of the kernel, odd; it reaches kernel_size // 2 rows up.
      strict: whether the row itself is left out.
      height: how many rows it sees, if not those.
      stride: 2 for an output at the pixels of even row and column only.
      spread: of weight normalisation; None: there is none.
    """

    channels: int
    features: int
    kernel_size: int
    strict: bool
    height: int | None = None
    stride: int = 1
    spread: float | None = None

    def setup(self):
        height = self.height or self.kernel_size // 2 + (not self.strict)
        self.declare(np.ones((height, self.kernel_size, self.channels, self.features), bool))

    def __call__(self, x: Image) -> Image:
        side, strict = self.kernel_size // 2, int(self.strict)
        padding = ((len(self.kernel) - 1 + strict, -strict), (side, side))
        return self.finish(convolve(x.astype(self.kernel.dtype), self.kernel, padding, self.stride))

    def row(
        self, rows: Float[Array, "up width batch channels"]
    ) -> Float[Array, "width_out batch features"]:
        """One row of the output from the rows that it sees, oldest first."""
        return row_conv(rows, self.kernel, stride=self.stride) + self.bias[None, None]

    def enter(
        self, x: Float[Array, "width batch channels"]
    ) -> Float[Array, "width_out batch features"]:
        """The same from the next row alone: those before it are kept."""
        kept = self.get_variable(
            "cache", "rows", jnp.zeros((len(self.kernel) - 1, *x.shape), x.dtype)
        )
        rows = jnp.concatenate([kept, x[None]])
        self.put_variable("cache", "rows", rows[1:])
        return self.row(rows)


def convolve(
    x: Image, kernel: Float[Array, "rows taps channels features"], padding: Any, stride: int = 1
) -> Image:
    """Channels-last convolution; a negative padding cuts rows off."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def row_conv(
    rows: Array, kernel: Array, left: int | None = None, stride: int = 1
) -> Float[Array, "width_out batch features"]:
    """One row of a convolution: [rows, width, batch, channels] with [rows, taps, channels,
    features].

    `left` taps lie to the left of a pixel (by default half of them); a stride leaves out the odd
    columns.
    """
    (up, width, batch, _), taps = rows.shape, kernel.shape[1]
    left = taps // 2 if left is None else left
    padded = jnp.pad(rows.astype(kernel.dtype), ((0, 0), (left, taps - 1 - left), (0, 0), (0, 0)))
    if not up:
        return jnp.zeros((-(-width // stride), batch, kernel.shape[3]), kernel.dtype)
    patches = [padded[row, tap : tap + width : stride] for row in range(up) for tap in range(taps)]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[3])


def rows_of(
    image: Image, first: Rank, count: int, above: int
) -> Float[Array, "count width batch channels"]:
    """Rows first - above ... of an image, as `row_conv` takes them; rows above the image are zeros."""
    padded = jnp.pad(image, ((0, 0), (above, 0), (0, 0), (0, 0)))
    return jax.lax.dynamic_slice_in_dim(padded, first, count, 1).transpose(1, 2, 0, 3)


class InputConv(MaskedConv):
    """A masked convolution over the image itself: what it needs is read from the canvas, nothing is
    remembered.
    """

    def enter(self, image: Image, row: Rank) -> None:
        up = self._reach[0]
        self._begin(rows_of(image, row, up, up), 1)

    def step(
        self, image: Image, row: Rank, column: Rank, group: Rank
    ) -> Float[Array, "batch features_of_group"]:
        side, channels = self._reach[1], image.shape[-1]
        line = jax.lax.dynamic_index_in_dim(image, row, 1, keepdims=False).astype(self.kernel.dtype)
        known = (
            jnp.arange(line.shape[1] * channels).reshape(-1, channels) < column * channels + group
        )
        line = jnp.pad(jnp.where(known[None], line, 0), ((0, 0), (side, 0), (0, 0)))
        taps = jax.lax.dynamic_slice_in_dim(line, column, side + 1, 1)
        return self._beside([taps.reshape(len(taps), -1)], column, group)


class HiddenConv(MaskedConv):
    """A masked convolution over activations, which it keeps: the rows that it reaches up to, and
    the
      current one.
    """

    def enter(self, width: int, batch: int, known: Array | None = None) -> None:
        """Begins the next row; what is `known` of all its pixels is added."""
        up, side = self._reach
        if not up and not side and self.groups == 1:
            return self._keep_gain()
        shape = (width, batch, self.channels)
        last = self.get_variable(
            "cache", "row", jnp.zeros((side + width, *shape[1:]), self.kernel.dtype)
        )
        rows = last[None, side:]
        if up > 1:
            older = self.get_variable(
                "cache", "rows", jnp.zeros((up - 1, *shape), self.kernel.dtype)
            )
            rows = jnp.concatenate([older, rows])
            self.put_variable("cache", "rows", rows[1:])
        self.put_variable("cache", "row", jnp.zeros_like(last))
        return self._begin(rows[:up], side + 1, known)

    def step(
        self, x: Float[Array, "batch channels_of_group"], column: Rank, group: Rank
    ) -> Float[Array, "batch f"]:
        up, side = self._reach
        if not up and not side and self.groups == 1:
            y = x @ self.direction[0, 0]
            return (
                y if self.gain is None else y * self.get_variable("cache", "gain")[None]
            ) + self.bias[None]
        start = (column + side, 0, group * x.shape[1])
        row = jax.lax.dynamic_update_slice(self.get_variable("cache", "row"), x[None], start)
        self.put_variable("cache", "row", row)
        taps = list(jax.lax.dynamic_slice_in_dim(row, column, side + (self.groups > 1)))
        return self._beside(taps if self.groups > 1 else [*taps, x], column, group)


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
        self.hidden = HiddenConv(self.channels, self.features, groups=self.groups)
        self.params_of = HiddenConv(
            self.features, self.groups * self.num_params, groups=self.groups
        )

    def __call__(self, h: Image) -> Image:
        return self.params_of(nn.relu(self.hidden(nn.relu(h))))

    def enter(self, width: int, batch: int) -> None:
        self.hidden.enter(width, batch)
        self.params_of.enter(width, batch)

    def step(
        self, h: Float[Array, "batch c"], column: Rank, group: Rank
    ) -> Float[Array, "batch num_params"]:
        return self.params_of.step(
            nn.relu(self.hidden.step(nn.relu(h), column, group)), column, group
        )
