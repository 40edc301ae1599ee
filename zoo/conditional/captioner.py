"""Captions without attention: from one vector of the image."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from zoo.conditional.encoder_decoder import Encoded
from zoo.conditional.image_describer import ImageDescriber
from zoo.foundation.registry import register
from zoo.layers.context_readers import FixedContext


@register
class Captioner(ImageDescriber):
    """A convolutional network maps the image to a vector, and every step of an LSTM reads it.

    **References**: J. Donahue et al., Long-term recurrent convolutional networks for visual
    recognition and description, CVPR 2015; O. Vinyals, A. Toshev, S. Bengio, D. Erhan, Show and
    tell: a neural image caption generator, CVPR 2015.

    Differs from the papers: one LSTM layer, whose initial state comes from the vector too; a small
    encoder.

    Attributes: those of `ImageDescriber`, and
      pooled: average the features over all places first. The vector then tells what is in the image
        but hardly where, and has far fewer weights to overfit.

    Example:
      >>> import zoo
      >>> model = zoo.Captioner((6,), 8, 4, head=zoo.Categorical(9), image_shape=(16, 16))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, context.shape, model.kind
      ((2, 6), (2, 16, 16), 'captions')
    """

    pooled: bool = False

    reader: ClassVar[type] = FixedContext

    def setup(self):
        super().setup()
        self.vector = nn.Dense(self.features)

    def encoded(self, context):
        features = self.features_of(context)
        whole = features.mean(1) if self.pooled else features.reshape(len(features), -1)
        vector = nn.relu(self.vector(whole))
        return Encoded(features, jnp.ones(features.shape[:2], bool), vector)
