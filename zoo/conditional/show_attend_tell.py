"""Show, attend and tell: captions with attention to the image at every word."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from zoo.conditional.encoder_decoder import Encoded
from zoo.conditional.image_describer import ImageDescriber
from zoo.foundation.registry import register
from zoo.layers.context_readers import AdditiveAttention


@register
class ShowAttendTell(ImageDescriber):
    """Soft attention over the grid of features at every word. Training adds the doubly stochastic
    regulariser

        coverage * sum_s (1 - sum_t a_ts)^2,    a_ts the weight of place s at word t,

    which favours equal attention to all places; `zoo.attention_weights` returns the weights.

    **Reference**: K. Xu et al., Show, attend and tell: neural image caption generation with visual
    attention, ICML 2015.

    Differs from the paper: a learned embedding for every place of the grid; no gate on what is read;
    a small encoder.

    Attributes: those of `ImageDescriber`, and
      coverage: the weight of the regulariser (1 in the paper).

    Example:
      >>> import zoo
      >>> model = zoo.ShowAttendTell((6,), 8, 4, head=zoo.Categorical(9), image_shape=(16, 16))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, context.shape, model.kind
      ((2, 6), (2, 16, 16), 'captions')
    """

    coverage: float = 1.0

    reader: ClassVar[type] = AdditiveAttention
    attends: ClassVar[bool] = True

    def setup(self):
        super().setup()
        rows, columns = self.grid
        self.position_embedding = self.param(
            "place", nn.initializers.normal(0.1), (rows * columns, self.width)
        )

    def encoded(self, context):
        values = self.features_of(context) + self.position_embedding[None]
        return Encoded(values, jnp.ones(values.shape[:2], bool), values.mean(1))

    def training_loss(self, x, memory=None):
        params, weights = self.unroll(x, memory, train=True)
        assert weights is not None, "attention has weights"
        words = jnp.ones(x.shape, bool) if self.pad is None else x != self.pad
        weights = weights * words[:, :, None].astype(weights.dtype)  # [batch, length, places]
        total = weights.sum(1).astype(jnp.float32)  # of each place, [batch, places]
        penalty = self.coverage * jnp.square(1 - total).sum(1)
        return penalty - self.head.log_prob(params, x).sum(1)
