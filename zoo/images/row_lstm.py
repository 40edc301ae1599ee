"""Row LSTM: a recurrence from row to row, in which a pixel sees a triangle that opens upwards."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.foundation.registry import register
from zoo.images.pixel_rnn import PixelRNN, gate_major
from zoo.layers.cells import lstm
from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv


@register
class RowLSTM(PixelRNN):
    """Recurrent layers whose state runs down the rows; gates = K_is * x_i + K_ss * h_{i-1}, both
    convolutions of width 3.

    K_is has mask B and sees the row so far, K_ss the whole row above. Apart from the first
    convolution, a pixel sees only what lies in a triangle that opens upwards.

    **Reference**: A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, Pixel recurrent neural
    networks, ICML 2016.

    Differs from the paper: values enter scaled to [-1, 1]; the paper does not state the number of
    layers of its MNIST model.

    Attributes:
      kernel_size: the width of both convolutions, odd; the other fields are those of `PixelRNN`.

    Example:
      >>> import zoo
      >>> model = zoo.RowLSTM((8, 8), features=4, layers=2)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.block
      ((2, 8, 8), 8)
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
        self.input_proj = HiddenConv(
            2 * h, 4 * h, (1, self.kernel_size), groups=self.groups, name="of_input"
        )
        self.kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal"),
            (self.kernel_size * h, 4 * h),
        )

    def __call__(self, x: Image, image: Image, bias: Float[Array, "_ gates"]) -> Image:
        del image
        gates = gate_major(self.input_proj(x) + bias[:, None, None], self.groups)
        gates = gates.swapaxes(0, 1)  # [height, batch, width, 4h]
        kernel = gate_major(self.kernel, self.groups)  # [kernel_size * h, 4h]
        start = jnp.zeros((*gates.shape[1:3], self.features), gates.dtype)  # [batch, width, h]

        @jax.checkpoint  # the gates are cheaper to recompute than to keep for the gradient
        def row(state, gates):
            h, c = lstm(gates + _neighbours(state[0], self.kernel_size) @ kernel, state[1])
            return (h, c), h

        return jax.lax.scan(row, (start, start), gates)[1].swapaxes(0, 1)


def _neighbours(rows: Array, kernel_size: int) -> Array:
    """The channels of all pixels that a kernel sees, side by side; of rows [batch, width, h]."""
    side, width = kernel_size // 2, rows.shape[1]
    padded = jnp.pad(rows, ((0, 0), (side, side), (0, 0)))
    taps = [padded[:, tap : tap + width] for tap in range(kernel_size)]
    return jnp.concatenate(taps, axis=-1)
