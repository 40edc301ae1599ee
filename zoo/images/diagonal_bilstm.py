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
from zoo.layers.linear import Dense
from zoo.layers.row_buffers import rows_of


@register
class DiagonalBiLSTM(PixelRNN):
    """Two recurrences per layer, one from the left and from above, one from the right and from above.

    The gates at (i, j) are K_is x(i, j) + K_side h(i, j -+ 1) + K_above h(i-1, j); the state comes
    from (i, j -+ 1). The outputs of the recurrence from the right are moved down by a row before the
    two are added, so that no pixel sees the rest of its own row. There is no blind spot.

    The likelihood runs over diagonals, whose pixels are independent of each other: row i is moved i
    places to the right, and one scan over width + height - 1 columns runs both recurrences. Sampling
    runs the recurrence from the left pixel by pixel (`step`), and those from the right of all layers
    together along a whole row once it is complete (`enter` of the next).

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
        for layer, expand in zip(self.recur, self.expand, strict=True):
            layer.from_left.enter(width, batch)
            expand.enter(width, batch)
        self.readout.enter(width, batch)
        pixels = rows_of(image, row, 1, 1)[0]  # the row above, [width, batch, channels]
        last = self.get_variable("cache", "rows", self._empty(width, batch))
        gates = [
            layer.gates_of_row(last, i, pixels, self._bias(memory, i))
            for i, layer in enumerate(self.recur)
        ]
        left, right = (jnp.stack(each, axis=1) for each in zip(*gates, strict=True))
        k_left, k_right = (
            jnp.stack([layer.kernel[d, : self.features] for layer in self.recur]) for d in (0, 1)
        )

        def from_right(state, gates):
            state = lstm(gates + jnp.einsum("lbh,lhg->lbg", state[0], k_right), state[1])
            return state, state[0]

        zeros = jnp.zeros_like(last.c)
        _, right = jax.lax.scan(from_right, (zeros, zeros), right, reverse=True)
        right = jnp.where(row > 0, right, 0)
        empty = self._empty(width, batch)._replace(gates_above=left, right=right, k_side=k_left)
        self.put_variable("cache", "rows", empty)

    def step(self, x, t, memory=None):
        column, group = at = self.place(t)
        rows: DiagonalRows = self.get_variable("cache", "rows")

        def here(line):
            return jax.lax.dynamic_index_in_dim(line, column, 0, keepdims=False)

        # Behind barriers the sums of all layers are one operation, and a GPU's matmul takes none in.
        k_side = of_group(rows.k_side, group, self.groups)
        side = jnp.einsum("lbh,lhg->lbg", here(rows.left), k_side)  # the pixel to the left
        above = of_group(here(rows.gates_above), group, self.groups)
        gates = above + jax.lax.optimization_barrier(side)
        right, c = (of_group(each, group, self.groups) for each in (here(rows.right), rows.c))
        h, new = self.first.step(self.image(x), self.row(t), *at), []
        for i, (layer, expand) in enumerate(zip(self.recur, self.expand, strict=True)):
            own = jax.lax.optimization_barrier(layer.from_left.step(h, *at))
            left, after = lstm(gates[i] + own, c[i])  # [batch, h_of_group]
            new.append((h, left, after))
            h = h + expand.step(left + right[i], *at)
        self.put_variable(
            "cache", "rows", rows.with_pixel(column, group, *map(jnp.stack, zip(*new, strict=True)))
        )
        return self.readout.step(h, *at)

    def _empty(self, width, batch):
        """The rows above the image."""
        h, layers, dtype = self.features, self.layers, self.first.bias.dtype

        def zeros(places, channels):
            return jnp.zeros((places, layers, batch, channels), dtype)

        return DiagonalRows(
            x=zeros(width, 2 * h),
            left=zeros(1 + width, h),
            c=zeros(1, h)[0],
            gates_above=zeros(width, 4 * h),
            right=zeros(width, h),
            k_side=jnp.zeros((layers, h, 4 * h), dtype),
        )


class DiagonalRows(NamedTuple):
    """The cache of all layers during one row.

    Attributes:
      x: the inputs of the row so far; the recurrence from the right reads them when the row is
        complete.
      left: the outputs from the left so far, after one place for the zero state before the first
        pixel.
      c: the LSTM's second state of the recurrence from the left.
      gates_above: what the row above adds to the gates from the left.
      right: the outputs from the right in the row above.
      k_side: what the gates from the left multiply the pixel to the left by.
    """

    x: Float[Array, "width layers batch channels"]
    left: Float[Array, "width_and_1 layers batch h"]
    c: Float[Array, "layers batch h"]
    gates_above: Float[Array, "width layers batch gates"]
    right: Float[Array, "width layers batch h"]
    k_side: Float[Array, "layers h gates"]

    def with_pixel(
        self, column: Rank, group: Rank, x: Array, left: Array, c: Array
    ) -> "DiagonalRows":
        """The rows with what one group of a pixel adds, [layers, batch, channels of the group]."""

        def write(line, value, *place):
            start = (*place, 0, 0, group * value.shape[-1])
            return jax.lax.dynamic_update_slice(line, value, start)

        return self._replace(
            x=write(self.x, x[None], column),
            left=write(self.left, left[None], column + 1),
            c=write(self.c, c),
        )


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
        self.from_right = Dense(4 * h)
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

    def gates_of_row(
        self, last: DiagonalRows, layer: int, pixels: Array, bias: Array
    ) -> tuple[Float[Array, "width batch gates"], Float[Array, "width batch gates"]]:
        """What is known of the gates as a row starts: what the row above adds to those from the left,
        and those from the right along that row, but for the pixel beside.
        """
        bias_left, bias_right = jnp.split(bias[None], 2, axis=-1)
        k_left, k_right = (each[self.features :] for each in self.kernel)
        x = jnp.concatenate([last.x[:, layer], pixels.astype(last.x.dtype)], axis=-1)
        left = last.left[1:, layer] @ k_left + bias_left
        return left, self.from_right(x) + bias_right + last.right[:, layer] @ k_right


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
