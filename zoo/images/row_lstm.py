"""Row LSTM: a recurrence from row to row, in which a pixel sees a triangle that opens upwards."""

from typing import NamedTuple

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

    K_is has mask B and sees the row so far, K_ss the whole row above. Apart from the first
    convolution, a pixel sees only what lies in a triangle that opens upwards.

    Sampling computes K_ss * h_{i-1} once a row (`enter`), the rest pixel by pixel (`step`).

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


class RowStates(NamedTuple):
    """The cache of a layer during one row.

    Attributes:
      h: the outputs of the row so far, [width, batch, h].
      c: the LSTM's second state of the row so far, [width, batch, h].
      gates_above: K_ss * h_{i-1} and the bias, [width, batch, 4h].
      c_above: c of the row above, [width, batch, h].
    """

    h: Float[Array, "width batch h"]
    c: Float[Array, "width batch h"]
    gates_above: Float[Array, "width batch gates"]
    c_above: Float[Array, "width batch h"]


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
            h, c = lstm(gates + _neighbours(state[0], self.kernel_size, 1) @ kernel, state[1])
            return (h, c), h

        return jax.lax.scan(row, (start, start), gates)[1].swapaxes(0, 1)

    def enter(self, image: Image, row: Rank, bias: Array) -> None:
        """Starts a row."""
        del row
        batch, _, width, _ = image.shape
        zeros = jnp.zeros((width, batch, self.features), self.kernel.dtype)
        gates = jnp.zeros((width, batch, 4 * self.features), self.kernel.dtype)
        last: RowStates = self.get_variable("cache", "row", RowStates(zeros, zeros, gates, zeros))
        gates_above = _neighbours(last.h, self.kernel_size, 0) @ self.kernel + bias[None]
        self.put_variable("cache", "row", RowStates(zeros, zeros, gates_above, last.c))
        self.input_proj.enter(width, batch)

    def step(
        self, x: Float[Array, "batch c"], column: Rank, group: Rank, bias: Array
    ) -> Float[Array, "batch h_of_group"]:
        """The outputs of one group of one pixel."""
        row: RowStates = self.get_variable("cache", "row")
        gates_above, c_above = (
            of_group(
                jax.lax.dynamic_index_in_dim(each, column, 0, keepdims=False), group, self.groups
            )
            for each in (row.gates_above, row.c_above)
        )
        h, c = lstm(self.input_proj.step(x, column, group) + gates_above, c_above)
        start = (column, 0, group * h.shape[1])
        row = row._replace(
            h=jax.lax.dynamic_update_slice(row.h, h[None], start),
            c=jax.lax.dynamic_update_slice(row.c, c[None], start),
        )
        self.put_variable("cache", "row", row)
        return h


def _neighbours(row: Array, kernel_size: int, axis: int) -> Array:
    """The channels of all pixels that a kernel sees, side by side; `axis` counts the pixels."""
    side, width = kernel_size // 2, row.shape[axis]
    padded = jnp.pad(row, [(side, side) if i == axis else (0, 0) for i in range(row.ndim)])
    taps = [jax.lax.slice_in_dim(padded, tap, tap + width, axis=axis) for tap in range(kernel_size)]
    return jnp.concatenate(taps, axis=-1)
