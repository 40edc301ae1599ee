"""PixelCNN++: gated resnets at several resolutions, shortcuts across, a mixture of logistics for
each pixel.
"""

import math
from typing import ClassVar

import jax.numpy as jnp

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, DiscretizedLogisticMixture, Head
from zoo.images import scale_rows
from zoo.images.gated_resnet import concat_elu
from zoo.images.raster import Raster
from zoo.images.scales import Scale
from zoo.layers import class_labels
from zoo.layers.convolutions import HiddenConv, InputConv, RowsAbove
from zoo.layers.row_buffers import rows_of


@register
class PixelCNNpp(Raster):
    """Two streams of features: u of the rows above a pixel, and ul of what is above it or to its
    left. Both pass down to coarser resolutions and up again.

    A gated resnet (zoo/images/gated_resnet.py) updates its stream by x += a * sigmoid(b). A resnet
    of ul also reads u, and on the way up both also read the activation of the same resolution on
    the way down. Convolutions see 2 x 3 pixels in u (the row and the one above) and 2 x 2 in ul
    (the pixel, and those above and to the left). All weights are normalised, and initialised by the
    first batch (zoo/layers/conv_weights.py).

    Pixel (i, j) of resolution k covers the pixels (2^k i, 2^k j) .. of the image. It depends on what
    precedes the first of them, so it is computed once, when that one is drawn. `enter` computes u of
    a row, and what the rows above contribute to ul, at the resolutions that begin a row here; `step`
    computes ul of a pixel, at the resolutions that begin a pixel here (zoo/images/scale_rows.py).
    `encode` normalises the weights, once for a whole draw.

    **Reference**: T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, PixelCNN++: improving the
    PixelCNN with discretized logistic mixture likelihood and other modifications, ICLR 2017.

    Differs from the paper: the 1x1 convolutions of u and of the shortcut into ul are normalised
    separately; u is enlarged by 2 x 2 pixels, as ul is, not by 2 x 3; dropout is off while the first
    batch initialises the weights.

    Attributes:
      site_shape: (height, width); of a colour image too, whose pixel is one site.
      features: channels of either stream.
      blocks: resnets at each resolution on the way down (one more on the way up, except at the
        coarsest).
      scales: the number of resolutions, each half of the one before, rounded up.
      dropout: the rate at which activations are dropped in training.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one pixel; a `DiscretizedLogisticMixture` in the paper.
      ordering: the raster; the convolutions allow no other.

    Example:
      >>> import zoo
      >>> model = zoo.PixelCNNpp((8, 8), features=4, blocks=1, scales=2)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 8, 8), 'images')
    """

    joint: ClassVar[bool | None] = True
    output_bias: ClassVar[str | None] = "readout/bias"
    site_shape: tuple[int, ...] = (28, 28)
    features: int = 160
    blocks: int = 5
    scales: int = 3
    dropout: float = 0.5
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    @classmethod
    def preferred_head(cls, num_levels, event_shape=()):
        """A mixture of logistics, as in the paper, for grey levels too."""
        if num_levels in (None, 2):
            return super().preferred_head(num_levels, event_shape)
        return DiscretizedLogisticMixture(levels=num_levels, channels=math.prod(event_shape))

    def setup(self):
        self.check()
        if len(self.site_shape) != 2:
            raise ValueError(
                "a pixel of PixelCNNpp is one site, in colour by its head (event_shape (3,)): "
                f"site_shape must be (height, width); got {self.site_shape}."
            )
        channels = 1 + math.prod(self.head.event_shape)  # `image` adds one
        self.first_u = RowsAbove(channels, self.features, 3, strict=True, height=2, init_std=1.0)
        self.first_ul = InputConv(channels, self.features, (3, 3), "A", init_std=1.0)
        self.finest = Scale(
            self.features, self.blocks, self.scales - 1, self.dropout, self.num_classes
        )
        self.readout = HiddenConv(2 * self.features, self.head.num_params, init_std=1.0)

    def image(self, x):
        """The image with a channel of ones, which shows where the border is."""
        return jnp.pad(super().image(x), ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1.0)

    def encode(self, context):
        """Labels [batch] to the weights of a draw: normalised, with the biases of the label."""
        label = None
        if self.num_classes:
            label = class_labels.one_hot(context, self.num_classes, self.first_u.bias.dtype)
        return self.finest.encode(label)

    def __call__(self, x, memory=None, *, train=False):
        image = self.image(x)
        _, ul = self.finest(self.first_u(image), self.first_ul(image), memory, train)
        return self.readout(concat_elu(ul))

    def enter(self, x, t, memory=None):
        image, row = self.image(x), self.row(t)
        self.first_ul.enter(image, row)
        u = self.first_u.row(rows_of(image, row, 2, 2))  # [width, batch, features]
        empty = scale_rows.empty(memory, self.site_shape[1], len(x))
        cache = self.get_variable("cache", "scales", empty)
        _, cache = scale_rows.enter(cache, u, row, memory)
        self.put_variable("cache", "scales", cache)
        self.readout.enter(self.site_shape[1], len(x))

    def step(self, x, t, memory=None):
        row, (column, _) = self.row(t), self.place(t)
        ul = self.first_ul.step(self.image(x), row, column, 0)  # [batch, features]
        cache: scale_rows.ScaleCache = self.get_variable("cache", "scales")
        ul, cache = scale_rows.step(cache, ul, row, column, memory)
        self.put_variable("cache", "scales", cache)
        return self.readout.step(concat_elu(ul), column, 0)
