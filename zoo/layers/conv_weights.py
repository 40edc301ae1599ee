"""Weights of a convolution over the raster: masks, and weight normalisation initialised by data.

A mask hides what comes later: of a kernel centred on a pixel only the upper half and the middle row
up to the pixel have weights. Channels may form groups, one a colour: the middle tap of mask A lets a
group see the groups before it, mask B its own group too (van den Oord et al. 2016).

Weight normalisation (Salimans and Kingma 2016) factorises the kernel of each output channel,
W = s V / |V|. The first batch sets s and the bias such that the outputs on it have mean 0 and a
standard deviation of `init_std`.
"""

from typing import TYPE_CHECKING, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Image = Float[Array, "_ _ _ _"]  # batch, height, width, channels


def mask(
    kernel_size: tuple[int, int],
    kind: Literal["A", "B"],
    channels: int = 1,
    features: int = 1,
    groups: int = 1,
) -> Bool[np.ndarray, "rows width channels features"]:
    """Which weights a masked kernel has: those of its upper half and of its middle row, the last of
    `rows`, up to the middle tap.

    Args:
      kernel_size: height and width of the kernel without a mask, odd.
      kind: what the middle tap sees: A the groups before its own, B its own group too.
      channels: input channels.
      features: output channels.
      groups: the groups into which both fall, one a colour.

    Example:
      >>> mask((3, 3), "A")[:, :, 0, 0].astype(int).tolist()
      [[1, 1, 1], [1, 0, 0]]
    """
    rows, width = kernel_size[0] // 2 + 1, kernel_size[1]
    input_group, output_group = (np.arange(n) * groups // n for n in (channels, features))
    seen = np.ones((rows, width, channels, features), bool)
    seen[-1, width // 2 + 1 :] = False
    if kind == "A":
        seen[-1, width // 2] = input_group[:, None] < output_group
    else:
        seen[-1, width // 2] = input_group[:, None] <= output_group
    return seen


class Conv(nn.Module):
    """A kernel and a bias, plain or with weight normalisation: the base of all convolutions here.

    After `setup_weights` it has `direction` (V, [rows, taps, channels, features]), `gain` (s / |V|,
    [features]; None without weight normalisation), `kernel` (W) and `bias`.
    """

    if TYPE_CHECKING:

        @property
        def features(self) -> int: ...
        @property
        def init_std(self) -> float | None: ...

    def setup_weights(
        self, seen: Bool[np.ndarray, "rows taps channels features"], taps: int | None = None
    ) -> None:
        """Declares the params. The kernel is zero where not `seen`, and cut to its first `taps`."""
        # The fan-in that the initialiser sees counts hidden weights too.
        correction = seen.size / max(1, seen.sum())
        init = nn.initializers.variance_scaling(
            correction, "fan_in", "truncated_normal", (0, 1, 2), 3
        )
        kernel = self.param("kernel", init, seen.shape)
        masked = kernel if seen.all() else jnp.where(seen, kernel, 0)
        self.direction = masked[:, :taps]
        if self.init_std is None:
            self.gain, self.kernel = None, self.direction
        else:
            scale = self.param("scale", nn.initializers.ones, (self.features,))
            norm = jnp.sqrt(jnp.square(self.direction.astype(jnp.float32)).sum((0, 1, 2)))
            self.gain = scale / norm.astype(scale.dtype)
            self.kernel = self.direction * self.gain[None, None, None]
        self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    def add_bias(self, y: Image) -> Image:
        """y + bias; with weight normalisation the first batch sets scale and bias here."""
        if self.init_std is None or not self.is_initializing():
            return y + self.bias[None, None, None]
        mean, deviation = y.mean((0, 1, 2)), y.std((0, 1, 2))
        # A channel that does not vary keeps its scale.
        scale = jnp.where(deviation > 1e-3, self.init_std / deviation, 1.0)
        self.put_variable("params", "scale", scale)
        self.put_variable("params", "bias", -mean * scale)
        return (y - mean[None, None, None]) * scale[None, None, None]


def convolve(
    x: Image, kernel: Float[Array, "rows taps channels features"], padding: Any, stride: int = 1
) -> Image:
    """Channels-last convolution; a negative padding cuts rows off."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
