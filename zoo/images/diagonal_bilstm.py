"""Diagonal BiLSTM: two recurrences along the diagonals, which together see all pixels before."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.model import Rank
from zoo.foundation.registry import register
from zoo.images.pixel_rnn import PixelRNN, gate_major
from zoo.layers.cells import lstm
from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv
from zoo.layers.row_buffers import rows_of


@register
class DiagonalBiLSTM(PixelRNN):
    """Two recurrences per layer, one from the left and from above, one from the right and from above.

    The gates at (i, j) are K_is x(i, j) + K_side h(i, j -+ 1) + K_above h(i-1, j); the state comes
    from (i, j -+ 1). The outputs of the recurrence from the right are moved down by a row before the
    two are added, so that no pixel sees the rest of its own row. There is no blind spot.

    The likelihood runs over diagonals, whose pixels are independent of each other: row i is moved i
    places to the right, and one scan over width + height - 1 columns runs both recurrences. Sampling
    runs the recurrence from the left pixel by pixel (`step`), and that from the right along a whole
    row once it is complete (`enter` of the next).

    **Reference**: A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, Pixel recurrent neural
    networks, ICML 2016.

    Differs from the paper: values enter scaled to [-1, 1]; the recurrence from the right also reads
    the pixels themselves. Features behind mask A do not depend on their own pixel, so the last pixel
    of the row above would reach its neighbours only.

    Attributes: those of `PixelRNN`.

    Example:
      >>> import zoo
      >>> model = zoo.DiagonalBiLSTM((8, 8), features=4, layers=2)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.block
      ((2, 8, 8), 8)
    """

    def recurrent(self):
        return DiagonalLayer(self.features, self.groups)

    @property
    def num_gates(self):
        return 8 * self.features

    def enter(self, x, t, memory=None):
        image, row, width, batch = self.image(x), self.row(t), self.site_shape[1], len(x)
        self.first.enter(image, row)
        for i in range(self.layers):
            self.recur[i].enter(image, row, self._bias(memory, i))
            self.expand[i].enter(width, batch)
        self.readout.enter(width, batch)

    def step(self, x, t, memory=None):
        at = self.place(t)
        h = self.first.step(self.image(x), self.row(t), *at)
        for i in range(self.layers):
            h = h + self.expand[i].step(self.recur[i].step(h, *at, self._bias(memory, i)), *at)
        return self.readout.step(h, *at)


class DiagonalRow(NamedTuple):
    """The cache of a layer during one row.

    Attributes:
      x: the inputs of the row so far, [width, batch, 2h]; the recurrence from the right reads them
        when the row is complete.
      left: the outputs from the left so far, after one place for the zero state before the first
        pixel, [1 + width, batch, h].
      c: the LSTM's second state of the recurrence from the left, [batch, h].
      gates_above: what the row above adds to the gates from the left, [width, batch, 4h].
      right: the outputs from the right in the row above, [width, batch, h].
    """

    x: Float[Array, "width batch channels"]
    left: Float[Array, "width_and_1 batch h"]
    c: Float[Array, "batch h"]
    gates_above: Float[Array, "width batch gates"]
    right: Float[Array, "width batch h"]


class DiagonalLayer(nn.Module):
    """One layer of Diagonal BiLSTM, from 2h channels to h.

    Attributes:
      features: h.
      groups: channel groups, one a colour.
    """

    features: int
    groups: int

    def setup(self):
        h = self.features
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", batch_axis=0)
        self.from_left = HiddenConv(2 * h, 4 * h, groups=self.groups)
        self.from_right = nn.Dense(4 * h)
        # [0] from the left, [1] from the right; of each the first h rows are K_side, the others
        # K_above.
        self.kernel = self.param("kernel", init, (2, 2 * h, 4 * h))

    def __call__(self, x: Image, image: Image, bias: Float[Array, "_ gates"]) -> Image:
        (batch, height, *_), h = x.shape, self.features
        bias_left, bias_right = jnp.split(bias[:, None, None], 2, axis=-1)
        left = gate_major(self.from_left(x) + bias_left, self.groups)  # [batch, height, width, 4h]
        right = jnp.concatenate([x, image.astype(x.dtype)], axis=-1)
        right = self.from_right(right) + bias_right  # [batch, height, width, 4h]
        right = jnp.flip(right, axis=2)  # mirrored, it runs from the left too
        kernel = self.kernel.at[0].set(gate_major(self.kernel[0], self.groups))
        start = jnp.zeros((2, height * batch, h), left.dtype)

        @jax.checkpoint  # the gates are cheaper to recompute than to keep for the gradient
        def diagonal(state, gates):
            side, c = state  # of the diagonal before, [2, height * batch, h]: the pixels beside
            # The pixels above are those of the row above: moved by one row of `batch` states.
            above = jnp.pad(side, ((0, 0), (batch, 0), (0, 0)))[:, : len(side[0])]
            side, c = lstm(gates + jnp.concatenate([side, above], -1) @ kernel, c)
            return (side, c), side

        gates = jnp.stack([left, right])  # [2, batch, height, width, 4h]
        gates = _skew(gates.transpose(2, 3, 0, 1, 4))  # [height, diagonals, 2, batch, 4h]
        gates = gates.transpose(1, 2, 0, 3, 4)  # [diagonals, 2, height, batch, 4h]
        gates = gates.reshape(-1, 2, height * batch, 4 * h)
        _, outputs = jax.lax.scan(diagonal, (start, start), gates)
        outputs = outputs.reshape(-1, 2, height, batch, h)  # [diagonals, 2, height, batch, h]
        outputs = _unskew(outputs.transpose(2, 0, 1, 3, 4))  # [height, width, 2, batch, h]
        left, right = outputs[:, :, 0], outputs[:, :, 1]  # [height, width, batch, h]
        right = jnp.pad(right[:-1], ((1, 0), (0, 0), (0, 0), (0, 0)))  # one row down
        return (left + jnp.flip(right, axis=1)).transpose(2, 0, 1, 3)  # [batch, height, width, h]

    def enter(self, image: Image, row: Rank, bias: Array) -> None:
        """Starts a row: runs the recurrence from the right along the row above."""
        batch, _, width, _ = image.shape
        bias_left, bias_right = jnp.split(bias[None], 2, axis=-1)
        h = self.features
        k_side, k_above = self.kernel[1, :h], self.kernel[1, h:]  # of the recurrence from the right
        last = self._row(width, batch)

        def from_right(state, gates):
            state = lstm(gates + state[0] @ k_side, state[1])
            return state, state[0]

        pixels = rows_of(image, row, 1, 1)[0].astype(last.x.dtype)  # the row above, [width, ...]
        gates = self.from_right(jnp.concatenate([last.x, pixels], axis=-1)) + bias_right
        gates = gates + last.right @ k_above  # [width, batch, 4h]
        zeros = jnp.zeros_like(last.c)
        _, right = jax.lax.scan(from_right, (zeros, zeros), gates, reverse=True)
        next_row = DiagonalRow(
            x=jnp.zeros_like(last.x),
            left=jnp.zeros_like(last.left),
            c=zeros,
            gates_above=last.left[1:] @ self.kernel[0, h:] + bias_left,
            right=jnp.where(row > 0, right, 0),
        )
        self.put_variable("cache", "row", next_row)
        self.from_left.enter(width, batch)

    def step(
        self, x: Float[Array, "batch c"], column: Rank, group: Rank, bias: Array
    ) -> Float[Array, "batch h_of_group"]:
        """The outputs of one group of one pixel."""
        del bias  # `enter` has added it
        row: DiagonalRow = self.get_variable("cache", "row")

        def at(line, place):
            return jax.lax.dynamic_index_in_dim(line, place, 0, keepdims=False)

        gates_above = of_group(at(row.gates_above, column), group, self.groups)
        right = of_group(at(row.right, column), group, self.groups)
        side = at(row.left, column)  # the pixel to the left: its place is one further
        k_side = of_group(self.kernel[0, : self.features], group, self.groups)
        gates = self.from_left.step(x, column, group) + gates_above + side @ k_side
        h, c = lstm(gates, of_group(row.c, group, self.groups))  # [batch, h_of_group]

        def write(line, value, place):
            start = (place, 0, group * value.shape[1])
            return jax.lax.dynamic_update_slice(line, value[None], start)

        row = row._replace(
            x=write(row.x, x, column),
            left=write(row.left, h, column + 1),
            c=jax.lax.dynamic_update_slice(row.c, c, (0, group * c.shape[1])),
        )
        self.put_variable("cache", "row", row)
        return h + right

    def _row(self, width, batch):
        """The row that was drawn last; zeros above the image."""
        h, dtype = self.features, self.kernel.dtype
        empty = DiagonalRow(
            x=jnp.zeros((width, batch, 2 * h), dtype),
            left=jnp.zeros((1 + width, batch, h), dtype),
            c=jnp.zeros((batch, h), dtype),
            gates_above=jnp.zeros((width, batch, 4 * h), dtype),
            right=jnp.zeros((width, batch, h), dtype),
        )
        return self.get_variable("cache", "row", empty)


def _skew(image: Array) -> Array:
    """[rows, columns, ...] with row i moved i places to the right: [rows, columns + rows - 1, ...],
    zeros around.
    """
    (rows, columns), rest = image.shape[:2], image.shape[2:]
    # Rows of columns + rows entries, read again as rows that are one entry shorter.
    padded = jnp.pad(image, ((0, 0), (0, rows), *[(0, 0)] * len(rest)))
    flat = padded.reshape(rows * (columns + rows), *rest)
    length = columns + rows - 1
    return flat[: rows * length].reshape(rows, length, *rest)


def _unskew(skewed: Array) -> Array:
    """The inverse of `_skew`."""
    (rows, length), rest = skewed.shape[:2], skewed.shape[2:]
    flat = jnp.pad(skewed.reshape(rows * length, *rest), ((0, rows), *[(0, 0)] * len(rest)))
    return flat.reshape(rows, length + 1, *rest)[:, : length + 1 - rows]


def of_group(values: Array, group: Rank, groups: int) -> Array:
    """The channels (last axis) of one group."""
    size = values.shape[-1] // groups
    return jax.lax.dynamic_slice_in_dim(values, group * size, size, values.ndim - 1)
