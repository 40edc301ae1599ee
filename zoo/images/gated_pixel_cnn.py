"""Gated PixelCNN: two stacks of convolutions with gated units and no blind spot."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.images.raster import Raster
from zoo.layers import class_labels
from zoo.layers.convolutions import HiddenConv, InputConv, Readout, RowsAbove
from zoo.layers.linear import Dense


@register
class GatedPixelCNN(Raster):
    """A vertical stack sees the rows above, a horizontal stack the row so far and the vertical stack.
    There is no blind spot.

    Each layer of each stack is gated, y = tanh(W_f x + V_f c) * sigmoid(W_g x + V_g c), with c the
    label; the horizontal stack is residual.

    Sampling computes the vertical stack once a row and the horizontal one pixel by pixel, by a step
    that is derived from `__call__`.

    **Reference**: A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves, K.
    Kavukcuoglu, Conditional image generation with PixelCNN decoders, NeurIPS 2016.

    Differs from the paper: values enter scaled to [-1, 1].

    Attributes:
      site_shape: (height, width), or (height, width, 3) with a site for each colour.
      features: channels of either stack (of all colours together).
      layers: gated layers after the first.
      kernel_size: the kernel size of these layers, odd; that of the first is 7.
      out_features: channels of the last hidden layer.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one site.
      ordering: the raster; the masks allow no other.

    Example:
      >>> import zoo
      >>> model = zoo.GatedPixelCNN((8, 8), features=4, layers=2)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.block
      ((2, 8, 8), 8)
    """

    site_shape: tuple[int, ...] = (28, 28)
    features: int = 64
    layers: int = 10
    kernel_size: int = 3
    out_features: int = 64
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "readout/params_of/bias"

    def setup(self):
        self.check()
        g, p, n = self.groups, self.features, self.kernel_size
        sizes = [7] + [n] * self.layers
        self.vertical = [
            RowsAbove(g if i == 0 else p, 2 * p, size, strict=i == 0)
            for i, size in enumerate(sizes)
        ]
        self.down = [Dense(2 * p) for _ in sizes]
        self.first = InputConv(g, 2 * p, (1, 7), "A", g)
        self.horizontal = [HiddenConv(p, 2 * p, (1, n), groups=g) for _ in range(self.layers)]
        self.residual = [HiddenConv(p, p, groups=g) for _ in sizes]
        self.readout = Readout(p, self.out_features, self.head.num_params, g)
        if self.num_classes:
            self.label = [Dense(4 * p, use_bias=False) for _ in sizes]

    def encode(self, context):
        """Labels [batch] to the biases of each layer's vertical and horizontal gates."""
        if not self.num_classes:
            return None
        one_hot = class_labels.one_hot(context, self.num_classes, self.first.bias.dtype)
        return [jnp.split(layer(one_hot), 2, axis=-1) for layer in self.label]

    def __call__(self, x, memory=None, *, train=False):
        h = self.hidden_features(x, memory)
        return self.readout(h).reshape(len(x), *self.site_shape, self.head.num_params)

    def hidden_features(self, x, memory=None):
        """The horizontal stack after the last layer, [batch, height, width, features]."""
        v = self.image(x)
        h = self.first(v)
        for i in range(1 + self.layers):
            above = self.vertical[i](v)
            y = (h if i == 0 else self.horizontal[i - 1](h)) + self.down[i](above)
            if memory is not None:
                above, y = above + memory[i][0][:, None, None], y + memory[i][1][:, None, None]
            v, y = _gate(above, 1), self.residual[i](_gate(y, self.groups))
            h = y if i == 0 else h + y
        return h


def _gate(y, groups):
    """tanh(a) sigmoid(b); each group of channels has its own a and b."""
    a, b = jnp.split(y.reshape(*y.shape[:-1], groups, -1), 2, axis=-1)  # [..., groups, p / groups]
    return (jnp.tanh(a) * nn.sigmoid(b)).reshape(*y.shape[:-1], -1)
