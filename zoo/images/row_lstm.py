"""Row LSTM: a recurrence from row to row, in which a pixel sees a widening triangle of those above
it.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.model import Rank
from zoo.foundation.registry import register
from zoo.images.pixel_rnn import PixelRNN, gate_major, of_group
from zoo.layers.cells import lstm
from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv


@register
class RowLSTM(PixelRNN):
    """Recurrent layers whose state runs down the rows; gates = K_is * x_i + K_ss * h_{i-1}, both
    convolutions of width 3.

    K_is has mask B and sees the row so far, K_ss the whole row above. A pixel thus misses what lies
    outside of a triangle that opens upwards, but for the first convolution.

    Sampling computes K_ss * h_{i-1} once a row (`enter`), the rest pixel by pixel (`step`).

    **Reference**: A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, Pixel recurrent neural
      networks, ICML 2016.

    Differs from the paper: values enter scaled to [-1, 1]; the paper does not say how many layers
      its MNIST model has.

    Attributes:
      kernel_size: the width of both convolutions, odd; the other fields are those of `PixelRNN`.
    """

    kernel_size: int = 3

    def recurrent(self):
        return RowLayer(self.features, self.kernel_size, self.groups)

    @property
    def num_gates(self):
        return 4 * self.features


class RowLayer(nn.Module):
    """One layer of Row LSTM, from 2h channels to h.

    Attributes:
      features: h.
      kernel_size: the width of both convolutions.
      groups: channel groups, one a colour.
    """

    features: int
    kernel_size: int
    groups: int

    def setup(self):
        h = self.features
        self.of_input = HiddenConv(2 * h, 4 * h, (1, self.kernel_size), groups=self.groups)
        self.kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal"),
            (self.kernel_size * h, 4 * h),
        )

    def __call__(self, x: Image, image: Image, bias: Float[Array, "_ gates"]) -> Image:
        del image
        gates = gate_major(self.of_input(x) + bias[:, None, None], self.groups).swapaxes(0, 1)
        kernel = gate_major(self.kernel, self.groups)
        start = jnp.zeros((*gates.shape[1:3], self.features), gates.dtype)

        @jax.checkpoint  # cheaper than to remember the gates
        def row(state, gates):
            h, c = lstm(gates + _neighbours(state[0], self.kernel_size, 1) @ kernel, state[1])
            return (h, c), h

        return jax.lax.scan(row, (start, start), gates)[1].swapaxes(0, 1)

    def enter(self, image: Image, row: Rank, bias: Array) -> None:
        del row
        batch, _, width, _ = image.shape
        zeros = jnp.zeros((width, batch, self.features), self.kernel.dtype)
        last, c = self.get_variable("cache", "h", zeros), self.get_variable("cache", "c", zeros)
        self.put_variable(
            "cache", "above", _neighbours(last, self.kernel_size, 0) @ self.kernel + bias[None]
        )
        self.put_variable("cache", "c_above", c)
        self.put_variable("cache", "h", zeros)
        self.put_variable("cache", "c", zeros)
        self.of_input.enter(width, batch)

    def step(
        self, x: Float[Array, "batch c"], column: Rank, group: Rank, bias: Array
    ) -> Float[Array, "batch h_of_group"]:
        above, c = (self._at(name, column, group) for name in ("above", "c_above"))
        h, c = lstm(self.of_input.step(x, column, group) + above, c)
        for name, new in (("h", h), ("c", c)):
            row: Array = self.get_variable("cache", name)
            start = (column, 0, group * new.shape[1])
            self.put_variable("cache", name, jax.lax.dynamic_update_slice(row, new[None], start))
        return h

    def _at(self, name, column, group):
        row: Array = self.get_variable("cache", name)
        return of_group(
            jax.lax.dynamic_index_in_dim(row, column, 0, keepdims=False), group, self.groups
        )


def _neighbours(row: Array, kernel_size: int, axis: int) -> Array:
    """Beside each other the channels of all pixels that a kernel sees; `axis` counts the pixels."""
    side, width = kernel_size // 2, row.shape[axis]
    padded = jnp.pad(row, [(side, side) if i == axis else (0, 0) for i in range(row.ndim)])
    taps = [jax.lax.slice_in_dim(padded, tap, tap + width, axis=axis) for tap in range(kernel_size)]
    return jnp.concatenate(taps, axis=-1)
