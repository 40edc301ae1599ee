"""PixelCNN: masked convolutions over the image."""

from typing import ClassVar

import flax.linen as nn

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.images.raster import Raster
from zoo.layers import class_labels
from zoo.layers.convolutions import HiddenConv, InputConv, Readout


@register
class PixelCNN(Raster):
    """A 7x7 convolution with mask A, residual bottleneck blocks with mask B, two 1x1 layers.

    A block maps 2h channels to h (1x1), convolves (3x3, mask B) and maps back to 2h (1x1), each
    after a ReLU. In colour the channels form three groups: R sees no channel of its own pixel, G
    sees R, and B sees both.

    **Reference**: A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, Pixel recurrent neural
    networks, ICML 2016.

    Differs from the paper: values enter scaled to [-1, 1]. As in the paper the stacked masks leave
    a blind spot to the upper right; `GatedPixelCNN` has none.

    Attributes:
      site_shape: (height, width), or (height, width, 3) with a site for each colour.
      features: h, the channels inside a block (of all colours together); 2h between blocks.
      blocks: the number of residual blocks.
      kernel_size: of the convolution inside a block.
      out_features: channels of the last hidden layer.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one site.
      ordering: the raster; the masks allow no other.

    Example:
      >>> import zoo
      >>> model = zoo.PixelCNN((8, 8), features=4, blocks=2, num_classes=10)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, context.tolist(), model.block
      ((2, 8, 8), [0, 1], 8)
    """

    site_shape: tuple[int, ...] = (28, 28)
    features: int = 64
    blocks: int = 15
    kernel_size: int = 3
    out_features: int = 64
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "readout/params_of/bias"

    def setup(self):
        self.check()
        g, h = self.groups, self.features
        self.first = InputConv(g, 2 * h, (7, 7), "A", g)
        self.reduce = [HiddenConv(2 * h, h, groups=g) for _ in range(self.blocks)]
        self.convolve = [
            HiddenConv(h, h, (self.kernel_size,) * 2, groups=g) for _ in range(self.blocks)
        ]
        self.expand = [HiddenConv(h, 2 * h, groups=g) for _ in range(self.blocks)]
        self.readout = Readout(2 * h, self.out_features, self.head.num_params, g)
        if self.num_classes:
            self.label = nn.Dense(self.blocks * h, use_bias=False)

    def encode(self, context):
        """Labels [batch] to the biases of each block, [blocks, batch, features]."""
        if not self.num_classes:
            return None
        biases = self.label(class_labels.one_hot(context, self.num_classes, self.first.bias.dtype))
        return biases.reshape(len(biases), self.blocks, self.features).swapaxes(0, 1)

    def __call__(self, x, memory=None, *, train=False):
        h = self.hidden_features(x, memory)
        return self.readout(h).reshape(len(x), *self.site_shape, self.head.num_params)

    def hidden_features(self, x, memory=None):
        """The output of the last block, [batch, height, width, 2 * features]."""
        h = self.first(self.image(x))
        for i in range(self.blocks):
            y = self.convolve[i](nn.relu(self.reduce[i](nn.relu(h))))
            y = y if memory is None else y + memory[i][:, None, None]
            h = h + self.expand[i](nn.relu(y))
        return h
