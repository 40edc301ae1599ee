"""A linear classifier of the features of an image model."""

import math
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.classifiers.classifier import Classifier
from zoo.core.model import Autoregressive
from zoo.dense.made import MADE
from zoo.foundation.registry import register


@register
class Probe(Classifier):
    """A linear layer on what an image model computes before its output layer.

    `python -m train probe --encoder RUN --encoder-rate 0` reads the features of the image model of
    RUN, frozen: the run decides the field `encoder`, and its weights are the params "encoder". By
    default the encoder has random weights. A feature at a site depends on the pixels before it
    only, as in the image model. Features of a grid are averaged over `cells` x `cells` parts of
    the image first.

    **Reference**: G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier
    probes, ICLR 2017 workshop; M. Chen et al., Generative pretraining from pixels, ICML 2020.

    Differs from the papers: the last hidden layer only.

    Attributes: those of `Classifier`, and
      encoder: an unconditional image model that has a method `hidden_features`, such as MADE, PixelCNN
        or GatedPixelCNN.
      cells: rows and columns of the averages.
      dropout: the rate at which features are dropped in training.

    Example:
      >>> import jax, zoo
      >>> made = zoo.MADE((4, 4), hidden=(6,))
      >>> model = zoo.Probe(image_shape=(4, 4), encoder=made)
      >>> x, images = zoo.example(model, batch=5)
      >>> variables = zoo.init(model, jax.random.key(0), x, images)
      >>> variables["params"]["encoder"].keys() >= {"kernel_0", "bias_0"}
      True
    """

    encoder_fields: ClassVar[tuple[str, ...]] = ("encoder",)

    encoder: Autoregressive = MADE()
    cells: int = 4
    dropout: float = 0.0

    def setup(self):
        super().setup()
        self.one_label()
        if reason := self.why_no_features(self.encoder):
            raise ValueError(f"Probe {reason}.")
        shape = (*self.encoder.site_shape, *self.encoder.head.event_shape)
        if math.prod(shape) != math.prod(self.image_shape) or shape[:2] != self.image_shape[:2]:
            raise ValueError(
                f"Probe needs an encoder of its images, {self.image_shape}; got one of {shape}."
            )
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        self.linear = nn.Dense(self.head.num_params, use_bias=False)

    @staticmethod
    def why_no_features(model: Autoregressive) -> str | None:
        """Returns an error message if a probe cannot read the features of a model, else None."""
        name = type(model).__name__
        if not hasattr(model, "hidden_features") or model.kind != "images":
            return (
                "reads the features of an image model with a method `hidden_features`, such as MADE, "
                f"PixelCNN or GatedPixelCNN; a {name} has none"
            )
        if getattr(model, "num_classes", 0):
            return f"needs an unconditional image model; this {name} is conditional on labels"
        return None

    def encode(self, context):
        levels = self.encoder.head.num_values
        assert levels is not None, "an image model has levels"
        # The level whose brightness is nearest to each pixel's.
        x = jnp.round(context.astype(jnp.float32) * ((levels - 1) / 255))
        sites = (len(x), *self.encoder.site_shape, *self.encoder.head.event_shape)
        x = x.astype(self.encoder.head.dtype).reshape(sites)
        self.encoder(x)  # for the params of its output layer alone: nothing reads the result
        features = self.encoder.hidden_features(x)
        features = averages(features, self.cells) if features.ndim == 4 else features
        features = features.reshape(len(x), -1).astype(self.bias.dtype)
        features = self.drop(features, deterministic=not self.in_training)
        return (self.linear(features) + self.bias[None])[:, None]


def averages(
    features: Float[Array, "batch height width c"], cells: int
) -> Float[Array, "batch rows columns c"]:
    """The means of features [batch, height, width, c] over parts of a grid, at most [batch, cells,
    cells, c]; rows and columns that fill no part are left out.
    """
    batch, height, width, channels = features.shape
    down, across = (max(1, size // cells) for size in (height, width))  # the size of a part
    rows, columns = height // down, width // across
    features = features[:, : rows * down, : columns * across]
    return features.reshape(batch, rows, down, columns, across, channels).mean((2, 4))
