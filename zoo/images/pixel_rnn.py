"""The base of Row LSTM and Diagonal BiLSTM: the network around their recurrent layers."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from zoo.core.orderings import Ordering
from zoo.heads import Bernoulli, Head
from zoo.images.raster import Raster
from zoo.layers import class_labels
from zoo.layers.convolutions import HiddenConv, InputConv, Readout


class PixelRNN(Raster):
    """A 7x7 convolution with mask A, residual recurrent layers, two 1x1 layers.

    A final subclass implements `recurrent`, which returns one layer: a module from 2h channels (and
    the image itself) to h, with the causal dependences of mask B, called as `layer(x, image, bias)`.
    A 1x1 convolution maps its output back to 2h channels and adds it to its input.

    Attributes:
      site_shape: (height, width), or (height, width, 3) with a site for each colour.
      features: h, the units of a layer (of all colours together).
      layers: the number of recurrent layers.
      out_features: channels of the last hidden layer.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one site.
      ordering: the raster; the layers allow no other.
    """

    site_shape: tuple[int, ...] = (28, 28)
    features: int = 16
    layers: int = 7
    out_features: int = 32
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "readout/params_of/bias"

    def recurrent(self) -> nn.Module:
        """A new recurrent layer."""
        raise NotImplementedError(f"{type(self).__name__} must define recurrent: one layer.")

    @property
    def num_gates(self) -> int:
        """The channels of a layer's gates; a label adds a bias to each."""
        raise NotImplementedError(f"{type(self).__name__} must define num_gates.")

    def setup(self):
        self.check()
        g, h = self.groups, self.features
        self.first = InputConv(g, 2 * h, (7, 7), "A", g)
        self.recur = [self.recurrent() for _ in range(self.layers)]
        self.expand = [HiddenConv(h, 2 * h, groups=g) for _ in range(self.layers)]
        self.readout = Readout(2 * h, self.out_features, self.head.num_params, g)
        if self.num_classes:
            self.label = nn.Dense(self.layers * self.num_gates, use_bias=False)

    def encode(self, context):
        """Labels [batch] to the biases of each layer's gates, [layers, batch, num_gates]."""
        if not self.num_classes:
            return None
        biases = self.label(class_labels.one_hot(context, self.num_classes, self.first.bias.dtype))
        return biases.reshape(len(biases), self.layers, self.num_gates).swapaxes(0, 1)

    def __call__(self, x, memory=None, *, train=False):
        image = self.image(x)
        h = self.first(image)
        for i in range(self.layers):
            h = h + self.expand[i](self.recur[i](h, image, self._bias(memory, i)))
        return self.readout(h).reshape(len(x), *self.site_shape, self.head.num_params)

    def _bias(self, memory, layer):
        """The biases of a layer's gates, [batch or 1, num_gates]."""
        if memory is None:
            return jnp.zeros((1, self.num_gates), self.first.bias.dtype)
        return memory[layer]


def gate_major(gates: Array, groups: int) -> Array:
    """Reorders the channels of an LSTM's gates from group by group, as masked convolutions return
    them, to gate by gate, as the cell expects them. Within a gate the units stay group by group.
    """
    split = gates.reshape(*gates.shape[:-1], groups, 4, -1)  # [..., groups, gates, units]
    return split.swapaxes(-2, -3).reshape(gates.shape)
