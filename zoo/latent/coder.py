"""What all models of a code share: a network from examples to codes, and one back."""

import math
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from zoo.heads import Bernoulli, Head
from zoo.latent.labelled import Labelled

Activation = Literal["tanh", "relu"]


class MLP(nn.Module):
    """Dense layers [..., inputs] -> [..., outputs], with a nonlinearity between each two."""

    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "tanh"

    @nn.compact
    def __call__(self, h):
        for i, units in enumerate(self.hidden):
            h = getattr(nn, self.activation)(nn.Dense(units, name=f"hidden_{i}")(h))
        return nn.Dense(self.outputs, name="out")(h)


class Coder(Labelled):
    """An encoder from x to a code z, and a decoder from z to the params of each site.

    The base of `VAE` and `Autoencoder`. A class label, if there are classes, is an input of both
    networks.

    Attributes:
      site_shape: shape of the array of sites.
      latents: the size of a code.
      hidden: units of the hidden layers of the encoder; the decoder has them in reverse.
      head: the distribution of one site given the code.
      num_classes: of the labels that the model is conditional on; 0: it takes none.
      activation: the nonlinearity of the hidden units.
    """

    site_shape: tuple[int, ...] = (28, 28)
    latents: int = 50
    hidden: tuple[int, ...] = (200, 200)
    head: Head = Bernoulli()
    num_classes: int = 0
    activation: Activation = "tanh"

    output_bias: ClassVar[str | None] = "decoder/out/bias"
    code_params: ClassVar[int] = 1
    """How many numbers the encoder gives for each entry of a code."""

    def setup(self):
        outputs = self.num_sites * self.head.num_params
        self.encoder = MLP(self.hidden, self.latents * self.code_params, self.activation)
        self.decoder = MLP(self.hidden[::-1], outputs, self.activation)

    @property
    def num_latents(self):
        return self.latents

    def code(self, x: Array, memory: PyTree = None) -> Float[Array, "batch outputs"]:
        """What the encoder gives for each example."""
        features = self.head.features(x).reshape(len(x), -1)
        return self.encoder(_with_labels(features, memory))

    def decode(self, z, memory=None):
        """Params [..., *site_shape, num_params] of codes z [..., latents]."""
        params = self.decoder(_with_labels(z, memory))
        return params.reshape(*z.shape[:-1], *self.site_shape, self.head.num_params)

    def draw(self, memory, num):
        return self.decode(jax.random.normal(self.make_rng("noise"), (num, self.latents)), memory)


def log_normal(z: Float[Array, "... latents"]) -> Float[Array, "..."]:
    """log N(z; 0, 1), nats, summed over the last axis.

    Example:
      >>> round(float(log_normal(jnp.zeros(2))), 4)
      -1.8379
    """
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)


def _with_labels(inputs, labels):
    """Inputs [..., batch, n] and the labels [batch, classes] of the rows, if there are any."""
    if labels is None:
        return inputs
    labels = jnp.broadcast_to(labels, (*inputs.shape[:-1], labels.shape[-1]))
    return jnp.concatenate([inputs, labels.astype(inputs.dtype)], axis=-1)
