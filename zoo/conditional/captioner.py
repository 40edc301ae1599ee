"""Captions from one feature vector."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from zoo.conditional.encoder_decoder import Encoded
from zoo.conditional.image_describer import ImageDescriber
from zoo.foundation.registry import register
from zoo.layers.context_readers import FixedContext


@register
class Captioner(ImageDescriber):
    """A convolutional network makes a vector of the image, and the vector enters every step of an
    LSTM.

    **References**: J. Donahue et al., Long-term recurrent convolutional networks for visual
      recognition and description,
    CVPR 2015; O. Vinyals, A. Toshev, S. Bengio, D. Erhan, Show and tell: a neural image caption
    generator, CVPR 2015.

    Differs from the papers: one LSTM layer, whose first state comes from the vector too; a small
      encoder.

    Attributes: those of `ImageDescriber`, and pooled: whether the vector is made of the features'
      mean over all places, which says what there is but hardly where,
        with far fewer weights to overfit.
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
