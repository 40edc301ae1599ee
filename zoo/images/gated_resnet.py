"""The gated resnet of PixelCNN++, one for each of the streams u and ul."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv, RowsAbove
from zoo.layers.row_buffers import row_conv

Row = Float[Array, "width batch features"]
Pixel = Float[Array, "batch features"]
Pair = tuple[Array, Array]


class ResnetWeights(NamedTuple):
    """The weights of a `GatedResnet` with f features, normalised once for a whole draw.

    Attributes:
      label: the biases of the gates of u and of ul, [batch, 2f] each; zeros [1, 1] without labels.
      u: the kernels of u, [2, 3, 2f, f] and [2, 3, 2f, 2f]: of the row above, and of the row itself.
      u_across: the kernel of the shortcut into u, [2f, f]; None without a shortcut.
      u_bias: biases [1, f] and [batch or 1, 2f], with those of the label and of the shortcut.
      above: the kernels of ul for what is known before a row begins. The first one, [6f, f], takes
        the row above at the pixel to the left and at the pixel, and u; the second one, [4f, 2f],
        the row above alone.
      left: the kernels of ul at the pixel to the left, [2f, f] and [2f, 2f].
      here: the kernels of ul at the pixel itself, [2f, f] and [2f, 2f]; with a shortcut the first
        one takes the activation on the way down too: [4f, f].
      ul_bias: the same for ul.
    """

    label: Pair
    u: Pair
    u_across: Array | None
    u_bias: Pair
    above: Pair
    left: Pair
    here: Pair
    ul_bias: Pair


class GatedResnet(nn.Module):
    """A gated resnet of each stream. With elu(x) the ELU of x and of -x side by side and c the label,

        (a, b) = conv(dropout(elu(conv(elu(x)) + A elu(aside)))) + V c,    x += a * sigmoid(b)

    where `aside` is u for the stream ul; on the way up, the activation of the same resolution on
    the way down is aside too.

    Attributes:
      features: channels of either stream.
      shortcut: whether an activation on the way down is aside.
      dropout: the rate at which activations are dropped in training.
      num_classes: the number of labels; 0 for none.
    """

    features: int
    shortcut: bool
    dropout: float
    num_classes: int

    def setup(self):
        f = self.features
        sizes = ((f, 1.0), (2 * f, 0.1))  # outputs of the two convolutions, and their first std
        self.u = [RowsAbove(2 * f, out, 3, strict=False, init_std=std) for out, std in sizes]
        self.ul = [HiddenConv(2 * f, out, (3, 3), right=False, init_std=std) for out, std in sizes]
        self.aside = HiddenConv(2 * f, f, init_std=1.0)
        self.across = [HiddenConv(2 * f, f, init_std=1.0) for _ in range(2 * self.shortcut)]
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        if self.num_classes:
            self.label = nn.Dense(4 * f, use_bias=False)

    def encode(self, label: Float[Array, "batch classes"] | None) -> ResnetWeights:
        """The weights of a draw, with the biases that the label gives."""
        f = self.features
        labels: Pair = (jnp.zeros((1, 1)), jnp.zeros((1, 1)))
        if self.num_classes:
            label_u, label_ul = jnp.split(self.label(label), 2, axis=-1)
            labels = label_u, label_ul
        (first_u, second_u), (first, second) = self.u, self.ul
        across = [layer.kernel[0, 0] for layer in self.across]
        biases = [first_u.bias, first.bias + self.aside.bias]
        if self.shortcut:
            biases = [bias + layer.bias for bias, layer in zip(biases, self.across, strict=True)]
        first_above, second_above = (
            layer.kernel[0].reshape(4 * f, -1) for layer in (first, second)
        )
        return ResnetWeights(
            label=labels,
            u=(first_u.kernel, second_u.kernel),
            u_across=across[0] if across else None,
            u_bias=(biases[0][None], second_u.bias[None] + labels[0]),
            above=(jnp.concatenate([first_above, self.aside.kernel[0, 0]]), second_above),
            left=(first.kernel[1, 0], second.kernel[1, 0]),
            here=(jnp.concatenate([first.kernel[1, 1], *across[1:]]), second.kernel[1, 1]),
            ul_bias=(biases[1][None], second.bias[None] + labels[1]),
        )

    def __call__(
        self, u: Image, ul: Image, skip: Any, memory: ResnetWeights, train: bool
    ) -> tuple[Image, Image]:
        """Both streams, [batch, height, width, features].

        Args:
          u, ul: the streams.
          skip: with a `shortcut`, (u, ul) on the way down; otherwise ().
          memory: what `encode` returned.
          train: whether dropout is on.
        """
        bias_u, bias_ul = (bias[:, None, None].astype(u.dtype) for bias in memory.label)
        across_u, across_ul = [
            layer(concat_elu(each)) for layer, each in zip(self.across, skip, strict=True)
        ] or (0, 0)

        def drop(h):
            return self.drop(h, deterministic=not train)

        u = _gated(u, lambda h: self.u[0](h) + across_u, lambda h: self.u[1](drop(h)) + bias_u)
        aside = self.aside(concat_elu(u)) + across_ul
        ul = _gated(ul, lambda h: self.ul[0](h) + aside, lambda h: self.ul[1](drop(h)) + bias_ul)
        return u, ul


def next_row(
    u: Row, skip: Row | None, above: Float[Array, "2 width batch twice_features"], w: ResnetWeights
) -> tuple[Row, Float[Array, "2 width batch twice_features"]]:
    """u of the next row, and the inputs of both its convolutions there.

    Args:
      u: of the layer below.
      skip: with a shortcut, u on the way down.
      above: the inputs of both convolutions in the row above.
      w: the weights.
    """
    first = concat_elu(u)
    h = row_conv(jnp.stack([above[0], first]), w.u[0]) + w.u_bias[0][None]
    if skip is not None and w.u_across is not None:
        h = h + concat_elu(skip) @ w.u_across
    second = concat_elu(h)
    y = row_conv(jnp.stack([above[1], second]), w.u[1]) + w.u_bias[1][None]
    return u + _gate(y), jnp.stack([first, second])


def next_pixel(ul: Pixel, skip: Pixel | None, before: Pair, w: ResnetWeights) -> tuple[Pixel, Pair]:
    """ul of the next pixel, and the inputs of both its convolutions there.

    Args:
      ul: of the layer below.
      skip: with a shortcut, ul on the way down.
      before: the sums from which both convolutions start here, [batch, features] and [batch,
        2 features]: u, the row above and the pixel to the left.
      w: the weights.
    """
    first = concat_elu(ul)
    inputs = first if skip is None else jnp.concatenate([first, concat_elu(skip)], axis=-1)
    second = concat_elu(before[0] + inputs @ w.here[0])
    return ul + _gate(before[1] + second @ w.here[1]), (first, second)


def concat_elu(x: Float[Array, "*batch features"]) -> Float[Array, "*batch twice_features"]:
    """ELU of x and of -x, side by side."""
    return nn.elu(jnp.concatenate([x, -x], axis=-1))


def _gated(x, first, second):
    """x + a * sigmoid(b), with (a, b) = second(elu(first(elu(x))))."""
    return x + _gate(second(concat_elu(first(concat_elu(x)))))


def _gate(y):
    a, b = jnp.split(y, 2, axis=-1)
    return a * nn.sigmoid(b)
