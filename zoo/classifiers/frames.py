"""A recurrent network that classifies sequences of frames."""

from typing import ClassVar, Literal

import flax.linen as nn
import numpy as np

from zoo.classifiers.classifier import Classifier
from zoo.foundation.registry import register
from zoo.layers import image_context
from zoo.layers.image_context import GridEncoder, why_no_encoder
from zoo.layers.recurrent_layer import RecurrentLayer


@register
class Frames(Classifier):
    """One label for a sequence of frames, or one for each frame. With f_t the features of frame t,

        h_t = cell(h_{t-1}, f_t),    p(x | c) = softmax(V h_T)  or  p(x_t | c) = softmax(V h_t).

    With site_shape (1,) the last state gives the only label (many to one). With site_shape (T,)
    each state gives the label of its frame (many to many), from the frames up to it. The weights do
    not depend on the number of frames. The encoder of a frame is that of `CNN`.

    **Reference**: J. Donahue et al., Long-term recurrent convolutional networks for visual
    recognition and description, CVPR 2015.

    Differs from the paper: a small encoder, trained with the rest; the last state, where the paper
    averages the predictions of all frames.

    Attributes: those of `Classifier`, and
      channels: of each convolution.
      halvings: how many convolutions, the first ones, halve height and width.
      features: units of the recurrent layer, and the size of the features of a frame.
      cell: of the recurrent layer.
      dropout: the rate at which states are dropped before the output in training.

    Example:
      >>> import jax, zoo
      >>> model = zoo.Frames((3,), image_shape=(6, 6), channels=(4,), halvings=1, features=5)
      >>> x, frames = zoo.example(model, batch=2)
      >>> variables = zoo.init(model, jax.random.key(0), x, frames)
      >>> frames.shape, zoo.conditionals(model, variables, x, frames).shape
      ((2, 3, 6, 6), (2, 3, 10))
    """

    encoder_fields: ClassVar[tuple[str, ...]] = ("channels", "halvings")
    reads_frames: ClassVar[bool] = True

    image_shape: tuple[int, ...] = (24, 24)
    channels: tuple[int, ...] = (16, 32)
    halvings: int = 2
    features: int = 64
    cell: Literal["elman", "gru", "lstm"] = "gru"
    dropout: float = 0.0

    def setup(self):
        super().setup()
        if reason := why_no_encoder(self.channels, self.halvings):
            raise ValueError(f"Frames needs {reason}.")
        self.encoder = GridEncoder(self.channels, self.halvings)
        self.vector = nn.Dense(self.features)
        self.recur = RecurrentLayer(self.features, self.cell)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        self.linear = nn.Dense(self.head.num_params, use_bias=False)

    def params_of(self, images):
        batch, length = images.shape[:2]
        grids = self.encoder(images.reshape(batch * length, *images.shape[2:]))
        vectors = nn.relu(self.vector(grids.reshape(batch, length, -1)))
        zeros = self.recur.zeros(batch)
        states, _ = self.recur(vectors.swapaxes(0, 1), zeros, None, zeros)  # [length, batch, h]
        states = states.swapaxes(0, 1) if self.num_sites > 1 else states[-1][:, None]
        states = self.drop(states, deterministic=not self.in_training)
        return self.linear(states) + self.bias[None, None]

    def why_invalid(self, context):
        if reason := image_context.why_invalid(
            context, tuple(self.image_shape), "frames", ("frames",)
        ):
            return reason
        frames = np.shape(context)[1]
        if frames < 1 or self.num_sites not in (1, frames):
            return f"expected {self.num_sites} frames, one for each label; got {frames}"
        return None

    def example(self, batch):
        shape = (batch, self.num_sites if self.num_sites > 1 else 3, *self.image_shape)
        return super().example(batch)[0], image_context.example(shape)
