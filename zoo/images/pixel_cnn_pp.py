"""PixelCNN++: gated resnets at several resolutions, shortcuts across, a mixture of logistics for
each pixel.
"""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.images.raster import Raster
from zoo.layers import class_labels
from zoo.layers.convolutions import HiddenConv, Image, InputConv, RowsAbove, rows_of

Row = Float[Array, "width batch features"]
Pixel = Float[Array, "batch features"]


@register
class PixelCNNpp(Raster):
    """Two streams, u of the rows above a pixel and ul of what is above or to the left, down to
    coarser images and up again.

    A gated resnet adds a * sigmoid(b) to its input x, with

        (a, b) = conv(dropout(elu(conv(elu(x)) + elu(aside) A))) + V c,    elu(x) = ELU of x and of
        -x side by side

    where `aside` is u for the stream ul, and the activation of equal resolution on the way down for
    a resnet on the way up; c is the label. Convolutions see 2 x 3 pixels in u (the row, the one
    above) and 2 x 2 in ul (the pixel, those above and to the left). All weights are normalised, and
    initialised by the first batch (zoo/layers/convolutions.py).

    Pixel (i, j) of the resolution k stands at pixel (2^k i, 2^k j) of the image and sees what comes
    before it, so it is computed when that pixel is drawn, once. `enter` computes u of a row, and
    what the rows above give to ul, at the resolutions that have this row; `step` computes ul of a
    pixel, at the resolutions that have this pixel.

    **Reference**: T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, PixelCNN++: improving the
      PixelCNN with discretized
    logistic mixture likelihood and other modifications, ICLR 2017.

    Differs from the paper: the 1x1 convolutions of u and of the shortcut into ul are normalised
      apart; u is enlarged by
    2 x 2 pixels, as ul is, not by 2 x 3; no dropout while the first batch initialises the weights.

    Attributes:
      site_shape: (height, width); of a colour image too, whose pixel is one site.
      features: channels of either stream.
      blocks: resnets at each resolution on the way down (one more on the way up, but for the
        coarsest).
      scales: how many resolutions, each half of the one before, rounded up.
      dropout: the share of activations set to zero while training.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the law of one pixel; a `DiscretizedLogisticMixture` in the paper.
      ordering: the raster; the convolutions know no other.
    """

    joint: ClassVar[bool | None] = True
    site_shape: tuple[int, ...] = (28, 28)
    features: int = 160
    blocks: int = 5
    scales: int = 3
    dropout: float = 0.5
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    def setup(self):
        self.check()
        if len(self.site_shape) != 2:
            raise ValueError(
                "a pixel of PixelCNNpp is one site, in colour by its head (event_shape (3,)): "
                "site_shape must be "
                f"(height, width); got {self.site_shape}."
            )
        channels = 1 + math.prod(self.head.event_shape)  # a channel of ones shows the border
        self.first_u = RowsAbove(channels, self.features, 3, strict=True, height=2, spread=1.0)
        self.first_ul = InputConv(channels, self.features, (3, 3), "A", spread=1.0)
        self.finest = Scale(
            self.features, self.blocks, self.scales - 1, self.dropout, self.num_classes
        )
        self.readout = HiddenConv(2 * self.features, self.head.num_params, spread=1.0)

    def image(self, x):
        return jnp.pad(super().image(x), ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1.0)

    def encode(self, context):
        """Labels [batch] to the biases of every resnet."""
        if not self.num_classes:
            return self.finest.encode(None)
        return self.finest.encode(
            class_labels.one_hot(context, self.num_classes, self.first_u.bias.dtype)
        )

    def __call__(self, x, memory=None, *, train=False):
        image = self.image(x)
        _, ul = self.finest(self.first_u(image), self.first_ul(image), memory, train)
        return self.readout(concat_elu(ul))

    def enter(self, x, t, memory=None):
        image, row = self.image(x), self.row(t)
        self.first_ul.enter(image, row)
        self.finest.enter(self.first_u.row(rows_of(image, row, 2, 2)), row, memory)
        self.readout.enter(self.site_shape[1], len(x))

    def step(self, x, t, memory=None):
        row, (column, _) = self.row(t), self.place(t)
        ul = self.finest.step(self.first_ul.step(self.image(x), row, column, 0), row, column)
        return self.readout.step(concat_elu(ul), column, 0)


class Resnet(nn.Module):
    """A gated resnet of each stream, that of ul with u aside.

    Attributes:
      features: channels of either stream.
      shortcut: whether the activations on the way down are aside too.
      dropout: the share of activations set to zero while training.
      num_classes: the number of labels.
    """

    features: int
    shortcut: bool
    dropout: float
    num_classes: int

    def setup(self):
        f = self.features
        self.u = [
            RowsAbove(2 * f, out, 3, strict=False, spread=s) for out, s in ((f, 1.0), (2 * f, 0.1))
        ]
        self.ul = [
            HiddenConv(2 * f, out, (3, 3), right=False, spread=s)
            for out, s in ((f, 1.0), (2 * f, 0.1))
        ]
        self.aside = HiddenConv(2 * f, f, spread=1.0)
        self.across = [HiddenConv(2 * f, f, spread=1.0) for _ in range(2 * self.shortcut)]
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        if self.num_classes:
            self.label = nn.Dense(4 * f, use_bias=False)

    def encode(self, label):
        """The biases of the gates of u and ul, [batch, 2 features] each, or zeros."""
        return (
            jnp.split(self.label(label), 2, axis=-1)
            if self.num_classes
            else (jnp.zeros((1, 1)),) * 2
        )

    def __call__(
        self, u: Image, ul: Image, skip: Any, memory: Any, train: bool
    ) -> tuple[Image, Image]:
        of_u, of_ul = (bias[:, None, None].astype(u.dtype) for bias in memory)
        aside: Any = [
            layer(concat_elu(each)) for layer, each in zip(self.across, skip, strict=True)
        ] or (0, 0)

        def drop(h):
            return self.drop(h, deterministic=not train)

        u = _gated(u, lambda h: self.u[0](h) + aside[0], lambda h: self.u[1](drop(h)) + of_u)
        more = self.aside(concat_elu(u)) + aside[1]
        return u, _gated(ul, lambda h: self.ul[0](h) + more, lambda h: self.ul[1](drop(h)) + of_ul)

    def enter(self, u: Row, skip: Any, memory: Any) -> Row:
        """u of the next row; ul is given all that is known of it before its first pixel."""
        of_u, of_ul = (bias[None].astype(u.dtype) for bias in memory)
        aside = self.across[0](concat_elu(skip)[None])[0] if self.shortcut else 0
        u = _gated(u, lambda h: self.u[0].enter(h) + aside, lambda h: self.u[1].enter(h) + of_u)
        width, batch, _ = u.shape
        for layer, known in zip(self.ul, (self.aside(concat_elu(u)[None])[0], of_ul), strict=True):
            layer.enter(width, batch, known)
        for layer in self.across:
            layer.enter(width, batch)
        return u

    def step(self, ul: Pixel, skip: Any, column: Array) -> Pixel:
        aside = self.across[1].step(concat_elu(skip), column, 0) if self.shortcut else 0
        first, second = self.ul
        return _gated(
            ul, lambda h: first.step(h, column, 0) + aside, lambda h: second.step(h, column, 0)
        )


class Scale(nn.Module):
    """A resolution: resnets on the way down, the coarser resolutions, resnets on the way up.

    Attributes:
      features, blocks, dropout, num_classes: as of the model.
      coarser: how many resolutions there are below.
    """

    features: int
    blocks: int
    coarser: int
    dropout: float
    num_classes: int

    def setup(self):
        f, rest = self.features, (self.dropout, self.num_classes)
        self.down = [Resnet(f, False, *rest) for _ in range(self.blocks)]
        self.up = [Resnet(f, True, *rest) for _ in range(self.blocks + (self.coarser > 0))]
        if self.coarser:
            self.shrink_u = RowsAbove(f, f, 3, strict=False, stride=2, spread=1.0)
            self.shrink_ul = HiddenConv(f, f, (3, 3), right=False, stride=2, spread=1.0)
            self.below = Below(Scale(f, self.blocks, self.coarser - 1, *rest))

    def encode(self, label):
        """The biases of all resnets: on the way down, up, and below."""
        down, up = ([resnet.encode(label) for resnet in way] for way in (self.down, self.up))
        return down, up, self.below.scale.encode(label) if self.coarser else None

    def __call__(self, u: Image, ul: Image, memory: Any, train: bool) -> tuple[Image, Image]:
        down, up, below = memory
        skips = [(u, ul)]
        for resnet, biases in zip(self.down, down, strict=True):
            skips.append(resnet(*skips[-1], (), biases, train))
        u, ul = skips[-1] if self.coarser else skips.pop()
        if self.coarser:
            u, ul = self.below(self.shrink_u(u), self.shrink_ul(ul), below, train, u.shape)
        for resnet, biases in zip(self.up, up, strict=True):
            u, ul = resnet(u, ul, skips.pop(), biases, train)
        return u, ul

    def enter(self, u: Row, row: Array, memory: Any) -> Row:
        """u of the next row, and all that is known of ul before its first pixel."""
        down, up, below = memory
        skips = [u]
        for resnet, biases in zip(self.down, down, strict=True):
            skips.append(resnet.enter(skips[-1], None, biases))
        u = skips[-1] if self.coarser else skips.pop()
        if self.coarser:
            width, batch, _ = u.shape
            self.shrink_ul.enter(width, batch)
            self.below.when(row % 2 == 0, "enter", self.shrink_u.enter(u), row // 2, below)
            u = self.below.u(row, width)
        for resnet, biases in zip(self.up, up, strict=True):
            u = resnet.enter(u, skips.pop(), biases)
        return u

    def step(self, ul: Pixel, row: Array, column: Array) -> Pixel:
        """ul of the next pixel."""
        skips = [ul]
        for resnet in self.down:
            skips.append(resnet.step(skips[-1], None, column))
        ul = skips[-1] if self.coarser else skips.pop()
        if self.coarser:
            here = (row % 2 == 0) & (column % 2 == 0)
            self.below.when(here, "step", self.shrink_ul.step(ul, column, 0), row // 2, column // 2)
            ul = self.below.ul(row, column)
        for resnet in self.up:
            ul = resnet.step(ul, skips.pop(), column)
        return ul


class Below(nn.Module):
    """The coarser resolutions as the finer sees them: enlarged; while drawing, computed only where
      they have a pixel.

    A coarse pixel becomes 2 x 2 fine ones by a 1x1 convolution to four times the channels, which
    are then laid out.

    Attributes:
      scale: the coarser resolution, and whatever is below it.
    """

    scale: Scale

    def setup(self):
        f = self.scale.features
        self.enlarge_u, self.enlarge_ul = (HiddenConv(f, 4 * f, spread=1.0) for _ in range(2))

    def __call__(
        self, u: Image, ul: Image, memory: Any, train: bool, shape: tuple[int, ...]
    ) -> Any:
        def laid_out(y):
            batch, height, width, _ = y.shape
            y = (
                y.reshape(batch, height, width, 2, 2, -1)
                .swapaxes(2, 3)
                .reshape(batch, 2 * height, 2 * width, -1)
            )
            return y[:, : shape[1], : shape[2]]

        u, ul = self.scale(u, ul, memory, train)
        return laid_out(self.enlarge_u(u)), laid_out(self.enlarge_ul(ul))

    def enter(self, u: Row, row: Array, memory: Any) -> None:
        """Keeps u of the two fine rows that a coarse row covers, and makes room for ul."""
        y = self.enlarge_u(self.scale.enter(u, row, memory)[None])[0]
        width, batch, _ = y.shape
        y = y.reshape(width, batch, 2, 2, -1).transpose(2, 0, 3, 1, 4)
        self.put_variable("cache", "u", y.reshape(2, 2 * width, batch, -1))
        self.put_variable("cache", "ul", jnp.zeros((width, batch, 4 * u.shape[-1]), u.dtype))
        self.enlarge_ul.enter(width, batch)

    def step(self, ul: Pixel, row: Array, column: Array) -> None:
        """Keeps ul of the 2 x 2 fine pixels that a coarse one covers."""
        y = self.enlarge_ul.step(self.scale.step(ul, row, column), column, 0)
        kept = jax.lax.dynamic_update_slice(
            self.get_variable("cache", "ul"), y[None], (column, 0, 0)
        )
        self.put_variable("cache", "ul", kept)

    def u(self, row: Array, width: int) -> Row:
        """u at a fine row."""
        return jax.lax.dynamic_index_in_dim(
            self.get_variable("cache", "u"), row % 2, 0, keepdims=False
        )[:width]

    def ul(self, row: Array, column: Array) -> Pixel:
        """ul at a fine pixel."""
        kept: jax.Array = self.get_variable("cache", "ul")
        size = kept.shape[2] // 4
        place = (column // 2, 0, (row % 2 * 2 + column % 2) * size)
        return jax.lax.dynamic_slice(kept, place, (1, kept.shape[1], size))[0]

    def when(self, here: Array, method: str, *args: Any) -> None:
        """`method(*args)` if `here`; in any case while the cache gets its shape."""
        if not self.has_variable("cache", "u"):
            return getattr(self, method)(*args)
        return nn.cond(
            here,
            lambda below, *args: getattr(below, method)(*args),
            lambda below, *args: None,
            self,
            *args,
        )


def concat_elu(x: Float[Array, "*batch features"]) -> Float[Array, "*batch twice_features"]:
    """ELU of x and of -x, side by side."""
    return nn.elu(jnp.concatenate([x, -x], axis=-1))


def _gated(x, first, second):
    """x + a sigmoid(b)."""
    a, b = jnp.split(second(concat_elu(first(concat_elu(x)))), 2, axis=-1)
    return x + a * nn.sigmoid(b)
