"""Diagonal BiLSTM: two recurrences along the diagonals, which together see every pixel before."""

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
from zoo.layers.row_buffers import rows_of


@register
class DiagonalBiLSTM(PixelRNN):
    """Two recurrences a layer: one comes from the left and from above, the other from the right and
      from above.

    Gates at (i, j) are K_is x(i, j) + K_side h(i, j -+ 1) + K_above h(i-1, j), the state is carried
    from (i, j -+ 1). The outputs of the one from the right are moved down by a row before the two
    are added, so that no pixel sees the rest of its own row. Nothing that comes before is blind.

    The likelihood runs over diagonals, on which all pixels are independent of each other: row i is
      moved i places to the
    right, and a scan of width + height - 1 columns does both recurrences. Sampling runs the left
    one pixel by pixel (`step`), and the right one along the last row when that is complete
    (`enter`).

    **Reference**: A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, Pixel recurrent neural
      networks, ICML 2016.

    Differs from the paper: values enter scaled to [-1, 1]; the recurrence from the right is also
      given the pixels
    themselves, for the features behind mask A say nothing of their own pixel, and the last pixel of
    the row above would be seen by none but its neighbours.

    Attributes: those of `PixelRNN`.
    """

    def recurrent(self):
        return DiagonalLayer(self.features, self.groups)

    @property
    def num_gates(self):
        return 8 * self.features


class DiagonalLayer(nn.Module):
    """One layer of Diagonal BiLSTM, from 2h channels to h.

    Attributes:
      features: h.
      groups: channel groups, one a colour.
    """

    features: int
    groups: int

    def setup(self):
        h, init = (
            self.features,
            nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", batch_axis=0),
        )
        self.from_left = HiddenConv(2 * h, 4 * h, groups=self.groups)
        self.from_right = nn.Dense(4 * h)
        # The kernels of the one from the left and the one from the right; the upper half is K_side,
        # the lower K_above.
        self.kernel = self.param("kernel", init, (2, 2 * h, 4 * h))

    def __call__(self, x: Image, image: Image, bias: Float[Array, "_ gates"]) -> Image:
        biases = jnp.split(bias[:, None, None], 2, axis=-1)
        left = gate_major(self.from_left(x) + biases[0], self.groups)
        right = jnp.concatenate([x, image.astype(x.dtype)], axis=-1)
        right = jnp.flip(self.from_right(right) + biases[1], axis=2)
        kernel = self.kernel.at[0].set(gate_major(self.kernel[0], self.groups))
        (batch, height, *_), h = x.shape, self.features
        start = jnp.zeros((2, height * batch, h), left.dtype)

        @jax.checkpoint  # cheaper than to remember the gates
        def column(state, gates):
            side, c = state
            above = jnp.pad(side, ((0, 0), (batch, 0), (0, 0)))[:, : len(side[0])]
            side, c = lstm(gates + jnp.concatenate([side, above], -1) @ kernel, c)
            return (side, c), side

        gates = _skew(jnp.stack([left, right]).transpose(2, 3, 0, 1, 4)).transpose(1, 2, 0, 3, 4)
        _, outputs = jax.lax.scan(
            column, (start, start), gates.reshape(-1, 2, height * batch, 4 * h)
        )
        outputs = _unskew(outputs.reshape(-1, 2, height, batch, h).transpose(2, 0, 1, 3, 4))
        right = jnp.pad(outputs[:-1, :, 1], ((1, 0), (0, 0), (0, 0), (0, 0)))
        return (outputs[:, :, 0] + jnp.flip(right, axis=1)).transpose(2, 0, 1, 3)

    def enter(self, image: Image, row: Rank, bias: Array) -> None:
        batch, _, width, _ = image.shape
        h, biases = self.features, jnp.split(bias[None], 2, axis=-1)
        zeros = jnp.zeros((width, batch, h), self.kernel.dtype)
        x = self.get_variable("cache", "x", jnp.zeros((width, batch, 2 * h), zeros.dtype))
        left = self.get_variable("cache", "left", jnp.pad(zeros, ((1, 0), (0, 0), (0, 0))))

        def from_right(state, gates):
            state = lstm(gates + state[0] @ self.kernel[1, :h], state[1])
            return state, state[0]

        above = self.get_variable("cache", "right", zeros) @ self.kernel[1, h:]
        pixels = rows_of(image, row, 1, 1)[0].astype(x.dtype)
        gates = self.from_right(jnp.concatenate([x, pixels], axis=-1)) + biases[1] + above
        right = jax.lax.scan(from_right, (zeros[0], zeros[0]), gates, reverse=True)[1]
        self.put_variable("cache", "right", jnp.where(row > 0, right, 0))
        self.put_variable("cache", "above", left[1:] @ self.kernel[0, h:] + biases[0])
        self.put_variable("cache", "left", jnp.zeros_like(left))
        self.put_variable("cache", "x", jnp.zeros_like(x))
        self.put_variable("cache", "c", zeros[0])
        self.from_left.enter(width, batch)

    def step(
        self, x: Float[Array, "batch c"], column: Rank, group: Rank, bias: Array
    ) -> Float[Array, "batch h_of_group"]:
        del bias  # `enter` has added it
        cache: dict[str, Array] = {
            name: self.get_variable("cache", name) for name in ("x", "left", "c", "above", "right")
        }
        above, right = (
            of_group(
                jax.lax.dynamic_index_in_dim(cache[name], column, 0, keepdims=False),
                group,
                self.groups,
            )
            for name in ("above", "right")
        )
        side = jax.lax.dynamic_index_in_dim(cache["left"], column, 0, keepdims=False)
        kernel = of_group(self.kernel[0, : self.features], group, self.groups)
        gates = self.from_left.step(x, column, group) + above + side @ kernel
        h, c = lstm(gates, of_group(cache["c"], group, self.groups))
        for name, value, start in (("x", x[None], column), ("left", h[None], column + 1)):
            at = (start, 0, group * value.shape[2])
            self.put_variable("cache", name, jax.lax.dynamic_update_slice(cache[name], value, at))
        self.put_variable(
            "cache", "c", jax.lax.dynamic_update_slice(cache["c"], c, (0, group * c.shape[1]))
        )
        return h + right


def _skew(image: Array) -> Array:
    """[rows, columns, ...] with row i moved i places to the right: [rows, columns + rows - 1, ...],
    zeros around.
    """
    (rows, columns), rest = image.shape[:2], image.shape[2:]
    padded = jnp.pad(image, ((0, 0), (0, rows), *[(0, 0)] * len(rest))).reshape(
        rows * (columns + rows), *rest
    )
    return padded[: rows * (columns + rows - 1)].reshape(rows, columns + rows - 1, *rest)


def _unskew(skewed: Array) -> Array:
    """The inverse of `_skew`."""
    (rows, length), rest = skewed.shape[:2], skewed.shape[2:]
    flat = jnp.pad(skewed.reshape(rows * length, *rest), ((0, rows), *[(0, 0)] * len(rest)))
    return flat.reshape(rows, length + 1, *rest)[:, : length + 1 - rows]
