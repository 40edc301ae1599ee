"""A convolutional network that classifies images."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float, UInt8

from zoo.classifiers.classifier import Classifier
from zoo.classifiers.shifts import shifted
from zoo.foundation.registry import register
from zoo.layers.image_context import GridEncoder, why_no_encoder


@register
class CNN(Classifier):
    """Convolutions encode an image as a grid of features, and a linear layer reads it.

    In training each image is moved by a random number of pixels, up to `shift` in each direction
    (black comes in), and features are dropped. The encoder is that of `Captioner` and
    `ShowAttendTell`: one can start from the trained encoder of the other (`--encoder`), frozen at
    `--encoder-rate 0`, so that only the linear layer learns.

    **Reference**: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to
    document recognition, Proceedings of the IEEE 1998.

    Differs from the paper: rectifiers, strides in place of subsampling, softmax, dropout.

    Attributes: those of `Classifier`, and
      channels: of each convolution.
      halvings: how many convolutions, the first ones, halve height and width.
      pooled: whether features are averaged over all places of the grid first. The linear layer
        then fits images of any size.
      dropout: the rate at which features are dropped in training.
      shift: the most pixels by which an image is moved in training.

    Example:
      >>> import jax, zoo
      >>> model = zoo.CNN(image_shape=(8, 8), channels=(4, 6), halvings=1)
      >>> x, images = zoo.example(model, batch=5)
      >>> variables = zoo.init(model, jax.random.key(0), x, images)
      >>> x.shape, images.shape, zoo.conditionals(model, variables, x, images).shape
      ((5, 1), (5, 8, 8), (5, 1, 10))
    """

    encoder_fields: ClassVar[tuple[str, ...]] = ("channels", "halvings")

    channels: tuple[int, ...] = (32, 64, 64)
    halvings: int = 2
    pooled: bool = False
    dropout: float = 0.0
    shift: int = 0

    def setup(self):
        super().setup()
        self.one_label()
        if reason := why_no_encoder(self.channels, self.halvings):
            raise ValueError(f"CNN needs {reason}.")
        self.encoder = GridEncoder(self.channels, self.halvings)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        self.linear = nn.Dense(self.head.num_params, use_bias=False)

    def params_of(self, images):
        if self.in_training and self.shift:
            images = shifted(images, self.shift, self.make_rng("train"))
        grid = self.encoder(images)  # [batch, rows, columns, d]
        features = grid.mean((1, 2)) if self.pooled else grid.reshape(len(grid), -1)
        features = self.drop(features, deterministic=not self.in_training)
        return (self.linear(features) + self.bias[None])[:, None]

    def features_and_params(
        self, images: UInt8[Array, "batch height width ..."]
    ) -> tuple[Float[Array, "batch d"], Float[Array, "batch classes"]]:
        """The mean of the grid over its places, and the params of the label, as a judge of images
        needs them.
        """
        pixels = images.reshape(*images.shape[:3], -1).astype(self.bias.dtype) / 255
        return self.encoder(pixels).mean((1, 2)), self.params_of(pixels)[:, 0]
