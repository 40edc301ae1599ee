"""The gated resnet of PixelCNN++, one for each of the streams u and ul."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.layers.conv_weights import Image
from zoo.layers.convolutions import HiddenConv, RowsAbove

Row = Float[Array, "width batch features"]
Pixel = Float[Array, "batch features"]


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

    def encode(self, label: Float[Array, "batch classes"] | None) -> Any:
        """The biases of the gates of u and of ul, [batch, 2 features] each; zeros without labels."""
        if not self.num_classes:
            return (jnp.zeros((1, 1)),) * 2
        return jnp.split(self.label(label), 2, axis=-1)

    def __call__(
        self, u: Image, ul: Image, skip: Any, memory: Any, train: bool
    ) -> tuple[Image, Image]:
        """Both streams, [batch, height, width, features].

        Args:
          u, ul: the streams.
          skip: with a `shortcut`, (u, ul) on the way down; otherwise ().
          memory: what `encode` returned.
          train: whether dropout is on.
        """
        bias_u, bias_ul = (bias[:, None, None].astype(u.dtype) for bias in memory)
        across_u, across_ul = [
            layer(concat_elu(each)) for layer, each in zip(self.across, skip, strict=True)
        ] or (0, 0)

        def drop(h):
            return self.drop(h, deterministic=not train)

        u = _gated(u, lambda h: self.u[0](h) + across_u, lambda h: self.u[1](drop(h)) + bias_u)
        aside = self.aside(concat_elu(u)) + across_ul
        ul = _gated(ul, lambda h: self.ul[0](h) + aside, lambda h: self.ul[1](drop(h)) + bias_ul)
        return u, ul

    def enter(self, u: Row, skip: Any, memory: Any) -> Row:
        """u of the next row. The convolutions of ul get what is known before the row's first pixel:
        u, and the label.
        """
        width, batch, _ = u.shape
        bias_u, bias_ul = (bias[None].astype(u.dtype) for bias in memory)
        across_u = self.across[0](concat_elu(skip)[None])[0] if self.shortcut else 0
        u = _gated(
            u, lambda h: self.u[0].enter(h) + across_u, lambda h: self.u[1].enter(h) + bias_u
        )
        aside = self.aside(concat_elu(u)[None])[0]  # as an image of one row: [1, width, batch, c]
        for layer, bias in zip(self.ul, (aside, bias_ul), strict=True):
            layer.enter(width, batch, bias)
        for layer in self.across:
            layer.enter(width, batch)
        return u

    def step(self, ul: Pixel, skip: Any, column: jax.Array) -> Pixel:
        """ul of the next pixel; `skip` is ul on the way down."""
        across = self.across[1].step(concat_elu(skip), column, 0) if self.shortcut else 0
        first, second = self.ul
        return _gated(
            ul, lambda h: first.step(h, column, 0) + across, lambda h: second.step(h, column, 0)
        )


def concat_elu(x: Float[Array, "*batch features"]) -> Float[Array, "*batch twice_features"]:
    """ELU of x and of -x, side by side."""
    return nn.elu(jnp.concatenate([x, -x], axis=-1))


def _gated(x, first, second):
    """x + a * sigmoid(b), with (a, b) = second(elu(first(elu(x))))."""
    a, b = jnp.split(second(concat_elu(first(concat_elu(x)))), 2, axis=-1)
    return x + a * nn.sigmoid(b)
